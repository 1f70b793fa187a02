"""The resolvent of the skew operator of a matrix game under Shannon's entropy.

For mirror variables ``(p, q)`` it is the solution of

    log x + g M y = p,        log y - g M^T x = q,

the optimality conditions of the strictly convex ``min_y sum(y log y - y - q y) + sum exp(p - g M y)`` with x as dual
variable. There is no closed form. Damped Newton steps in ``(log x, log y)`` are solved through the Schur complement
``I + g^2 Y^{1/2} M^T X M Y^{1/2}``, symmetric and never singular; derived here, verified numerically. Where the direct
iteration is slow the step size is approached along a path, each solution starting the next.
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
_LONGEST = 5.0  # largest change of a logarithm in one step: exp stays within two digits of its linear model


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
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        start = np.clip(p, -50.0, 50.0), np.clip(q, -50.0, 50.0)
        a, b, error = _newton(M * step_size, p, q, *start, max_iter=100)
        if error > GAME_TOLERANCE:  # along a path in the step size, from where the coupling is weak
            target = np.log(step_size)
            here = min(
                target, -np.log(np.max(np.abs(M)) + 1e-300) - np.log(1.0 + max(np.abs(p).max(), np.abs(q).max()))
            )
            stride = 1.0
            a, b, error = _newton(M * np.exp(here), p, q, *start, max_iter=300)
            while here < target and stride > 1e-3:
                there = min(target, here + stride)
                factor = step_size if there == target else float(np.exp(there))
                trial = _newton(M * factor, p, q, a, b, max_iter=100)
                if trial[2] <= GAME_TOLERANCE or (there < target and trial[2] <= 1e-6):
                    a, b, error = trial
                    here, stride = there, 1.7 * stride
                else:
                    stride *= 0.5
            if here < target:
                error = max(error, trial[2])
    if not error <= GAME_TOLERANCE:
        raise ResolventError(
            f"the resolvent of SkewGame stopped at a relative residual of {error:.1e} (wanted {GAME_TOLERANCE:.0e}) at "
            f"step_size {step_size:g}; try a smaller step_size"
        )
    return a, b


def _newton(K: Array, p: Array, q: Array, a: Array, b: Array, max_iter: int) -> tuple[Array, Array, float]:
    """Solve ``a + K exp(b) = p``, ``b - K^T exp(a) = q``: damped Newton; returns a, b and the relative residual."""
    absolute = np.abs(K)

    def measure(a: Array, b: Array) -> tuple[Array, Array, float, float]:
        x, y = np.exp(a), np.exp(b)
        first, second = a + K @ y - p, b - K.T @ x - q
        # rounding of a sum is relative to the sum of the absolute values
        scale_first = np.abs(a) + np.abs(p) + absolute @ y
        scale_second = np.abs(b) + np.abs(q) + absolute.T @ x
        error = max(
            float(np.max(np.abs(first) / (scale_first + 1e-300))),
            float(np.max(np.abs(second) / (scale_second + 1e-300))),
        )
        return first, second, error, float(first @ first + second @ second)

    first, second, error, merit = measure(a, b)
    best = (a, b, error)
    for _ in range(max_iter):
        if error <= 2.0 * _EPS:
            break
        x, root = np.exp(a), np.exp(0.5 * b)
        scaled = K * root
        schur = (scaled.T * x) @ scaled
        schur[np.diag_indices_from(schur)] += 1.0
        right_side = root * (-second - K.T @ (x * first))
        try:
            w = linalg.cho_solve(linalg.cho_factor(schur), right_side)
        except (linalg.LinAlgError, ValueError):
            break
        da = -first - scaled @ w
        db = -second + K.T @ (x * da)
        longest = max(float(np.max(np.abs(da))), float(np.max(np.abs(db))))
        if not np.isfinite(longest):
            break
        length = min(1.0, _LONGEST / longest) if longest > 0 else 1.0
        for _ in range(50):
            trial = measure(a + length * da, b + length * db)
            if trial[3] <= (1.0 - 1e-4 * length) * merit or trial[2] < 0.5 * error:
                break
            length *= 0.5
        else:
            break
        a, b = a + length * da, b + length * db
        first, second, error, merit = trial
        if error < best[2]:
            if best[2] <= GAME_TOLERANCE and error > 0.5 * best[2]:
                best = (a, b, error)
                break
            best = (a, b, error)
    return best
