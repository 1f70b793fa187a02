"""Classical proximal operators of norms, robust losses, balls, cones: the Euclidean kernel, whose mirror variable is x.

Step first: ``prox(z, t) = argmin f(u) + ||u - z||^2 / (2t)``. Projections do not depend on the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.euclidean import SquaredEuclidean
from optlab.bregman.functions import (
    Cardinality,
    FusedLasso,
    Graph,
    GroupNorm,
    Hinge,
    Huber,
    L0Norm,
    L1Ball,
    L2Ball,
    L2Norm,
    LInfNorm,
    NuclearBall,
    NuclearNorm,
    Pinball,
    RankAtMost,
    Slab,
    SortedL1,
    SparseGroupNorm,
    SpectralBall,
    SquaredHinge,
    SumLargest,
    TotalVariation1D,
)
from optlab.bregman.functions.balls import Cone
from optlab.bregman.functions.base import Array, check_broadcast
from optlab.bregman.resolvents.registry import register_resolvent


def soft(z: Array, threshold: Any) -> Array:
    """Return z moved towards 0 by the threshold, at most to 0.

    Examples
    --------
    >>> soft(np.array([3.0, -0.5]), 1.0)
    array([2., 0.])
    """
    return z - np.clip(z, -threshold, threshold)


def project_l1(z: Array, radius: float) -> Array:
    """Return the projection onto the 1-norm ball; exact, by sorting.

    Examples
    --------
    >>> project_l1(np.array([3.0, -1.0]), 2.0)
    array([2., 0.])
    """
    size = np.abs(z)
    if float(np.sum(size)) <= radius:
        return z
    if radius == 0.0:
        return np.zeros_like(z)
    ordered = np.sort(size, axis=None)[::-1]
    candidates = (np.cumsum(ordered) - radius) / np.arange(1, ordered.size + 1)
    count = int(np.flatnonzero(ordered > candidates)[-1])
    return soft(z, candidates[count])


def _through_singular_values(x: Array, change: Any) -> Array:
    left, values, right = np.linalg.svd(x, full_matrices=False)
    return np.asarray((left * change(values)) @ right)


# --- norms ----------------------------------------------------------------------------------------------------------


def _shrunk(norms: Array, threshold: Any) -> Array:
    """Return ``max(0, 1 - threshold / norms)``, 0 where the norm is 0."""
    factors = np.divide(threshold, norms, out=np.ones_like(norms), where=norms > 0)
    return np.maximum(0.0, 1.0 - factors)


@register_resolvent(L2Norm, SquaredEuclidean)
def l2_norm(function: L2Norm, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``max(0, 1 - t/||z||) z``."""
    size = float(np.linalg.norm(np.ravel(mirror)))
    threshold = step_size * function.weight
    return mirror * (1.0 - threshold / size) if size > threshold else np.zeros_like(mirror)


@register_resolvent(GroupNorm, SquaredEuclidean)
def group_norm(function: GroupNorm, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Block by block as `l2_norm`."""
    factors = _shrunk(function.norms(mirror), step_size * np.asarray(function.weight))
    return np.asarray(mirror * function.spread(factors))


@register_resolvent(SparseGroupNorm, SquaredEuclidean)
def sparse_group(function: SparseGroupNorm, kernel: Any, mirror: Array, step_size: float) -> Array:
    """The groups' after the entries' (Friedman, Hastie, Tibshirani 2010)."""
    return group_norm(function.group_norm, kernel, soft(mirror, step_size * function.l1_weight), step_size)


@register_resolvent(LInfNorm, SquaredEuclidean)
def linf_norm(function: LInfNorm, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z - P(z)``, P the projection onto the 1-norm ball (Moreau)."""
    return np.asarray(mirror - project_l1(mirror, step_size * function.weight))


@register_resolvent(SumLargest, SquaredEuclidean)
def sum_largest(function: SumLargest, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z - P(z)``, P the projection onto ``{0 <= y <= t, sum y = count t}`` (Moreau)."""
    from optlab.bregman.functions import CappedSimplex, Simplex
    from optlab.bregman.resolvents import euclidean

    top = step_size * function.weight
    if function.count > mirror.size:
        raise ValueError(f"count must be at most the number of entries {mirror.size}, got {function.count}")
    if top == 0.0:
        return mirror.copy()
    if function.count == 1:
        return np.asarray(mirror - euclidean.simplex(Simplex(top), kernel, mirror, 1.0))
    if function.count == mirror.size:
        return np.asarray(mirror - top)
    return np.asarray(mirror - euclidean.capped_simplex(CappedSimplex(top, function.count * top), kernel, mirror, 1.0))


@register_resolvent(SortedL1, SquaredEuclidean)
def sorted_l1(function: SortedL1, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Pool adjacent violators on the sorted moduli less the weights, cut at 0."""
    from scipy.optimize import isotonic_regression

    check_broadcast(function.weights, "weights", mirror)
    order = np.argsort(-np.abs(mirror), kind="stable")
    falling = np.abs(mirror)[order] - step_size * function.weights
    pooled = np.maximum(isotonic_regression(falling, increasing=False).x, 0.0)
    answer = np.empty_like(mirror)
    answer[order] = pooled
    return np.copysign(answer, mirror)


@register_resolvent(TotalVariation1D, SquaredEuclidean)
def total_variation(function: TotalVariation1D, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Johnson's dynamic programme."""
    from optlab.bregman.resolvents.variation import taut_string  # compiled: loaded when asked for

    if mirror.ndim != 1:
        raise ValueError(f"a signal is a vector, got shape {mirror.shape}")
    weights = np.broadcast_to(np.asarray(step_size * function.weight, dtype=float), (mirror.size - 1,))
    return taut_string(mirror, weights)


@register_resolvent(FusedLasso, SquaredEuclidean)
def fused_lasso(function: FusedLasso, kernel: Any, mirror: Array, step_size: float) -> Array:
    """The variation's, then the 1-norm's."""
    return soft(total_variation(function.variation, kernel, mirror, step_size), step_size * function.l1_weight)


@register_resolvent(NuclearNorm, SquaredEuclidean)
def nuclear_norm(function: NuclearNorm, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Soft-threshold the singular values."""
    threshold = step_size * function.weight
    return _through_singular_values(mirror, lambda values: np.maximum(values - threshold, 0.0))


@register_resolvent(L0Norm, SquaredEuclidean)
def l0_norm(function: L0Norm, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Keep an entry z if ``z^2 > 2 t``."""
    check_broadcast(function.weight, "weight", mirror)
    kept = mirror * mirror > 2.0 * step_size * np.asarray(function.weight)
    return np.where(kept, mirror, 0.0)


# --- losses ---------------------------------------------------------------------------------------------------------


@register_resolvent(Huber, SquaredEuclidean)
def huber(function: Huber, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z / (1 + t)`` near 0, ``z - t d sign z`` beyond ``d (1 + t)``: ``z - t/(1+t) clip``."""
    check_broadcast(function.weight, "weight", mirror)
    t = step_size * np.asarray(function.weight)
    reach = function.width * (1.0 + t)
    return np.asarray(mirror - t / (1.0 + t) * np.clip(mirror, -reach, reach))


@register_resolvent(Hinge, SquaredEuclidean)
def hinge(function: Hinge, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Unchanged above 1, moved up by t below, at most to 1."""
    check_broadcast(function.weight, "weight", mirror)
    return np.asarray(np.maximum(mirror, np.minimum(mirror + step_size * function.weight, 1.0)))


@register_resolvent(SquaredHinge, SquaredEuclidean)
def squared_hinge(function: SquaredHinge, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``(z + t) / (1 + t)`` below 1."""
    check_broadcast(function.weight, "weight", mirror)
    t = step_size * np.asarray(function.weight)
    return np.asarray(mirror + t / (1.0 + t) * np.maximum(1.0 - mirror, 0.0))


@register_resolvent(Pinball, SquaredEuclidean)
def pinball(function: Pinball, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z - clip(z, -t (1-q), t q)``."""
    check_broadcast(function.weight, "weight", mirror)
    t = step_size * np.asarray(function.weight)
    return np.asarray(mirror - np.clip(mirror, -t * (1.0 - function.quantile), t * function.quantile))


# --- balls, cones, half-spaces --------------------------------------------------------------------------------------


@register_resolvent(L1Ball, SquaredEuclidean)
def l1_ball(function: L1Ball, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Soft-threshold until the sum fits."""
    return project_l1(mirror, function.radius).copy()


@register_resolvent(L2Ball, SquaredEuclidean)
def l2_ball(function: L2Ball, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Scale the distance from the centre."""
    check_broadcast(function.center, "center", mirror)
    moved = mirror - function.center
    size = float(np.linalg.norm(np.ravel(moved)))
    return mirror.copy() if size <= function.radius else np.asarray(function.center + (function.radius / size) * moved)


@register_resolvent(NuclearBall, SquaredEuclidean)
def nuclear_ball(function: NuclearBall, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Project the singular values."""
    return _through_singular_values(mirror, lambda values: project_l1(values, function.radius))


@register_resolvent(SpectralBall, SquaredEuclidean)
def spectral_ball(function: SpectralBall, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Clip the singular values, through the smaller Gram matrix where the matrix is thin.

    ``X f(X^T X)`` with ``f(s^2) = min(1, radius/s)``, which is smooth where singular values are small: no accuracy is
    lost by squaring.
    """
    rows, columns = mirror.shape
    if 4 * min(rows, columns) > max(rows, columns):
        return _through_singular_values(mirror, lambda values: np.minimum(values, function.radius))
    tall = mirror if rows >= columns else mirror.T
    squares, vectors = np.linalg.eigh(tall.T @ tall)
    values = np.sqrt(np.maximum(squares, 0.0))
    factors = np.divide(function.radius, values, out=np.ones_like(values), where=values > function.radius)
    answer = tall @ ((vectors * factors) @ vectors.T)
    return np.asarray(answer if rows >= columns else answer.T)


@register_resolvent(Slab, SquaredEuclidean)
def slab(function: Slab, kernel: Any, mirror: Array, step_size: float) -> Array:
    """``z - a (excess)/|a|^2``."""
    check_broadcast(function.normal, "normal", mirror)
    excess = function.excess(mirror)
    if excess == 0.0:
        return mirror.copy()
    return np.asarray(mirror - (excess / float(np.sum(function.normal**2))) * function.normal)


@register_resolvent(Cone, SquaredEuclidean)
def cone(function: Cone, kernel: Any, mirror: Array, step_size: float) -> Array:
    """The cone's own projection."""
    return np.array(function.project(mirror))


@register_resolvent(Graph, SquaredEuclidean)
def graph(function: Graph, kernel: Any, mirror: Array, step_size: float) -> Array:
    """One linear system."""
    return function.project(mirror)


@register_resolvent(Cardinality, SquaredEuclidean)
def cardinality(function: Cardinality, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Keep the largest moduli; of equal ones the first."""
    order = np.argsort(-np.abs(mirror), axis=None, kind="stable")[: function.count]
    answer = np.zeros_like(mirror)
    answer.flat[order] = mirror.flat[order]
    return answer


@register_resolvent(RankAtMost, SquaredEuclidean)
def rank_at_most(function: RankAtMost, kernel: Any, mirror: Array, step_size: float) -> Array:
    """Keep the largest singular values."""
    return _through_singular_values(
        mirror, lambda values: np.where(np.arange(values.size) < function.rank, values, 0.0)
    )
