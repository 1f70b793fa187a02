"""Local linear rates on transport: singular values of a plan, the predicted rate with entropy, rates of curves."""

from __future__ import annotations

import numpy as np

from ._common import slope


def singular_values(plan: np.ndarray) -> np.ndarray:
    """Return the singular values of ``diag(a)^{-1/2} X diag(b)^{-1/2}``, without the first, which is 1."""
    scaled = plan / np.sqrt(np.outer(plan.sum(axis=1), plan.sum(axis=0)))
    return np.linalg.svd(scaled, compute_uv=False)[1:]


def fitted_rate(errors: np.ndarray, high: float, low: float) -> float:
    """Return the linear rate of a decaying, maybe oscillating curve between two levels, from its upper envelope."""
    envelope = np.maximum.accumulate(errors[::-1])[::-1]
    k = np.flatnonzero((envelope < high) & (envelope > low))
    return float(np.exp(slope(k, np.log(envelope[k])))) if k.size > 10 else float("nan")


def entropic_rate(values: np.ndarray, eps: float, step_size: float, temperature_mode: bool = True) -> float:
    """Return the predicted rate, with or without the mode of the inverse temperature (absent at its limit)."""
    r = 1.0 / (1.0 + step_size * eps)
    blocks = [np.array([[1.0 - r, -(2.0 * r - 1.0) * s], [s * r, 2.0 * s * s * r]]) for s in values]
    return max(r if temperature_mode else 0.0, *(float(np.max(np.abs(np.linalg.eigvals(block)))) for block in blocks))
