"""Every transport problem and method takes potentials, a plan or an earlier result as its start, and uses it."""

from __future__ import annotations

import numpy as np
import pytest

import optlab
from optlab.datasets import transport_family
from optlab.splitting import BregmanADMM, BregmanDouglasRachford
from optlab.transport import (
    IPOT,
    AndersonSinkhorn,
    AnnealedSinkhorn,
    ExactTransport,
    GeneralizedSinkhorn,
    LinearProgram,
    NetworkSimplex,
    OptimalTransport,
    PartialOptimalTransport,
    PeerSinkhorn,
    QuadraticOptimalTransport,
    SemiDualLBFGS,
    SemismoothNewton,
    Sinkhorn,
    SinkhornNewton,
    UnbalancedOptimalTransport,
    WassersteinBarycenter,
    batch_transport,
    transport,
)

A, B, C = transport_family("l2", 30)


def linear():
    return OptimalTransport(A, B, C)


def entropic():
    return OptimalTransport(A, B, C, regularization=0.01)


def unbalanced():
    return UnbalancedOptimalTransport(A, 2 * B, C, penalty=0.5, regularization=0.01)


def partial():
    return PartialOptimalTransport(A, 2 * B, C, mass=0.7, regularization=0.01)


def barycenter():
    return WassersteinBarycenter(np.stack([B, B[::-1]]), C, regularization=0.01)


def quadratic():
    return QuadraticOptimalTransport(A, B, C, 1.0)


def limited():
    return QuadraticOptimalTransport(A, np.full(30, 1 / 30), C, 1.0, max_nonzeros=4)


ITERATIVE = [
    (entropic, Sinkhorn(), 1e-8),
    (entropic, Sinkhorn(overrelaxation="adaptive"), 1e-8),
    (entropic, AndersonSinkhorn(), 1e-8),
    (entropic, GeneralizedSinkhorn(), 1e-8),
    (entropic, SinkhornNewton(), 1e-8),
    (entropic, BregmanDouglasRachford(), 1e-8),
    (unbalanced, GeneralizedSinkhorn(), 1e-8),
    (unbalanced, BregmanDouglasRachford(), 1e-8),
    (partial, GeneralizedSinkhorn(), 1e-8),
    (partial, BregmanDouglasRachford(), 1e-8),
    (barycenter, GeneralizedSinkhorn(), 1e-6),
    (barycenter, BregmanDouglasRachford(), 1e-6),
    (quadratic, SemismoothNewton(), 1e-9),
    (quadratic, SemiDualLBFGS(), 1e-6),
    (limited, SemismoothNewton(), 1e-5),
]


NAMES = [f"{make.__name__}-{type(method).__name__}" for make, method, _ in ITERATIVE]


@pytest.mark.parametrize(("make", "method", "tol"), ITERATIVE, ids=NAMES)
def test_potentials_plans_and_results_save_iterations(make, method, tol):
    cold = optlab.solve(make(), method, tol=tol, max_iter=20_000, record=1)
    assert cold.success
    assert cold.n_iter >= 4
    for x0 in (cold.solution.potentials, cold.solution, cold):
        warm = optlab.solve(make(), method, x0=x0, tol=tol, max_iter=20_000, record=1)
        assert warm.success
        assert warm.n_iter <= cold.n_iter // 2


@pytest.mark.parametrize("method", [BregmanDouglasRachford(), BregmanADMM(), IPOT()], ids=lambda m: type(m).__name__)
def test_first_order_methods_have_the_bound_at_once_and_lose_little(method):
    """Without regularization the plan has to be found anew; at a much colder start it would take longer still."""
    exact = optlab.solve(linear(), NetworkSimplex(), max_iter=1).solution
    cold = optlab.solve(linear(), method, tol=1e-2, max_iter=5000, record=1)
    for x0 in (exact.potentials, exact):
        warm = optlab.solve(linear(), method, x0=x0, tol=1e-2, max_iter=5000, record=1)
        assert warm.success
        assert warm.history["dual_objective"][0] == pytest.approx(exact.cost, rel=1e-9)
        assert cold.history["dual_objective"][0] < 0.99 * exact.cost
        assert warm.n_iter <= 1.5 * cold.n_iter


@pytest.mark.parametrize("make", [linear, entropic, unbalanced, partial, barycenter, quadratic, limited])
def test_bad_starts_are_refused(make):
    methods = {
        linear: [BregmanDouglasRachford(), ExactTransport(), NetworkSimplex(), LinearProgram(), IPOT(), PeerSinkhorn()],
        entropic: [Sinkhorn(), SinkhornNewton(), AndersonSinkhorn(), AnnealedSinkhorn(), PeerSinkhorn()],
        quadratic: [SemismoothNewton(), SemiDualLBFGS()],
        limited: [SemismoothNewton()],
    }.get(make, [GeneralizedSinkhorn(), BregmanDouglasRachford()])
    f = np.zeros(30)
    bad = [(f[:-1], f), (f, np.zeros((30, 1))), (np.full(30, np.nan), f)]
    if make is barycenter:
        bad = [[pair, pair] for pair in bad] + [[(f, f)]]
    for method in methods:
        for x0 in bad:
            with pytest.raises(ValueError, match="x0"):
                optlab.solve(make(), method, x0=x0, max_iter=1)
        for x0 in ("warm", 3.0):
            with pytest.raises(TypeError, match="x0 must be None"):
                optlab.solve(make(), method, x0=x0, max_iter=1)


def test_the_network_simplex_starts_from_potentials():
    """From optimal ones two pivots suffice; without them, or from wrong ones, they do not."""
    exact = optlab.solve(linear(), NetworkSimplex(), max_iter=1)
    few = NetworkSimplex(max_pivots=2)
    assert not optlab.solve(linear(), few, tol=1e-9, max_iter=1).success
    wrong = tuple(-p for p in exact.solution.potentials)
    assert not optlab.solve(linear(), few, x0=wrong, tol=1e-9, max_iter=1).success
    for x0 in (exact, exact.solution, exact.solution.potentials):
        assert optlab.solve(linear(), few, x0=x0, tol=1e-9, max_iter=1).success
    # units, and points without mass, are taken into account
    a = np.where(np.arange(30) == 3, 0.0, A)
    problem = OptimalTransport(7.0 * a / a.sum(), 7.0 * B, 1e3 * C - 50.0)
    cold = optlab.solve(problem, NetworkSimplex(), max_iter=1)
    warm = optlab.solve(problem, few, x0=cold.solution.potentials, tol=1e-9, max_iter=1)
    assert warm.success
    assert warm.metrics["cost"] == pytest.approx(cold.metrics["cost"], rel=1e-12)


def test_pots_sinkhorn_starts_from_potentials():
    cold = optlab.solve(entropic(), Sinkhorn(), tol=1e-10, max_iter=20_000).solution
    for x0 in (cold, cold.potentials):
        short = PeerSinkhorn(max_iter=2)
        assert optlab.solve(entropic(), short, x0=x0, max_iter=1).metrics["relative_gap"] < 1e-8
    assert optlab.solve(entropic(), short, max_iter=1).metrics["relative_gap"] > 1e-3


def test_exact_transport_starts_from_potentials():
    cold = optlab.solve(linear(), ExactTransport(), tol=1e-9, max_iter=50)
    warm = optlab.solve(linear(), ExactTransport(), x0=cold.solution.potentials, tol=1e-9, max_iter=50)
    assert warm.success
    assert warm.history["dual_objective"][0] == pytest.approx(cold.metrics["cost"], rel=1e-9)
    assert cold.history["dual_objective"][0] < 0.99 * cold.metrics["cost"]


@pytest.mark.parametrize("method", ["emd", "exact", "bdrs", "auto"])
def test_the_one_call_passes_a_start_on(method):
    exact = transport(A, B, C, method="emd")
    f, g = exact.solution.potentials
    result = transport(A, B, C, method=method, x0=(f, g), tol=1e-3, record=1)
    assert result.success
    assert result.history["dual_objective"][0] == pytest.approx(exact.metrics["cost"], rel=1e-6)
    with pytest.raises(ValueError, match=r"x0\[0\] must have shape \(30,\)"):
        transport(A, B, C, method=method, x0=(f[:-1], g))


def test_a_batch_refuses_bad_potentials():
    count = 3
    costs = np.stack([C] * count)
    cold = batch_transport(A, B, costs, 0.05)
    warm = batch_transport(A, B, costs, 0.05, x0=(cold.f, cold.g))
    assert warm.n_iter.max() < cold.n_iter.min()
    with pytest.raises(ValueError, match=r"x0\[0\] must have shape"):
        batch_transport(A, B, costs, 0.05, x0=(cold.f[:2], cold.g))
    with pytest.raises(ValueError, match=r"x0\[1\] must have shape"):
        batch_transport(A, B, costs, 0.05, x0=(cold.f, cold.g[:, :-1]))


def test_a_barycenter_starts_where_another_ended():
    """With weights moved a little, from the potentials of all plans: what they violate of the dual is taken off."""
    histograms = np.stack([B, B[::-1]])
    first = optlab.solve(barycenter(), GeneralizedSinkhorn(), tol=1e-6, max_iter=5000).solution
    nearby = WassersteinBarycenter(histograms, C, weights=[0.51, 0.49], regularization=0.01)
    counts = [
        optlab.solve(nearby, GeneralizedSinkhorn(), x0=x0, tol=1e-4, max_iter=5000, record=1).n_iter
        for x0 in (None, first.potentials, first)
    ]
    assert max(counts[1:]) < counts[0] < 5000
    histograms[0, 4] = 0.0
    histograms[0] /= histograms[0].sum()
    holes = WassersteinBarycenter(histograms, C, regularization=0.01)
    answer = optlab.solve(holes, GeneralizedSinkhorn(), max_iter=50).solution
    assert answer.potentials[0][1][4] == -np.inf
    mirror = holes.initial_mirror(answer.potentials)
    np.testing.assert_allclose(mirror.plans[0].column, answer.mirror.plans[0].column, rtol=1e-12)
