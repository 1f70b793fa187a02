"""Infima of logistic and softmax regression without ridge: attained, not attained, and quickly found to be 0."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize

from optlab.stochastic import LogisticRegression, SoftmaxRegression
from optlab.stochastic.problems import separation

RNG = np.random.default_rng(0)
A = RNG.standard_normal((60, 3))
SIGNS = np.where(A[:, 0] + RNG.standard_normal(60) > 0, 1.0, -1.0)
LABELS = RNG.integers(0, 3, 60)


def lowest(problem):
    """The minimum as a solver sees it: above the infimum."""

    def value_gradient(w):
        value, gradient = problem.objective_and_gradient(w.reshape(problem.shape))
        return value, gradient.ravel()

    options = {"maxiter": 5000, "gtol": 1e-12}
    return minimize(value_gradient, np.zeros(problem.size), jac=True, method="BFGS", options=options).fun


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
def test_attained_minima_are_bounded_tightly_from_below(kind):
    for problem in (LogisticRegression(kind(A), SIGNS), SoftmaxRegression(kind(A), LABELS)):
        assert problem.f_star_reason == separation.DUAL
        assert problem.f_star == pytest.approx(lowest(problem), abs=1e-9)
        assert problem.f_star <= lowest(problem) + 1e-14


def test_the_scale_of_the_features_does_not_matter():
    plain = LogisticRegression(A, SIGNS).f_star
    scaled = A * [1e-6, 1.0, 1e7]
    assert LogisticRegression(scaled, SIGNS).f_star == pytest.approx(plain, abs=1e-9)
    repeated = np.hstack([A, A @ np.ones((3, 2))])
    assert LogisticRegression(repeated, SIGNS).f_star == pytest.approx(plain, abs=1e-9)


@pytest.mark.parametrize("margin", [1.0, 1e-3, 1e-6])
def test_separable_data(margin):
    y = np.where(A[:, 0] > 0, 1.0, -1.0)
    data = A + margin * y[:, None] * [1.0, 0.0, 0.0]
    problem = LogisticRegression(data, y)
    assert (problem.f_star, problem.f_star_reason) == (0.0, separation.SEPARABLE)
    labels = np.argmax(A, axis=1)
    classes = SoftmaxRegression(A + margin * np.eye(3)[labels], labels)
    assert (classes.f_star, classes.f_star_reason) == (0.0, separation.SEPARABLE)


def partly_separable():
    """Ten samples have a feature of their own that gives their label away; the infimum is that of the others."""
    own = np.arange(60) < 10
    labels = np.where(own, 2, LABELS)
    pairs = [
        (LogisticRegression(np.column_stack([A, own * SIGNS]), SIGNS), LogisticRegression(A[~own], SIGNS[~own])),
        (SoftmaxRegression(np.column_stack([A, own]), labels), SoftmaxRegression(A[~own], labels[~own])),
    ]
    return [(whole, rest.f_star * 50 / 60) for whole, rest in pairs]


def test_partly_separable_data_by_descent_and_by_the_programme(monkeypatch):
    for problem, expected in partly_separable():
        assert problem.f_star == pytest.approx(expected, abs=1e-9)
        labels = problem.labels if hasattr(problem, "labels") else (problem.targets > 0).astype(int)
        mask = separation._separating(problem.A, labels, int(labels.max()) + 1)
        assert mask[:10].sum() == 10 * labels.max()  # all the wrong classes
        assert not mask[10:].any()
    # where the dual point of the first attempt is not good enough, the programme helps
    fresh, attempts = partly_separable(), []
    original = separation._bound_and_value

    def loose(data, labels, keep):
        attempts.append(keep)
        bound, value = original(data, labels, keep)
        return (bound - 1e-3, value) if len(attempts) == 1 else (bound, value)

    monkeypatch.setattr(separation, "_bound_and_value", loose)
    for problem, expected in fresh[:1]:
        attempts.clear()
        assert problem.f_star == pytest.approx(expected, abs=1e-12)
        assert problem.f_star_reason == separation.PARTLY
        assert attempts[1].sum() == 110


def test_data_that_separate_only_for_the_programme(monkeypatch):
    monkeypatch.setattr(separation, "_bound_and_value", lambda *_: (0.0, 1.0))
    problem = LogisticRegression(A, np.where(A[:, 0] > 0, 1.0, -1.0))
    assert (problem.f_star, problem.f_star_reason) == (0.0, separation.SEPARABLE)


def test_a_large_problem_takes_the_way_without_second_derivatives(monkeypatch):
    monkeypatch.setattr(separation, "_NEWTON_SIZE", 0)
    for make in (np.asarray, sp.csr_matrix):
        problem = LogisticRegression(make(A), SIGNS)
        assert problem.f_star_reason == separation.DUAL
        assert problem.f_star <= lowest(problem) + 1e-14
        assert problem.f_star == pytest.approx(lowest(problem), abs=1e-7)
    monkeypatch.setattr(separation, "_DENSE_WORK", 0)
    assert LogisticRegression(sp.csr_matrix(A), SIGNS).f_star == pytest.approx(lowest(problem), abs=1e-7)


def test_reasons_of_the_other_cases():
    assert LogisticRegression(A, SIGNS, l2=0.1).f_star_reason == "strong convexity at the minimiser"
    assert LogisticRegression(A, SIGNS, f_star=None).f_star_reason == "not known"
    assert LogisticRegression(A, SIGNS, f_star=0.1).f_star_reason == "given"
