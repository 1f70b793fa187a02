"""The faults can be planted; with ``pytest -m mutation`` ten of them, another ten each day, are noticed by tests."""

from __future__ import annotations

import ast
import datetime
import importlib.util
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def _load(name: str):
    spec = importlib.util.spec_from_file_location(name, _HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


faults_module = _load("faults")
campaign_module = _load("campaign")
FAULTS = list(faults_module.faults())
SLICE = 10


def test_there_are_faults_of_all_families_and_each_can_be_planted():
    assert len(FAULTS) >= 100
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)
    assert {t.family for t in faults_module.TARGETS} >= {"bregman", "splitting", "stochastic", "policy", "transport"}
    for fault in FAULTS:
        source = (faults_module.ROOT / fault.file).read_text(encoding="utf-8")
        assert ast.dump(ast.parse(fault.new)) != ast.dump(ast.parse(source)), fault.id
        assert all((faults_module.ROOT / test).exists() for test in fault.tests), fault.id


def test_every_pattern_of_checks_fits_one():
    from fnmatch import filter as fitting

    from optlab import theorems

    ids = set(theorems.discover())
    for pattern in {pattern for fault in FAULTS for pattern in fault.checks}:
        assert fitting(ids, pattern), pattern


def test_the_report_counts():
    records = [
        {"id": "a", "what": "x", "tests": True, "test": "FAILED t", "checks": False, "check": []},
        {"id": "b", "what": "y | z", "tests": False, "test": ""},
    ]
    text = campaign_module.report(records)
    assert text.startswith("1 of 2 faults noticed by tests, 0 of 1 by checks.")
    assert r"y \| z" in text


@pytest.mark.slow
@pytest.mark.mutation
def test_ten_faults_are_noticed():
    parts = len(FAULTS) // SLICE
    chosen = FAULTS[datetime.date.today().toordinal() % parts :: parts][:SLICE]
    records = campaign_module.campaign(chosen, None, with_checks=False)
    assert all(r["tests"] for r in records), campaign_module.report(records)
