"""What the library adds to the arithmetic of an iteration: prepared steps against the same statements in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from optlab.benchmarks import Row, benchmark, compare_row, interleave
from optlab.bregman import ShannonEntropy, SquaredEuclidean
from optlab.bregman.functions import L1Norm, SquaredDistance
from optlab.core.run import prepared
from optlab.splitting import BregmanDouglasRachford, CompositeProblem

GAMMA, WEIGHT = 1.0, 0.3


def euclidean_step(z: Any, q: Any) -> Any:
    """One Douglas-Rachford step for ``0.3 |x|_1 + |x - q|^2 / 2``, as one would write it down."""
    x = (z + GAMMA * q) / (1.0 + GAMMA)
    reflected = 2.0 * x - z
    y = np.sign(reflected) * np.maximum(np.abs(reflected) - GAMMA * WEIGHT, 0.0)
    return z + (y - x)


def shannon_step(z: Any, q: Any) -> Any:
    """The same under Shannon's entropy: z is a logarithm, and x solves ``log x + gamma (x - q) = z``."""
    s = z + GAMMA * q
    w = special.wrightomega(s + np.log(GAMMA))
    large = w > 1.0  # s - w cancels there
    x = np.where(large, np.log(np.where(large, w, 1.0)) - np.log(GAMMA), s - w)
    reflected = 2.0 * x - z
    y = reflected - GAMMA * WEIGHT
    return z + (y - x)


def stepper(kernel: Any, q: np.ndarray, steps: int) -> tuple[Any, Any]:
    """Return the library's loop of `steps` prepared steps and the bare one, both as functions that return z."""
    problem = CompositeProblem(L1Norm(WEIGHT), SquaredDistance(q), kernel)
    method = prepared(BregmanDouglasRachford(GAMMA), problem)
    start = method.init(problem, np.full(q.size, 0.5), None)
    bare = euclidean_step if isinstance(kernel, SquaredEuclidean) else shannon_step

    def ours() -> Any:
        state, step = start, method.step
        for _ in range(steps):
            state = step(problem, state)
        return state.z

    def theirs() -> Any:
        z = start.z
        for _ in range(steps):
            z = bare(z, q)
        return z

    return ours, theirs


@benchmark(id="overhead-bregman-step", title="A Bregman Douglas-Rachford step against the same NumPy statements")
def bregman_step(scale: str, seed: int) -> list[Row]:
    """Of ``L1Norm + SquaredDistance``; the bars are 3 at n = 30 and 1.3 from n = 1,000 on."""
    rows: list[Row] = []
    for kernel in (SquaredEuclidean(), ShannonEntropy()):
        for n in (30, 1_000) if scale == "smoke" else (30, 1_000, 100_000):
            q = np.random.default_rng(seed).uniform(0.1, 2.0, n)
            ours, theirs = stepper(kernel, q, 50 if n <= 1_000 else 5)
            times = interleave({"optlab": ours, "NumPy": theirs}, repeats=15)
            bar = "<= 3" if n == 30 else "<= 1.3"
            name = f"{type(kernel).__name__}, n = {n}"
            rows.append(compare_row(name, times, ours="optlab", peer="NumPy", bar=bar, ratio="cost"))
    return rows
