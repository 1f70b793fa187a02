"""Worst cases of the first-order methods' own steps, against closed forms of the literature and PEPit's examples."""

from __future__ import annotations

import pytest

from optlab.firstorder import FISTA, DavisYin, GradientDescent, ProximalGradient
from optlab.theory import CompositeConvex, worst_case

pytest.importorskip("PEPit")


@pytest.mark.parametrize("k", [1, 2, 4])
def test_gradient_descent_attains_its_bound(k):
    found = worst_case(GradientDescent(), CompositeConvex(2.0, terms=0), k=k, metric="gap", confirm=False)
    assert found.value == pytest.approx(2.0 / (4 * k + 2), rel=1e-5)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_proximal_gradient_attains_its_bound(k):
    found = worst_case(ProximalGradient(), CompositeConvex(2.0, terms=1), k=k, metric="gap", confirm=False)
    assert found.value == pytest.approx(2.0 / (4 * k), rel=1e-5)


def test_proximal_gradient_contracts_with_strong_convexity():
    # PEPit's example proximal_gradient: max(1 - mu t, L t - 1)^(2k)
    found = worst_case(ProximalGradient(), CompositeConvex(1.0, 0.1, terms=1), k=2, metric="distance", confirm=False)
    assert found.value == pytest.approx(0.9**4, rel=1e-5)


@pytest.mark.parametrize(("k", "ratio"), [(1, 0.50), (2, 0.65), (4, 0.78)])
def test_fista_stays_below_its_bound(k, ratio):
    t = 0.0
    for _ in range(k):
        t = 0.5 * (1 + (1 + 4 * t**2) ** 0.5)
    bound = 1.0 / (2 * t**2)
    found = worst_case(FISTA(), CompositeConvex(1.0, terms=1), k=k, metric="gap", confirm=False)
    assert found.value / bound == pytest.approx(ratio, abs=0.006)


def test_davis_yin_contracts_as_in_pepits_example():
    # PEPit's three_operator_splitting has no closed form; without relaxation the residual's proven bound holds
    k, lam, gamma = 3, 1.0, 1.0
    found = worst_case(DavisYin(), CompositeConvex(1.0, terms=2), k=k, metric="residual", confirm=False)
    assert 0.1 < found.value * (k + 1) * lam * (2 - gamma / 2 - lam) <= 1.0


def test_a_step_beyond_the_range_exceeds_the_bound():
    found = worst_case(GradientDescent(2.1), CompositeConvex(1.0, terms=0), k=4, metric="gap", confirm=False)
    assert found.value > 2 * (1.0 / 18)
