"""What a step costs beside the bare NumPy statements of its box, and an iteration of transport beside its kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.benchmarks import Row, benchmark, compare_row, interleave
from optlab.core.running.run import prepared


def _step(problem: Any, method: Any) -> Callable[[], Any]:
    """Return a call of `step` from a state some iterations on, prepared as a run prepares it."""
    method = prepared(method, problem)
    state = method.init(problem, None, np.random.default_rng(0))
    for _ in range(3):
        state = method.step(problem, state)
    return lambda: method.step(problem, state)


def _euclidean(n: int, seed: int) -> tuple[Any, Callable[[], Any]]:
    """Soft-thresholding and the distance to a point, under the Euclidean kernel."""
    from optlab.bregman import SquaredEuclidean
    from optlab.bregman.functions import L1Norm, SquaredDistance
    from optlab.splitting import CompositeProblem

    q, z = np.random.default_rng(seed).standard_normal((2, n))
    gamma, weight, relaxation = 1.0, 0.3, 1.0

    def bare() -> Any:
        x = (z + gamma * q) / (1.0 + gamma)
        reflected = 2.0 * x - z
        y = np.sign(reflected) * np.maximum(np.abs(reflected) - gamma * weight, 0.0)
        return z + relaxation * (y - x)

    return CompositeProblem(L1Norm(weight), SquaredDistance(q), SquaredEuclidean(), shape=n), bare


def _shannon(n: int, seed: int) -> tuple[Any, Callable[[], Any]]:
    """The simplex and the divergence from a point, under Shannon's entropy."""
    from optlab.bregman import ShannonEntropy
    from optlab.bregman.functions import KullbackLeibler, Simplex
    from optlab.splitting import CompositeProblem

    q = np.random.default_rng(seed).random(n) + 0.1
    gamma, relaxation, log_q = 1.0, 1.0, np.log(q)
    z = np.random.default_rng(seed + 1).standard_normal(n)

    def bare() -> Any:
        x = (z + gamma * log_q) / (1.0 + gamma)
        reflected = 2.0 * x - z
        top = reflected.max()
        y = reflected - (top + np.log(np.exp(reflected - top).sum()))
        return z + relaxation * (y - x)

    return CompositeProblem(Simplex(1.0), KullbackLeibler(q), ShannonEntropy(), shape=n), bare


def _shannon_distance(n: int, seed: int) -> tuple[Any, Callable[[], Any]]:
    """The 1-norm and the Euclidean distance to a point, under Shannon's entropy: Wright's omega at every entry."""
    from scipy import special

    from optlab.bregman import ShannonEntropy
    from optlab.bregman.functions import L1Norm, SquaredDistance
    from optlab.splitting import CompositeProblem

    q = np.random.default_rng(seed).uniform(0.1, 2.0, n)
    gamma, weight, relaxation = 1.0, 0.3, 1.0
    z = np.random.default_rng(seed + 1).standard_normal(n)

    def bare() -> Any:
        s = z + gamma * q
        w = special.wrightomega(s + np.log(gamma))
        large = w > 1.0  # s - w cancels there
        x = np.where(large, np.log(np.where(large, w, 1.0)) - np.log(gamma), s - w)
        reflected = 2.0 * x - z
        y = reflected - gamma * weight
        return z + relaxation * (y - x)

    return CompositeProblem(L1Norm(weight), SquaredDistance(q), ShannonEntropy(), shape=n), bare


@benchmark(id="overhead", title="One step beside the bare statements of its box")
def overhead(scale: str, seed: int) -> list[Row]:
    """Time a Bregman Douglas-Rachford step, and one of dense transport against its two half-step kernels."""
    from optlab.splitting import BregmanDouglasRachford
    from optlab.transport import OptimalTransport

    method = BregmanDouglasRachford(1.0)
    rows: list[Row] = []
    for kernel, make in (
        ("Euclidean", _euclidean),
        ("Shannon", _shannon),
        ("Shannon, Euclidean distance", _shannon_distance),
    ):
        for n, bar in ((30, "<= 3"), (1_000, "<= 1.3"), (100_000, "<= 1.3")):
            problem, bare = make(n, seed)
            times = interleave({"step": _step(problem, method), "bare": bare}, repeats=5 if scale == "smoke" else 15)
            name = f"Douglas-Rachford, {kernel}, n = {n:,}"
            rows.append(compare_row(name, times, ours="step", peer="bare", ratio="cost", bar=bar))
    size = 100
    rng = np.random.default_rng(seed)
    weights = np.full(size, 1.0 / size)
    transport = OptimalTransport(weights, weights, rng.random((size, size)))
    ready = prepared(method, transport)
    state = ready.init(transport, None, rng)
    for _ in range(3):
        state = ready.step(transport, state)
    cost, mirror = transport.active_cost, state.z

    def half_steps() -> None:
        cost.logsumexp_rows(mirror.column, mirror.inverse_temperature)
        cost.logsumexp_columns(mirror.row, mirror.inverse_temperature)

    calls: dict[str, Callable[[], Any]] = {"step": lambda: ready.step(transport, state), "half-steps": half_steps}
    times = interleave(calls, repeats=5 if scale == "smoke" else 15)
    name = f"Douglas-Rachford, dense transport, {size} x {size}"
    return [*rows, compare_row(name, times, ours="step", peer="half-steps", ratio="cost", bar="<= 1.5")]
