"""Every check of primal averaging passes at the smallest scale, and every negative control is refuted."""

import importlib

import pytest

from optlab import theorems
from optlab.reproduce.theorems import THEOREMS

for name in theorems.modules():
    if name.startswith("optlab.theorems.primal_averaging."):
        importlib.import_module(name)

CHECKS = [spec for spec in THEOREMS.values() if spec.paper == "primal-averaging"]


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_check_passes_and_its_controls_are_refuted(spec):
    evidence = spec("smoke", 0)
    assert spec.accepts(evidence.verdict), (evidence, evidence.detail)
    assert spec.controls, "a check without a control cannot be seen to fail"
    for control in spec.controls:
        evidence = control("smoke", 0)
        assert spec.refutes(evidence.verdict), (control.description, evidence, evidence.detail)


@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_statement_is_complete(spec):
    assert len(spec.statement) > 40
    assert spec.assumptions
    assert spec.source


def test_there_is_a_check_of_every_map_and_bound():
    wanted = {"gpa-nesterov-modern", "gpa-nesterov-classical", "gpa-heavy-ball", "gpa-textbook-momentum"}
    wanted |= {"gpa-regret-identity", "gpa-average-iterate", "gpa-regret-transfer", "gpa-acceleration"}
    assert wanted | {"gpa-diloco-one-step", "gpa-two-buffers", "gpa-stability"} <= {spec.id for spec in CHECKS}
