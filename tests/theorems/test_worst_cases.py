"""Sandwiches: every check passes and every control is refuted; the table is what the solver says."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from optlab.reproduce.theorems import THEOREMS
from optlab.theorems.worst_cases._cases import CASES
from optlab.theorems.worst_cases._values import VALUES

for name in ("splitting", "relative_smoothness", "steps", "sums", "operators"):
    importlib.import_module(f"optlab.theorems.worst_cases.{name}")


def test_there_are_many_and_each_is_in_the_table():
    assert set(CASES) == set(VALUES)
    assert sum(case.proved for case in CASES.values()) >= 40
    for case in CASES.values():
        assert len(VALUES[case.id]["value"]) == len(VALUES[case.id]["control"]) == len(case.ks)


@pytest.mark.parametrize("id", CASES)
def test_the_check_passes_and_its_control_is_refuted(id):
    spec = THEOREMS[id]
    evidence = spec("smoke", 0)
    assert evidence.holds, (evidence, evidence.detail)
    assert evidence.instance_hardness > 0.2
    (control,) = spec.controls
    assert control("smoke", 0).verdict == "violated"


@pytest.mark.parametrize(
    "id",
    [
        "worst-dr-residual-1-5",
        "worst-halpern-finding",
        "worst-bregman-gap-any-0-5",
        "worst-ngn-step-1-0-1",
        "worst-heavy-ball",
    ],
)
def test_the_table_is_what_the_solver_says(id):
    pytest.importorskip("PEPit")
    case = CASES[id]
    np.testing.assert_allclose(case.computed(wrong=False, confirm=False), VALUES[id]["value"], rtol=1e-3)


def test_a_table_that_differs_is_noticed(monkeypatch):
    pytest.importorskip("PEPit")
    case = CASES["worst-gradient-step-1"]
    assert case.evidence("cpu", wrong=False).holds
    monkeypatch.setitem(VALUES, case.id, {"value": [0.80], "control": [4.0]})
    found = case.evidence("cpu", wrong=False)
    assert found.verdict == "inconclusive"
    assert found.detail["differ from the table"] == 1


def test_a_method_that_does_worse_than_its_class_is_caught(monkeypatch):
    """The library's rule with a quarter in place of a half takes longer steps than the table knows of."""
    from optlab.compiled.rules import step_rule
    from optlab.stochastic import NGN

    def longer(loss, squared_norm, step_size, k, parameters, memory):
        return step_size * loss / (loss + 0.25 * step_size * squared_norm)

    monkeypatch.setattr(NGN, "rule", step_rule(longer))
    assert CASES["worst-ngn-step-1000-0-1"].evidence("smoke", wrong=False).verdict == "violated"
