"""MASHA: bits, the textbook loop, convergence at the proved step, and what does not converge."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest

import optlab
from optlab.bregman.functions import Box
from optlab.compression import Dithering, NaturalCompression, NoCompression, RandK, TopK
from optlab.core.errors import IncompatibleError
from optlab.games import MASHA, FiniteSumInclusion


def workers(M=5, d=12, mu=0.1, seed=0, constraint=None):
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(M, d, d)) / np.sqrt(d)
    return FiniteSumInclusion(mu * np.eye(d) + (S - S.transpose(0, 2, 1)) / 2, rng.normal(size=(M, d)), constraint)


def run(problem, method, n, **options):
    return optlab.solve(problem, method, max_iter=n, tol=None, progress=False, **{"seed": 0, **options})


@pytest.mark.parametrize(
    "method",
    [MASHA(c) for c in (RandK(3), NaturalCompression(), Dithering(4), NoCompression())]
    + [MASHA(RandK(3), server=NaturalCompression()), MASHA(RandK(6), server=RandK(6))],
    ids=repr,
)
def test_the_lyapunov_function_falls_at_the_proved_rate(method):
    problem = workers()
    star, x0 = problem.solution(), np.zeros(12)
    gamma, tau = method.proved_step_size(problem), method.snapshot_tau(problem)
    K = int(np.ceil(6.0 / (gamma * problem.strong_monotonicity)))
    ends = []
    for seed in range(4):
        z = run(problem, method, K, x0=x0, seed=seed).solution
        ends.append(tau * np.sum((z - star) ** 2))
    start = (1 + tau) * np.sum((x0 - star) ** 2)
    assert np.mean(ends) <= (1 - gamma * problem.strong_monotonicity / 2) ** K * start


def test_without_compression_it_is_extragradient_with_snapshots():
    problem, method = workers(), MASHA(NoCompression(), tau=0.5, step_size=0.2)
    states = list(islice(optlab.iterate(problem, method, seed=3), 40))
    for before, after in pairwise(states):
        anchor = 0.5 * before.z + 0.5 * before.snapshot
        half = anchor - 0.2 * problem.full(before.snapshot)
        np.testing.assert_allclose(after.z, anchor - 0.2 * problem.full(half), rtol=1e-10, atol=1e-12)
        assert np.array_equal(after.snapshot, after.z) or np.array_equal(after.snapshot, before.snapshot)
    assert states[-1].snapshots > 5


def test_bits_and_calls_are_counted():
    problem = workers()
    result = run(problem, MASHA(RandK(3), tau=0.75), 200, record=1)
    history, K = result.history, 200
    snapshots = history["snapshots"][-1]
    assert history["bits_up"][-1] == snapshots * 64 * 12 + K * 3 * 64
    assert history["bits_down"][-1] == snapshots * 64 * 12 + K * 64 * 12
    assert history["oracle_calls"][-1] == 5 * (snapshots + K)
    assert 20 < snapshots < 80


def test_constraints_are_kept_to():
    problem = workers(constraint=Box(-0.2, 0.2))
    result = optlab.solve(problem, MASHA(), tol=1e-8, max_iter=30_000, seed=0, progress=False)
    assert result.success
    assert np.abs(result.solution).max() <= 0.2


def test_five_times_the_proved_step_diverges():
    problem = workers()
    method = MASHA(RandK(1), step_size=5 * MASHA(RandK(1)).proved_step_size(problem))
    assert run(problem, method, 3000).metrics["residual"] > 1e3 * run(problem, MASHA(RandK(1)), 0).metrics["residual"]


def test_biased_compressors_need_a_step_and_their_memory():
    problem = workers()
    with pytest.raises(IncompatibleError, match="needs a step size where a compressor is biased"):
        run(problem, MASHA(TopK(2)), 1)
    with pytest.raises(IncompatibleError, match="without a constraint"):
        run(workers(constraint=Box(-1, 1)), MASHA(TopK(2), step_size=0.1), 1)
    fed = run(problem, MASHA(TopK(2), step_size=0.15, tau=0.9), 6000).metrics["residual"]
    assert fed < 1e-6


def test_resumed_runs_are_whole_runs(tmp_path):
    problem, file = workers(), tmp_path / "run.npz"
    run(problem, MASHA(RandK(3)), 20, checkpoint=file)
    joined = run(problem, MASHA(RandK(3)), 50, checkpoint=file, resume=True)
    assert np.array_equal(joined.solution, run(problem, MASHA(RandK(3)), 50).solution)


def test_arguments():
    with pytest.raises(TypeError, match="compressor must be a Compressor"):
        MASHA("top")
    with pytest.raises(ValueError, match="tau"):
        MASHA(tau=1.0)
