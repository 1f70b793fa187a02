"""Losses of one sample: scalar ones of linear models, value and derivative in the margin ``z = a^T x``; cross-entropy.

Numbers instead of functions select the loss inside the compiled loops (`kernels`): a branch there is cheaper than a
call and keeps one compiled loop for all. Formulas of Orvieto and Xiao (arXiv 2407.04358) and standard ones:

====== ================ ============================== ============ ==================================================
code   name             loss                           L / ||a||^2  kappa / ||a||^2 (||g||^2 <= 2 kappa f)
====== ================ ============================== ============ ==================================================
0      squares          (z - t)^2 / 2                  1            1
1      logistic         log(1 + exp(-t z)), t = +-1    1/4          0.203633
2      sigmoid squares  (s(z) - t)^2 / 2, s logistic   0.0770293    L
3      tanh squares     (tanh z - t)^2 / 2             1.23247      L
====== ================ ============================== ============ ==================================================

The constants of codes 2 and 3 hold for targets 0/1 and -1/1. Any other target in the range of the link has
curvature at most ``(s')^2 + |s - t| |s''|``, bounded by the last column's general constants in `SMOOTHNESS_ANY_TARGET`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

SQUARES, LOGISTIC, SIGMOID, TANH = 0, 1, 2, 3
NAMES = ("squares", "logistic", "sigmoid", "tanh")

SMOOTHNESS = (1.0, 0.25, 0.0770293, 1.23247)
SELF_BOUNDING = (1.0, 0.203633, 0.0770293, 1.23247)


@njit(cache=True, error_model="numpy")
def scalar_loss(code, z, t):
    """Return loss and derivative at margin `z`, target `t`. One exponential per call, and no overflow."""
    if code == 0:
        r = z - t
        return 0.5 * r * r, r
    if code == 1:
        m = t * z
        e = math.exp(-abs(m))
        if m > 0:
            return math.log1p(e), -t * (e / (1.0 + e))
        return math.log1p(e) - m, -t / (1.0 + e)
    if code == 2:
        e = math.exp(-abs(z))
        s = 1.0 / (1.0 + e) if z > 0 else e / (1.0 + e)
        slope = e / ((1.0 + e) * (1.0 + e))  # s (1 - s) without cancellation
        r = s - t
        if z > 0 and t == 1.0:
            r = -e / (1.0 + e)  # 1 - s is exact this way
        return 0.5 * r * r, r * slope
    e = math.exp(-2.0 * abs(z))
    h = math.copysign((1.0 - e) / (1.0 + e), z)
    slope = 4.0 * e / ((1.0 + e) * (1.0 + e))
    r = h - t
    if t == 1.0 and z > 0:
        r = -2.0 * e / (1.0 + e)
    elif t == -1.0 and z < 0:
        r = 2.0 * e / (1.0 + e)
    return 0.5 * r * r, r * slope


def loss_and_derivative(code: int, z: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectorised `scalar_loss` in NumPy: what `measure` uses, and the reference for the compiled loops."""
    z = np.asarray(z, np.float64)
    t = np.asarray(t, np.float64)
    if code == SQUARES:
        r = z - t
        return 0.5 * r * r, r
    if code == LOGISTIC:
        m = t * z
        e = np.exp(-np.abs(m))
        value = np.log1p(e) + np.maximum(-m, 0.0)
        return value, -t * np.where(m > 0, e, 1.0) / (1.0 + e)
    if code == SIGMOID:
        e = np.exp(-np.abs(z))
        s = np.where(z > 0, 1.0, e) / (1.0 + e)
        r = np.where((z > 0) & (t == 1.0), -e / (1.0 + e), s - t)
        return 0.5 * r * r, r * e / (1.0 + e) ** 2
    e = np.exp(-2.0 * np.abs(z))
    r = np.copysign((1.0 - e) / (1.0 + e), z) - t
    tail = 2.0 * e / (1.0 + e)
    r = np.where((t == 1.0) & (z > 0), -tail, np.where((t == -1.0) & (z < 0), tail, r))
    return 0.5 * r * r, r * 4.0 * e / (1.0 + e) ** 2


@njit(cache=True, error_model="numpy")
def cross_entropy(z, label):
    """Replace the scores `z` by the gradient of the loss in them and return the loss. No overflow."""
    n = z.size
    top = z[0]
    for c in range(1, n):
        top = max(top, z[c])
    at_label = z[label]
    total = 0.0
    others = 0.0
    for c in range(n):
        z[c] = np.exp(z[c] - top)
        total += z[c]
        if c != label:
            others += z[c]
    # log(total) - (z_label - top): by log1p where the label wins, so that a loss of 1e-20 is not rounded to 0
    if at_label == top:
        loss = np.log1p(others)
    else:
        loss = np.log(total) - (at_label - top)
    for c in range(n):
        z[c] /= total
    z[label] = -others / total
    return loss


def losses_and_slopes(z: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectorised `cross_entropy` in NumPy: losses, and their gradients in the scores z (one row per sample)."""
    z = np.asarray(z, np.float64)
    row = np.arange(len(z))
    top = z.max(axis=1)
    shifted = z - top[:, None]
    at_label = shifted[row, labels]
    e = np.exp(shifted)
    total = e.sum(axis=1)
    e[row, labels] = 0.0
    others = e.sum(axis=1)
    values = np.where(at_label == 0.0, np.log1p(others), np.log(total) - at_label)
    slopes = e / total[:, None]
    slopes[row, labels] = -others / total
    return values, slopes
