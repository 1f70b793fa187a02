"""Worst cases from the library's own steps: closed forms of the literature, and what cannot be said."""

import numpy as np
import pytest
from script_methods import Descent, Extragradient

import optlab
from optlab.core.errors import IncompatibleError
from optlab.firstorder import GradientDescent, ProximalGradient
from optlab.splitting import (
    AndersonDouglasRachford,
    BregmanADMM,
    BregmanDouglasRachford,
    BregmanPeacemanRachford,
    HalpernDouglasRachford,
)
from optlab.wrappers import Averaged, Halpern, Lookahead

pytest.importorskip("PEPit")
from optlab.theory import (
    CocoercivePair,
    CompositeConvex,
    ConvexPair,
    MonotoneLipschitz,
    MonotonePair,
    RelativelySmooth,
    RelativelySmoothPair,
    SmoothConvex,
    worst_case,
)


def test_douglas_rachford_on_monotone_pairs():
    found = worst_case(BregmanDouglasRachford(1.0), MonotonePair(), k=[0, 1, 2, 4], metric="residual")
    np.testing.assert_allclose(found.value, [1, 1 / 4, 4 / 27, 4**4 / 5**5], rtol=1e-5)
    assert found.status == ("confirmed",) * 4
    assert found.seconds > 0
    assert all(weight > 0 for weight in found.multipliers[1].values())


def test_the_step_size_does_not_matter_for_monotone_pairs_and_relaxation_does():
    for gamma in (0.1, 7.0):
        assert worst_case(BregmanDouglasRachford(gamma), MonotonePair(), k=2, metric="residual").value == pytest.approx(
            4 / 27, rel=1e-5
        )
    reflected = worst_case(BregmanPeacemanRachford(1.0), MonotonePair(), k=[1, 4], metric="residual")
    np.testing.assert_allclose(reflected.value, 4.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("relaxation", "bound"), [(2.0, lambda k: 4 / (k + 1) ** 2), (1.0, lambda k: 4 / (k + 2) ** 2)]
)
def test_halpern_by_name_and_as_a_wrapper(relaxation, bound):
    for method in (
        HalpernDouglasRachford(1.0, relaxation, restart=None),
        Halpern(BregmanDouglasRachford(1.0, relaxation)),
    ):
        found = worst_case(method, MonotonePair(), k=[1, 3], metric="residual")
        np.testing.assert_allclose(found.value, [bound(1), bound(3)], rtol=1e-5)


class FadingAnchor(Halpern):
    @staticmethod
    def _weight(since):
        return 1.0 / (since + 3.0)


def test_a_wrong_weight_breaks_halperns_bound():
    found = worst_case(FadingAnchor(BregmanDouglasRachford(1.0, 2.0)), MonotonePair(), k=[1, 3], metric="residual")
    np.testing.assert_allclose(found.value, [1.125, 0.570], rtol=1e-2)


def test_the_bregman_theorem_is_attained_over_all_kernels_and_not_for_the_quadratic_one():
    for gamma in (0.3, 1.0):
        method = BregmanDouglasRachford(gamma)
        every = worst_case(method, RelativelySmoothPair(), k=[1, 2], metric="average_gap")
        np.testing.assert_allclose(every.value, [1 / gamma, 1 / (2 * gamma)], rtol=1e-4)
    one = worst_case(
        BregmanDouglasRachford(1.0), RelativelySmoothPair(kernel="euclidean"), k=[1, 2, 4], metric="average_gap"
    )
    np.testing.assert_allclose(one.value, [1 / 2, 1 / 3, 1 / 5], rtol=1e-4)
    beyond = worst_case(BregmanDouglasRachford(1.05), RelativelySmoothPair(), k=1, metric="average_gap")
    assert beyond.value == np.inf
    assert beyond.status == "unbounded"


@pytest.mark.parametrize("gamma", [0.3, 1.0])
def test_the_linear_rate_of_relatively_strongly_convex_pairs(gamma):
    mu = 0.2
    method = BregmanDouglasRachford(gamma)
    every = worst_case(method, RelativelySmoothPair(1.0, mu), k=1, metric="lyapunov")
    assert every.value == pytest.approx(1 / (1 + gamma * mu), rel=1e-4)
    one = worst_case(method, RelativelySmoothPair(1.0, mu, "euclidean"), k=1, metric="lyapunov")
    assert one.value == pytest.approx(1 / (1 + gamma * mu) ** 2, rel=1e-4)


def test_stronger_assumptions_give_smaller_worst_cases():
    method, options = BregmanDouglasRachford(1.0), {"k": 2, "metric": "distance"}
    monotone = worst_case(method, MonotonePair(), **options).value
    strong = worst_case(method, MonotonePair(strong_monotonicity=1.0), **options).value
    cocoercive = worst_case(method, CocoercivePair(1.0, strong_monotonicity=1.0), **options).value
    both = worst_case(method, ConvexPair(smoothness=4.0, strong_convexity=1.0), **options).value
    assert monotone == pytest.approx(1.0, rel=1e-4)
    assert strong == pytest.approx(1.0, rel=1e-4)  # one strongly monotone operator does not make z contract
    assert max(cocoercive, both) < 0.999
    # Giselsson and Boyd 2017: max((1 - g mu) / (1 + g mu), (g L - 1) / (g L + 1)) averaged with 1, a step
    rate = 0.5 + 0.5 * max((1 - 1) / (1 + 1), (4 - 1) / (4 + 1))
    assert both <= rate ** (2 * 2) * (1 + 1e-4)


def test_a_method_of_a_script():
    L = 2.0
    found = worst_case(Descent(1 / L), SmoothConvex(L), k=[1, 4], metric="gap")
    np.testing.assert_allclose(found.value, [L / 6, L / 18], rtol=1e-5)  # L / (2 (2k + 1)), Drori and Teboulle 2014
    strong = worst_case(Descent(1.0), SmoothConvex(1.0, 0.1), k=1, metric="distance")
    assert strong.value == pytest.approx(0.9**2, rel=1e-4)
    expanding = worst_case(Descent(1.0), SmoothConvex(1.0), k=1, metric="distance").value
    assert expanding == pytest.approx(1.0, rel=1e-4)
    ahead = worst_case(Extragradient(0.5), MonotoneLipschitz(1.0), k=1, metric="distance")
    assert ahead.value <= 1 + 1e-4
    assert worst_case(Descent(0.5), SmoothConvex(), k=1, metric="gap", confirm=False).solver == "CLARABEL"


def test_wrappers_of_a_script_method():
    problem = SmoothConvex(1.0, 0.1)
    plain = worst_case(Descent(1.0), problem, k=2, metric="distance").value
    half = worst_case(Lookahead(Descent(1.0), 1, 0.5), problem, k=2, metric="distance").value
    assert plain == pytest.approx(0.9**4, rel=1e-4)
    assert half == pytest.approx(0.95**4, rel=1e-4)


def test_what_cannot_be_said_is_said():
    with pytest.raises(TypeError, match="cannot run on symbolic points"):
        worst_case(HalpernDouglasRachford(1.0), MonotonePair(), k=3, metric="residual")
    with pytest.raises(TypeError, match="cannot run on symbolic points"):
        worst_case(AndersonDouglasRachford(1.0), MonotonePair(), k=3, metric="residual")
    with pytest.raises(optlab.IncompatibleError, match="has no initial_blocks"):
        worst_case(BregmanADMM(1.0), MonotonePair(), k=1, metric="residual")
    with pytest.raises(optlab.IncompatibleError, match="array"):
        worst_case(Averaged(BregmanDouglasRachford(1.0)), MonotonePair(), k=1, metric="residual")
    with pytest.raises(ValueError, match="metric must be one of 'residual', 'distance'"):
        worst_case(BregmanDouglasRachford(1.0), MonotonePair(), k=1, metric="gap")
    with pytest.raises(TypeError, match="problem_class must be a class of"):
        worst_case(BregmanDouglasRachford(1.0), optlab, k=1, metric="gap")


def test_a_class_without_the_slots_of_a_method_is_refused():
    with pytest.raises(IncompatibleError, match="hold all"):
        worst_case(ProximalGradient(0.5), CompositeConvex(terms=2), k=1, metric="gap")
    with pytest.raises(IncompatibleError, match="the term 'smooth'"):
        worst_case(GradientDescent(0.5), RelativelySmooth(), k=1, metric="gap")
    with pytest.raises(ValueError, match="start must be"):
        worst_case(GradientDescent(0.5), SmoothConvex(), k=1, metric="gap", start="gap")
    with pytest.raises(ValueError, match=r"terms\[0\]\[1\]"):
        CompositeConvex(terms=[(1.0, 0.5)])
    with pytest.raises(ValueError, match="smoothness must be above"):
        RelativelySmooth(1.0, 2.0)
