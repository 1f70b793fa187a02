"""What every public method must do on every public problem: it runs and keeps the contract, or is refused by name."""

from __future__ import annotations

import warnings

import pytest
from cases import PROBLEMS, methods, problem_classes, wrapped

import optlab
from optlab.core.contract.capabilities import reason_against

METHODS = methods()
PAIRS = [(name, method, problem) for name, method in METHODS.items() for problem in PROBLEMS]
RUNNING = [(name, method, problem) for name, method, problem in PAIRS if not reason_against(PROBLEMS[problem], method)]
REFUSED = [pair for pair in PAIRS if pair not in RUNNING]


def ids(pairs):
    return [f"{name}-{problem}" for name, _, problem in pairs]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_described_cited_and_runs_somewhere(name):
    method = METHODS[name]
    assert optlab.cite(method).startswith("@")
    assert type(method).__doc__
    assert ">>>" in type(method).__doc__
    assert any(name == running for running, _, _ in RUNNING), "no public problem is accepted"


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_keeps_the_contract(problem):
    first = next(method for name, method, accepting in RUNNING if accepting == problem)
    optlab.check_problem(PROBLEMS[problem], optlab.solve(PROBLEMS[problem], first, max_iter=3, seed=0).solution)


@pytest.mark.parametrize(("name", "method", "problem"), RUNNING, ids=ids(RUNNING))
def test_an_accepted_pair_keeps_the_contract(name, method, problem):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # advice about the problem, the subject of its own tests
        optlab.check_method(method, PROBLEMS[problem])


@pytest.mark.parametrize("name", METHODS)
def test_refused_pairs_are_refused_before_anything_is_computed(name, monkeypatch):
    def computed(*args, **kwargs):
        raise RuntimeError("computed before it was refused")

    monkeypatch.setattr(type(METHODS[name]), "init", computed)
    for _, method, problem in [pair for pair in REFUSED if pair[0] == name]:
        with pytest.raises(optlab.IncompatibleError, match=type(method).__name__):
            optlab.solve(PROBLEMS[problem], method)


def test_the_accepted_pairs_are_the_ones_that_applicable_names():
    for problem in PROBLEMS.values():
        running = {row.method for row in optlab.applicable(problem) if row.runs}
        plain = {name for name, method in METHODS.items() if not reason_against(problem, method)}
        assert running == plain


# every wrapper around every method that it takes, on the first two problems that the pair accepts
WRAPPED = [
    (name, method, problem)
    for name, method in wrapped(METHODS).items()
    for problem in [problem for problem in PROBLEMS if not reason_against(PROBLEMS[problem], method)][:2]
]


@pytest.mark.parametrize(("name", "method", "problem"), WRAPPED, ids=ids(WRAPPED))
def test_a_wrapped_method_keeps_the_contract(name, method, problem):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        optlab.check_method(method, PROBLEMS[problem], iterations=10)


def test_every_public_problem_has_an_instance():
    # a base class, which is made through its subclasses only, has instances too
    missing = [cls.__name__ for cls in problem_classes() if not any(isinstance(p, cls) for p in PROBLEMS.values())]
    assert not missing, f"give tests/conformance/cases.py an instance of {missing}"
