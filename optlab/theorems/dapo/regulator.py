"""Policy mirror descent on continuous actions: rates on the linear-quadratic regulator, where every step is exact.

Derived here: a constant step size averages the past and errs like 1/k, steps that grow by a factor r forget it and err
like r^-k.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

import optlab
from optlab.policy import GaussianMirrorDescent, HewerPolicyIteration
from optlab.policy.environments import lqr
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.splitting import Geometric
from optlab.theorems.dapo._instances import DERIVED, PAPER


def _errors(method: Any, seed: int, n: int) -> Any:
    """Return ``|K_k - K*|`` for k = 0, ..., n."""
    problem = lqr(seed=seed)
    gains = (state.gain for state in islice(optlab.iterate(problem, method), n + 1))
    return np.array([np.linalg.norm(gain - problem.optimal_gain) for gain in gains])


def _sublinear_evidence(scale: str, seed: int, method: Any) -> Evidence:
    n, slopes = at_scale(scale, 100, 400), []
    draws = np.arange(at_scale(scale, 2, 20))
    for draw in draws:
        error = np.maximum(_errors(method, 100 * seed + int(draw), n), 1e-300)
        slopes.append(np.log(error[n] / error[n // 4]) / np.log(4.0))
    return Evidence(
        draws + 1,
        np.array(slopes) + 1.0,
        kind="identity",
        slack=0.1,
        detail={"slopes": ", ".join(f"{slope:.3f}" for slope in slopes)},
        xlabel="regulator",
        ylabel="slope of log |K - K*| against log k, plus 1",
    )


@theorem(
    id="dapo-regulator-sublinear",
    paper=PAPER,
    title="Regulator, constant steps: the error falls like 1/k",
    statement="""With Gaussian policies on the linear-quadratic regulator and a constant step size, |K_k - K*| ~
    1/k: the precision adds up all past curvatures with equal weight. Slope of the logarithms -1 within 10 %.""",
    assumptions=("exact evaluation", "constant step size", "start K = 0, stabilising"),
    source=DERIVED,
)
def sublinear(scale: str, seed: int) -> Evidence:
    return _sublinear_evidence(scale, seed, GaussianMirrorDescent(1.0))


@sublinear.control("steps growing by 5 % an iteration")
def _(scale: str, seed: int) -> Evidence:
    return _sublinear_evidence("smoke", seed, GaussianMirrorDescent(Geometric(1.0, growth=1.05)))


def _linear_evidence(scale: str, seed: int, method: Any) -> Evidence:
    ratios = at_scale(scale, (1.2, 2.0), (1.03, 1 / 0.95, 1.2, 1.5, 2.0))
    deviations, found = [], []
    for ratio in ratios:
        # as far as rounding lets one see: errors from 1e-3 down to 1e-11
        n = int(np.ceil(25.0 / np.log(ratio)))
        factors = []
        for draw in range(at_scale(scale, 1, 10)):
            error = _errors(method(ratio), 100 * seed + draw, n)
            seen = np.flatnonzero((error < 1e-3) & (error > 1e-11))
            if len(seen) < 5:
                factors.append(np.nan)
                continue
            late = seen[len(seen) // 2 :]
            factors.append(float(np.exp(np.polyfit(late, np.log(error[late]), 1)[0])))
        found.append(float(np.mean(factors)))
        deviations.append(float(np.max(np.abs(np.log(factors) / -np.log(ratio) - 1.0))))
    return Evidence(
        ratios,
        deviations,
        kind="identity",
        slack=0.1,
        detail={
            f"ratio {ratio:.4g}": f"factor {factor:.5f}, 1/ratio {1 / ratio:.5f}"
            for ratio, factor in zip(ratios, found)
        },
        xlabel="ratio r of the step sizes",
        ylabel="relative error of the exponent",
    )


@theorem(
    id="dapo-regulator-linear",
    paper=PAPER,
    title="Regulator, geometric steps: the error falls with the ratio of the steps",
    statement="""With steps growing by the factor r, |K_k - K*| falls like r^-k, as long as that is slower than
    policy iteration itself, which converges quadratically. Exponents within 10 %.""",
    assumptions=("exact evaluation", "step sizes eta_0 r^k", "start K = 0, stabilising"),
    source=DERIVED,
)
def linear(scale: str, seed: int) -> Evidence:
    return _linear_evidence(
        scale, seed, lambda ratio: GaussianMirrorDescent(Geometric(1.0, growth=ratio, maximum=1e300))
    )


@linear.control("constant steps")
def _(scale: str, seed: int) -> Evidence:
    return _linear_evidence("smoke", seed, lambda ratio: GaussianMirrorDescent(1.0))


@linear.control("policy iteration, the limit of infinite steps")
def _(scale: str, seed: int) -> Evidence:
    return _linear_evidence("smoke", seed, lambda ratio: HewerPolicyIteration())
