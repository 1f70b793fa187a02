"""Every check of dual approximation policy optimization passes at the smallest scale, every control is refuted."""

from __future__ import annotations

import importlib

import pytest

from optlab import theorems
from optlab.reproduce.theorems import THEOREMS

for name in theorems.modules():
    if name.startswith("optlab.theorems.dapo."):
        importlib.import_module(name)

CHECKS = [spec for spec in THEOREMS.values() if spec.paper == "dapo"]
each = pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@each
def test_the_check_passes(spec):
    evidence = spec("smoke", 0)
    assert spec.accepts(evidence.verdict), (evidence, evidence.detail)


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@each
def test_every_control_is_refuted(spec):
    assert spec.controls, "a check without a control cannot be seen to fail"
    for control in spec.controls:
        evidence = control("smoke", 0)
        assert spec.refutes(evidence.verdict), (control.description, evidence, evidence.detail)


@each
def test_the_statement_is_complete(spec):
    assert len(spec.statement) > 40
    assert spec.assumptions
    assert spec.source
    assert len({control.description for control in spec.controls}) == len(spec.controls)
