"""Anderson acceleration of Sinkhorn's iteration: faster, safe, and the same answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.datasets import transport_family
from optlab.transport import AndersonSinkhorn, OptimalTransport, Sinkhorn


@pytest.mark.parametrize(("family", "factor"), [("l2", 5), ("rand", 5), ("gauss2d", 5)])
def test_it_needs_a_fraction_of_sinkhorns_iterations(family, factor):
    problem = OptimalTransport(*transport_family(family, 40), regularization=0.002)
    plain = optlab.solve(problem, Sinkhorn(), tol=1e-9, max_iter=20_000)
    fast = optlab.solve(problem, AndersonSinkhorn(), tol=1e-9, max_iter=20_000)
    assert fast.success
    assert fast.n_iter < plain.n_iter / factor
    assert fast.metrics["objective"] == pytest.approx(plain.metrics["objective"], rel=1e-8)


def test_the_dual_objective_never_falls():
    problem = OptimalTransport(*transport_family("l2", 30), regularization=5e-4)
    values = []
    for state in optlab.iterate(problem, AndersonSinkhorn()):
        values.append(state.value)
        if state.k == 300:
            break
    values = np.array(values[1:])
    assert np.all(np.diff(values) >= -1e-12 * np.abs(values[1:]))
    assert state.rejected > 0  # so that the safeguard was at work


@settings(deadline=None, derandomize=True, max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 10), st.integers(1, 10), st.sampled_from([0.02, 1.0, 1e3]), st.booleans())
def test_hard_data(seed, n, m, eps, ties):
    rng = np.random.default_rng(seed)
    a, b, C = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(m)), rng.random((n, m))
    problem = OptimalTransport(a, b, np.round(2 * C) if ties else C, regularization=eps)
    assert optlab.solve(problem, AndersonSinkhorn(), tol=1e-8, max_iter=5000).success


def test_memory_one_and_bad_input():
    a, b, C = transport_family("l2", 12)
    problem = OptimalTransport(a, b, C, regularization=0.05)
    assert optlab.solve(problem, AndersonSinkhorn(memory=1), tol=1e-8).success
    with pytest.raises(ValueError, match="memory must be an integer of at least 1"):
        AndersonSinkhorn(memory=0)
    with pytest.raises(ValueError, match="regularization must be a number above 0"):
        AndersonSinkhorn(regularization=0.0)
