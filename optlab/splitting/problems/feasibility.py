"""Convex feasibility: find a point in the intersection of two or more closed convex sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.bregman import SquaredEuclidean, resolvent
from optlab.bregman.functions import Function
from optlab.bregman.functions.rays import ROUNDING, Ray, length
from optlab.composite.inclusion import MonotoneInclusion, SplitPoint, term_shape
from optlab.core.validation import as_data

Array = Any


class _Product:
    """Every set on its own copy of the point: the rows of an array."""

    def __init__(self, sets: Sequence[Any]) -> None:
        self.sets = tuple(sets)

    def resolvent(self, kernel: Any, mirror: Array, step_size: float) -> Array:
        return np.stack([resolvent(s, kernel, row, step_size) for s, row in zip(self.sets, mirror)])

    def support(self, direction: Array) -> Ray | None:
        rays = [s.support(row) for s, row in zip(self.sets, direction)]
        known = [ray for ray in rays if ray is not None]
        if len(known) < len(rays):
            return None
        value, size, error = (math.fsum(getattr(ray, name) for ray in known) for name in ("value", "size", "error"))
        return Ray(np.stack([ray.direction for ray in known]), value, size, error)


class _Consensus:
    """The copies made equal: ``argmin_x sum_i D(x, z_i)`` has the mean of the mirror points, in every geometry."""

    def resolvent(self, kernel: Any, mirror: Array, step_size: float) -> Array:
        return np.broadcast_to(mirror.mean(axis=0), mirror.shape).copy()

    def support(self, direction: Array) -> Ray:
        # what sums to zero over the copies is orthogonal to all points with equal copies
        moved = direction - direction.mean(axis=0)
        return Ray(moved, error=ROUNDING * length(moved), linear=True)


class ConvexFeasibility(MonotoneInclusion):
    """Find a point in the intersection of convex sets and the domain of a kernel.

    Two sets are split as they are: B is the first, A the second. Three or more are split in the product space (Pierra
    1984), a copy of the point for each: B makes the copies equal (their mirror points are averaged), A projects each
    copy onto its set.

    Parameters
    ----------
    sets : sequence of Function
        Two or more indicator terms of `optlab.bregman.functions`: `Simplex`, `Box`, `Hyperplane`, `AffineSet`,
        `CappedSimplex` ...
    kernel : Legendre, optional
        The geometry of the projections; its domain is one more set. Default: Euclidean, in which Douglas-Rachford is
        known to converge whenever the intersection is not empty.
    shape : int or tuple of int, optional
        Shape of the point. Default: read off the sets.

    Raises
    ------
    TypeError, ValueError
        If there are fewer than two sets, one is no indicator, or the shape is neither given nor visible.

    Notes
    -----
    `measure` gives what `MonotoneInclusion` gives, and ``distance`` (the primary metric): the largest Euclidean
    distance of the point to one of the sets, computed by projection. It is zero exactly at a solution. For an empty
    intersection it stays positive, and the iteration drifts away.

    The solution is an array of the point's shape: use `point` on what a run returns.

    Examples
    --------
    >>> import optlab
    >>> from optlab.bregman.functions import Hyperplane, Simplex
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = ConvexFeasibility([Simplex(), Hyperplane([1.0, 2.0, 4.0], 3.0)])
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-9)
    >>> round(float(problem.point(result.solution) @ [1.0, 2.0, 4.0]), 6)
    3.0
    """

    def __init__(self, sets: Sequence[Any], kernel: Any = None, shape: Any = None) -> None:
        try:
            sets = tuple(sets)
        except TypeError:
            raise TypeError(f"sets must be a sequence of indicator terms, got {type(sets).__name__}") from None
        if len(sets) < 2:
            raise ValueError(f"sets must hold at least two sets, got {len(sets)}")
        for i, s in enumerate(sets):
            if not isinstance(s, Function) or s.smooth:
                raise TypeError(f"sets[{i}] must be an indicator of optlab.bregman.functions, got {type(s).__name__}")
        self.sets, self._copies = sets, len(sets) if len(sets) > 2 else 0
        shape = term_shape(*sets) if shape is None else (tuple(shape) if np.ndim(shape) else (shape,))
        if shape is None:
            raise ValueError("shape must be given: none of the sets shows the shape of the point")
        self.point_shape = shape
        A, B = (_Product(sets), _Consensus()) if self._copies else (sets[1], sets[0])
        super().__init__(
            A,
            B,
            SquaredEuclidean() if kernel is None else kernel,
            shape=(self._copies, *shape) if self._copies else shape,
            default_step_size=1.0,
        )
        self.primary_metric = "distance"

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return the kernel's default interior point, in as many copies as needed; nothing is drawn at random."""
        point = np.asarray(self.kernel.default_point(self.point_shape), dtype=float)
        return np.broadcast_to(point, self.shape).copy()

    def initial_mirror(self, x0: Any) -> Array:
        """Return the mirror point of `x0`, which may also be a single point where copies are kept."""
        if self._copies and x0 is not None and np.shape(x0) == self.point_shape:
            x0 = np.broadcast_to(as_data(x0, "x0"), self.shape)
        return super().initial_mirror(x0)

    def point(self, solution: Any) -> Array:
        """Return the point of a solution: the solution itself, or (with three sets or more) its first copy."""
        x = np.asarray(solution, dtype=float).view(np.ndarray)
        return x[0] if self._copies and x.shape == self.shape else x

    def distances(self, solution: Any) -> Array:
        """Return the Euclidean distance of the point to each set, in their order."""
        x = as_data(self.point(solution), "solution", shape=self.point_shape)
        euclidean = SquaredEuclidean()
        return np.array([float(np.linalg.norm(resolvent(s, euclidean, x, 1.0) - x)) for s in self.sets])

    def _measure_pair(self, x: Array, pair: SplitPoint) -> dict[str, float]:
        metrics = super()._measure_pair(x, pair)
        return {**metrics, "distance": float(np.max(self.distances(x)))}
