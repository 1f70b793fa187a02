"""Every check of the first-order methods passes at the smallest scale, and every negative control is refuted."""

from __future__ import annotations

import importlib

import pytest

from optlab import theorems
from optlab.reproduce.theorems import THEOREMS

for name in theorems.modules():
    if ".first_order" in name:
        importlib.import_module(name)

CHECKS = [spec for spec in THEOREMS.values() if spec.paper == "first-order"]
PARAMETERS = [pytest.param(spec, id=spec.id) for spec in CHECKS]


@pytest.mark.parametrize("spec", PARAMETERS)
def test_the_check_passes(spec):
    evidence = spec("smoke", 0)
    assert spec.accepts(evidence.verdict), (evidence, evidence.detail)


@pytest.mark.parametrize("spec", PARAMETERS)
def test_every_control_is_refuted(spec):
    assert spec.controls, "a check without a control cannot be seen to fail"
    for control in spec.controls:
        evidence = control("smoke", 0)
        assert spec.refutes(evidence.verdict), (control.description, evidence, evidence.detail)


@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_statement_is_complete(spec):
    assert len(spec.statement) > 40
    assert spec.assumptions
    assert spec.source
    assert len({control.description for control in spec.controls}) == len(spec.controls)
