"""The resolvent of the skew operator of a matrix game under Shannon's entropy.

For mirror variables ``(p, q)`` it is the solution of

    log x + g M y = p,        log y - g M^T x = q,

the optimality conditions of the strictly convex ``min_y sum(y log y - y - q y) + sum exp(p - g M y)`` with x as dual
variable. There is no closed form. Damped Newton steps in ``(log x, log y)`` are solved through the Schur complement
``I + g^2 Y^{1/2} M^T X M Y^{1/2}``, symmetric and never singular; derived here, verified numerically. Where that is
not enough (large step sizes, points far out), the data ``s (p, q, g)`` are followed from a small s, where the solution
is near 1, up to ``s = 1``: a path of tangent predictions and Newton corrections, in strides that adapt. Tested for
step sizes of 1e-12 to 1e3 (in units of 1/|M|) at mirror variables of order 10. Much farther out (100 and more, with
entries of M of both signs) the path may break off: then ResolventError is raised, never a wrong answer returned.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from optlab.bregman.entropy import ShannonEntropy
from optlab.bregman.functions import SkewGame
from optlab.bregman.functions.base import Array
from optlab.bregman.resolvents.registry import ResolventError, register_resolvent

#: Residual of the two equations, relative to their largest term, at which the iteration must have ended.
GAME_TOLERANCE = 1e-12
_EPS = float(np.finfo(float).eps)
_LONGEST = 5.0  # largest change of a logarithm in one step
_DIRECT = 40  # Newton iterations before the path is tried
_CORRECTIONS = 25  # Newton iterations at each point of the path
_BUDGET = 3000  # Newton iterations on the whole path


@register_resolvent(SkewGame, ShannonEntropy)
def skew_game(function: SkewGame, kernel: ShannonEntropy, mirror: Array, step_size: float) -> Array:
    """Return ``(log x, log y)``; the residual is at most `GAME_TOLERANCE`, else ResolventError."""
    p, q = function.blocks(mirror)
    M = function.M
    if M.shape[1] > M.shape[0]:  # eliminate the longer block: the game with the players exchanged
        b, a = _solve(-M.T, q, p, step_size)
        return np.concatenate([a, b])
    a, b = _solve(M, p, q, step_size)
    return np.concatenate([a, b])


def _solve(M: Array, p: Array, q: Array, step_size: float) -> tuple[Array, Array]:
    K = step_size * M
    with np.errstate(all="ignore"):
        a, b, error, _ = _newton(K, p, q, np.clip(p, -20.0, 20.0), np.clip(q, -20.0, 20.0), _DIRECT)
        if not error <= GAME_TOLERANCE:
            a, b, error = _follow(K, p, q)
    if not error <= GAME_TOLERANCE:
        raise ResolventError(
            f"the resolvent of SkewGame stopped at a relative residual of {error:.1e} (wanted {GAME_TOLERANCE:.0e}) at "
            f"step_size {step_size:g}; try a smaller step_size"
        )
    return a, b


def _follow(K: Array, p: Array, q: Array) -> tuple[Array, Array, float]:
    """Follow the solution for data ``s (K, p, q)`` from small s to 1."""
    size = max(float(np.abs(p).max()), float(np.abs(q).max()), float(np.abs(K).sum(axis=0).max()), 1.0)
    size = max(size, float(np.abs(K).sum(axis=1).max()))
    s = min(1.0, 0.5 / size)
    a, b, error, used = _newton(s * K, s * p, s * q, s * p, s * q, 100)
    growth, budget = 2.0, _BUDGET
    while s < 1.0 and growth > 1.0 + 1e-4 and budget > 0:
        there = min(1.0, growth * s)
        # tangent: differentiate a + s K e^b = s p, b - s K^T e^a = s q in s
        da, db = _schur_step(s * K, a, b, -(p - K @ np.exp(b)), -(q + K.T @ np.exp(a)))
        ends = [(a + (there - s) * da, b + (there - s) * db), (a, b)]
        for start in ends:
            trial = _newton(there * K, there * p, there * q, *start, _CORRECTIONS)
            budget -= trial[3]
            if trial[2] <= (GAME_TOLERANCE if there == 1.0 else 1e-8):
                break
        if trial[2] <= (GAME_TOLERANCE if there == 1.0 else 1e-8):
            a, b, error, used = trial
            growth = 1.0 + (growth - 1.0) * (2.0 if used <= 8 else 1.0)
            s = there
        else:
            growth = 1.0 + 0.4 * (growth - 1.0)
            error = 1.0
    return a, b, error


def _schur_step(K: Array, a: Array, b: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Return the solution of ``da + K Y db = -first``, ``db - K^T X da = -second``; NaN if it cannot be computed."""
    x, root = np.exp(a), np.exp(0.5 * b)
    scaled = K * root
    schur = (scaled.T * x) @ scaled
    schur[np.diag_indices_from(schur)] += 1.0
    right_side = root * (-second - K.T @ (x * first))
    try:
        w = linalg.cho_solve(linalg.cho_factor(schur), right_side)
    except (linalg.LinAlgError, ValueError):
        return np.full_like(a, np.nan), np.full_like(b, np.nan)
    da = -first - scaled @ w
    return da, -second + K.T @ (x * da)


def _newton(K: Array, p: Array, q: Array, a: Array, b: Array, max_iter: int) -> tuple[Array, Array, float, int]:
    """Solve ``a + K exp(b) = p``, ``b - K^T exp(a) = q``: damped Newton; returns a, b, residual, iterations."""
    absolute = np.abs(K)

    def measure(a: Array, b: Array) -> tuple[Array, Array, float, float]:
        x, y = np.exp(a), np.exp(b)
        first, second = a + K @ y - p, b - K.T @ x - q
        # rounding of a sum is relative to the sum of the absolute values
        scale_first = np.abs(a) + np.abs(p) + absolute @ y + 1e-300
        scale_second = np.abs(b) + np.abs(q) + absolute.T @ x + 1e-300
        error = float(max(np.max(np.abs(first) / scale_first), np.max(np.abs(second) / scale_second)))
        merit = float(first @ first + second @ second)
        return first, second, error if np.isfinite(merit) else np.inf, merit

    first, second, error, merit = measure(a, b)
    best = (a, b, error)
    iteration = 0
    for iteration in range(1, max_iter + 1):  # noqa: B007 - the count is part of the answer
        if error <= 4.0 * _EPS or not np.isfinite(error):
            break
        da, db = _schur_step(K, a, b, first, second)
        step, point = np.concatenate([da, db]), np.concatenate([a, b])
        if not np.isfinite(step).all():
            break
        # coordinates that stay below -40 have no weight in the sums and may move freely
        matters = np.maximum(point, point + step) > -40.0
        longest = float(np.max(np.abs(step), where=matters, initial=0.0))
        length = min(1.0, _LONGEST / longest) if longest > 0 else 1.0
        for _ in range(30):
            trial = measure(a + length * da, b + length * db)
            if trial[3] <= (1.0 - 1e-4 * length) * merit or trial[2] < 0.5 * error:
                break
            length *= 0.5
        else:
            break
        a, b = a + length * da, b + length * db
        first, second, error, merit = trial
        stalled = best[2] <= GAME_TOLERANCE and error > 0.5 * best[2]
        if error < best[2]:
            best = (a, b, error)
        if stalled:
            break
    return (*best, iteration)
