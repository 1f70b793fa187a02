"""Certificates that a problem has no point to find: infeasible or unbounded, checked against the problem's own terms.

On a problem without a solution the displacement of a splitting, ``z_{k+1} - z_k``, does not vanish: for nonexpansive
maps it tends to the infimal displacement vector v (Pazy 1971; for Douglas-Rachford and ADMM: Banjac, Goulart, Stellato,
Boyd 2019; Liu, Ryu, Yin 2019). If the domains of the terms have no common point, v is the normal of a hyperplane
between them; if the objective has no lower bound, v points along a direction in which it falls. OSQP and SCS stop on
that with a tolerance. Here v is a *candidate* only: what is reported has been checked as Farkas' lemma asks,

* infeasible: ``u_f + u_g + u_C = 0`` with ``sigma_f(u_f) + sigma_g(u_g) + sigma_C(u_C) < 0``, sigma the support
  functions of the domains of f and g and of the kernel (`Function.support`);
* unbounded: a point with a finite objective, and d with ``f'(d) + g'(d) < 0``, f' and g' the recession functions
  (`Function.recession`), d a recession direction of the kernel's domain,

to rounding: the sums must vanish to 1e-12 of their summands, the margin must exceed the slack of 1e-9 with which an
indicator accepts a point. So nothing is claimed where a term's support or recession function is not known (a callable,
a `SmoothFunction`), nor of weakly infeasible problems (sets of distance 0 that do not meet). An iterate is rarely that
exact; `polished` removes the difference where it can be named: on the subspaces that the terms allow, the entries that
have the wrong sign are set to zero (as OSQP polishes a solution: the guess of the active entries may be wrong, the
check that follows may not).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.bregman.functions import FEASIBILITY_TOLERANCE
from optlab.bregman.functions.rays import ROUNDING, Ray, inner, length
from optlab.composite.domains import domain_kind, project_closure, support

Array = Any
RayOf = Callable[[Array], "Ray | None"]

#: What must vanish may be this part of its summands: rounding, and no more.
VANISHES = 1e-12
_PROMISING = 0.5
_LARGEST_POLISHED = 400


@dataclass(frozen=True, eq=False)
class Certificate:
    """Proof, to rounding, that a problem is infeasible or unbounded; in ``Result.certificate`` of such a run.

    Attributes
    ----------
    kind : {"infeasible", "unbounded"}
    vector : ndarray or tuple of ndarray
        Infeasible: the normal u of a hyperplane between the domains of g and f (of a linearly constrained problem: the
        multiplier of the relations that contradict each other). Unbounded: the direction d in which the objective
        falls (of a linearly constrained problem: the pair of blocks). Of length 1.
    margin : float
        Infeasible: how far the hyperplane's two sides are apart, at least. Unbounded: how fast the objective falls
        along the direction. Positive.
    residual : float
        What does not cancel exactly, rounding included.
    radius : float
        ``margin / residual``: with the data exactly as they are stored, no feasible point (for "unbounded": no dual
        point) has a norm below this.
    point : ndarray, tuple of ndarray, or None
        Unbounded: a point with a finite objective, from which the direction leads down.

    Examples
    --------
    >>> import optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import Box, Hyperplane
    >>> from optlab.splitting import BregmanDouglasRachford, MonotoneInclusion
    >>> problem = MonotoneInclusion(Hyperplane([1.0, 1.0], -1.0), Box(0.0), SquaredEuclidean())
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8)
    >>> result.status.name, round(result.certificate.margin, 6), result.certificate.vector.round(6)
    ('INFEASIBLE', 0.707107, array([-0.707107, -0.707107]))
    >>> result.certificate.verify()
    True
    """

    kind: str
    vector: Any
    margin: float
    residual: float
    radius: float
    point: Any = None
    problem: Any = field(default=None, repr=False)

    def verify(self) -> bool:
        """Check the certificate against the terms of the problem once more, from `vector` and `point` alone."""
        again = self.problem.check_certificate(self.kind, self.vector, self.point)
        return again is not None and again.margin >= 0.5 * self.margin

    def confirmed(self) -> Certificate | None:
        """Return the certificate if it verifies, else None."""
        return self if self.verify() else None

    def sentence(self) -> str:
        """Return what is proved, for a run's message."""
        if self.kind == "infeasible":
            return (
                f"no point satisfies all constraints: a hyperplane separates them with margin {self.margin:.3g}, "
                f"checked (result.certificate; no feasible point of norm below {self.radius:.1g})"
            )
        return (
            f"the objective has no lower bound: it falls by {self.margin:.3g} per unit of length along a direction "
            "from a feasible point, checked (result.certificate)"
        )


def _certificate(kind: str, vector: Any, margin: float, residual: float, point: Any = None) -> Certificate:
    radius = margin / residual if residual > 0 else math.inf
    return Certificate(kind, vector, float(margin), float(residual), float(radius), point)


def displacement_hint(displacement: float, metrics: Mapping[str, float]) -> str | None:
    """Return what a run that ended without a certificate should say about a displacement that is not small."""
    if not metrics.get("fixed_point_residual", 0.0) > 1e-3 or not displacement > 0:
        return None
    return (
        f"the displacement of the last iteration has length {displacement:.3g}: if it does not tend to zero with more "
        "iterations, the problem is infeasible or unbounded (no certificate of that was found)"
    )


def accepted(margin: float, size: float, residual: float, summands: float, reach: float) -> bool:
    """Return whether a certificate holds to rounding.

    Parameters
    ----------
    margin, size : float
        What must be positive, and the sum of the absolute values of what it was summed from.
    residual, summands : float
        What must vanish, rounding included, and the length of what it was summed from.
    reach : float
        Norm of the points at hand, where the residual must not matter either.

    Examples
    --------
    >>> accepted(1.0, 3.0, 1e-15, 1.0, 10.0), accepted(1.0, 3.0, 1e-9, 1.0, 10.0)
    (True, False)
    """
    numbers = (margin, size, residual, summands, reach)
    return (
        all(map(math.isfinite, numbers))
        and margin > FEASIBILITY_TOLERANCE * size
        and residual <= VANISHES * summands
        and margin > 1e3 * residual * reach
    )


# ---------------------------------------------------------------------- the terms and the kernel's domain


def support_of(term: Any) -> RayOf:
    """Return the map direction -> `Ray` of the support function of a term's domain; to None where it is not known."""
    return _asked(getattr(term, "support", None))


def recession_of(term: Any) -> RayOf:
    """Return the map direction -> `Ray` of a term's recession function; to None where it is not known."""
    return _asked(getattr(term, "recession", None))


def _asked(method: Any) -> RayOf:
    def ray(direction: Array) -> Ray | None:
        answer = method(direction) if callable(method) else None
        return answer if isinstance(answer, Ray) else None  # an own class may mean something else by the name

    return ray


def domain_support(kernel: Any) -> RayOf:
    """Return the map direction -> `Ray` of the support function of a kernel's domain."""

    def ray(direction: Array) -> Ray | None:
        try:
            value, forbidden = support(kernel, direction)
        except TypeError:
            return None
        return Ray(direction - forbidden, value, abs(value), linear=domain_kind(kernel) == "space")

    return ray


def domain_recession(kernel: Any) -> RayOf:
    """Return the map direction -> nearest direction in which the domain of a kernel goes on for ever."""

    def ray(direction: Array) -> Ray | None:
        kind = domain_kind(kernel)
        if kind == "unknown":
            return None
        if kind in ("box", "simplex"):
            return Ray(np.zeros_like(direction), linear=True)
        return Ray(project_closure(kernel, direction), linear=kind == "space")  # the domain is a cone

    return ray


# ---------------------------------------------------------------------- from a displacement to an exact ray


def polished(direction: Array, parts: Sequence[tuple[Any, RayOf]]) -> Array | None:
    """Return the direction nearest to this one whose images lie where every part is finite: zero entries are guessed.

    Parameters
    ----------
    direction : ndarray of n entries
    parts : sequence of (matrix, map direction -> Ray)
        The part is asked at ``matrix @ direction``. Parts that are not linear are taken to act entry by entry.

    Returns
    -------
    ndarray or None
        None if only zero is left, a part is not known, or the problem is too large for dense linear algebra.
    """
    if direction.size > _LARGEST_POLISHED:
        return None
    y, shape = np.ravel(direction), direction.shape

    def asked(ray: RayOf, image: Array) -> tuple[Array, bool] | None:
        answer = ray(image.reshape(shape) if image.size == y.size else image)
        return None if answer is None else (np.ravel(answer.direction), answer.linear)

    equations, bounds = [np.zeros((0, y.size))], []
    for matrix, ray in parts:
        first = asked(ray, matrix @ y)
        if first is None:
            return None
        if first[1]:
            images = [moved for moved, _ in filter(None, (asked(ray, column) for column in matrix.T))]
            equations.append(matrix - np.stack(images, axis=1))
        else:
            bounds.append((matrix, ray))
    basis = _null_space(np.vstack(equations))
    for _ in range(20):
        w = basis @ (basis.T @ y)
        wrong = []
        for matrix, ray in bounds:
            image = matrix @ w
            answer = asked(ray, image)
            if answer is None:
                return None
            off = np.abs(image - answer[0])
            wrong.append(matrix[off > 1e-13 * (length(image) + np.finfo(float).tiny)])
        rows = np.vstack([np.zeros((0, y.size)), *wrong])
        if not len(rows):
            return w.reshape(shape)
        basis = basis @ _null_space(rows @ basis)
        if not basis.shape[1]:
            return None
    return None


def _null_space(matrix: Array) -> Array:
    """Return an orthonormal basis (columns) of the null space; any error in its rank is found by the check."""
    if not matrix.shape[0] or not matrix.shape[1]:
        return np.eye(matrix.shape[1])
    _, singular, right = np.linalg.svd(matrix)
    rank = int(np.sum(singular > 1e-10 * max(1.0, float(singular[0]))))
    return right[rank:].T


Check = Callable[[Array], "Certificate | float"]


def search(candidates: Sequence[Array], check: Check, parts: Sequence[tuple[Any, RayOf]]) -> Certificate | None:
    """Return the first certificate that one of the candidates, or what `polished` makes of it, gives.

    `check` returns a certificate, or how far the candidate is from one (a relative residual; infinite if hopeless).
    """
    for candidate in candidates:
        size = length(candidate)
        if not (size > 0 and math.isfinite(size)):
            continue
        unit = candidate / size
        found = check(unit)
        if isinstance(found, Certificate):
            return found
        if found > _PROMISING:
            continue
        better = polished(unit, parts)
        if better is not None and length(better) > 0.1:
            found = check(better / length(better))
            if isinstance(found, Certificate):
                return found
    return None


def drop_along(direction: Array, rays: Sequence[RayOf]) -> tuple[Array, float, float, float] | None:
    """Return a recession direction near the one given, the sum of the recession functions, its size, the residual."""
    moved = direction
    for ray in rays:
        answer = ray(moved)
        if answer is None:
            return None
        moved = answer.direction
    value = size = residual = 0.0
    for ray in rays:
        answer = ray(moved)
        if answer is None:
            return None
        value, size = value + answer.value, size + answer.size
        residual += answer.error + length(answer.direction - moved)
    return moved, value, size, residual


# ---------------------------------------------------------------------- 0 in A(x) + B(x), and min f(x) + g(x)


def separated(A: Any, B: Any, kernel: Any, u: Array, reach: float) -> Certificate | float:
    """Check whether a hyperplane with a normal near `u` separates dom A and dom B (within the domain of the kernel).

    Returns the certificate (without its problem), or how far `u` is from one: the relative residual, or infinity.
    """
    of_A, of_B, of_domain = support_of(A), support_of(B), domain_support(kernel)
    nearest = math.inf
    for first, second, sign in ((of_B, of_A, 1.0), (of_A, of_B, -1.0)):
        q = first(sign * u)
        p = None if q is None else second(-q.direction if np.any(q.direction) else -sign * u)
        if p is None or q is None:
            return math.inf
        total = p.direction + q.direction
        r = of_domain(-total)
        if r is None:  # a domain that is not known can only make the problem harder to satisfy
            r = Ray(np.zeros_like(total))
        margin, size = -(p.value + q.value + r.value), p.size + q.size + r.size
        residual = length(total + r.direction) + p.error + q.error
        summands = max(length(p.direction), length(q.direction))
        if summands > 0 and accepted(margin, size, residual, summands, reach):
            side_B, side_A = (q, p) if sign > 0 else (p, q)
            normal = side_B.direction if np.any(side_B.direction) else -side_A.direction
            scale = length(normal)
            return _certificate("infeasible", normal / scale, margin / scale, residual / scale)
        if summands > 0 and margin > 0:
            nearest = min(nearest, residual / summands)
    return nearest


def separation_parts(A: Any, B: Any, kernel: Any, size: int) -> list[tuple[Array, RayOf]]:
    """Return what `polished` needs to make an exact normal of a separating hyperplane."""
    identity = np.eye(size)
    sides = [(-identity, support_of(A), A), (identity, support_of(B), B)]
    # a term that is finite everywhere constrains nothing: the other one meets the kernel's domain
    sets = [(matrix, ray) for matrix, ray, term in sides if not getattr(term, "whole_space", False)]
    if len(sets) == 1:
        (matrix, _) = sets[0]
        sets.append((-matrix, domain_support(kernel)))
    return sets


def falls(
    terms: Sequence[Any],
    kernel: Any,
    d: Array,
    points: Sequence[Array],
    value: Callable[[Array], float],
    reach: float,
) -> Certificate | float:
    """Check whether the sum of the terms falls without end along a direction near `d` from one of the points."""
    fallen = drop_along(d, [*map(recession_of, terms), domain_recession(kernel)])
    if fallen is None:
        return math.inf
    moved, change, size, residual = fallen
    distance = length(moved)
    if not distance > 0 or not -change > FEASIBILITY_TOLERANCE * size:
        return math.inf
    if not accepted(-change, size, residual, distance, reach):
        return max(residual, length(moved - d)) / distance
    for point in points:
        if np.all(np.isfinite(point)) and math.isfinite(value(point)):
            return _certificate("unbounded", moved / distance, -change / distance, residual / distance, np.array(point))
    return math.inf


# ---------------------------------------------------------------------- min sum_i f_i(A_i x)


@dataclass(frozen=True, eq=False)
class Domains:
    """The domains of ``f_i(A_i x)``, and the check that no x lies in all of them.

    Directions ``y_i`` with ``sum A_i^T y_i`` (and a normal direction of the kernel's domain) equal to zero and support
    functions ``sum sigma_i(y_i) < 0`` are a hyperplane that contradicts itself (Farkas). One term without an operator
    absorbs what the others leave over.

    Attributes
    ----------
    terms : sequence
        With ``outer``, ``image``, ``pulled`` and ``operator``.
    """

    terms: Sequence[Any]
    kernel: Any
    shape: tuple[int, ...]

    def sizes(self) -> list[int]:
        """Return the number of entries of each ``y_i``."""
        n = math.prod(self.shape)
        return [n if term.operator is None else term.operator.size_out for term in self.terms]

    def split(self, y: Array) -> list[Array]:
        """Return a stacked direction as the ``y_i``, in their shapes."""
        parts = np.split(y, np.cumsum(self.sizes())[:-1])
        return [
            part.reshape(self.shape if term.operator is None else term.operator.shape_out)
            for term, part in zip(self.terms, parts)
        ]

    def absorber(self, y: Array | None = None) -> int | None:
        """Return the index of a term without an operator that has a domain: one where y is zero, or the last."""
        own = [
            i
            for i, term in enumerate(self.terms)
            if term.operator is None and not getattr(term.function, "whole_space", False)
        ]
        if y is not None:
            parts = self.split(y)
            own = [i for i in own if not np.any(parts[i])] or own
        return own[-1] if own else None

    def separated(self, y: Array, reach: float) -> Certificate | float:
        """Check a stacked direction; the certificate, or its relative residual, or infinity."""
        absorbing, total, margin, size = self.absorber(y), np.zeros(self.shape), 0.0, 0.0
        residual = summands = 0.0
        used: list[Any] = []
        for i, (term, part) in enumerate(zip(self.terms, self.split(y))):
            used.append(np.zeros_like(part))
            if i == absorbing:
                continue
            ray = support_of(term.outer)(part)
            if ray is None:
                return math.inf
            back = term.pulled(ray.direction)
            used[-1] = ray.direction
            total = total + back
            margin, size = margin - ray.value, size + ray.size
            bound = 1.0 if term.operator is None else term.operator.norm
            residual += bound * ray.error + ROUNDING * bound * length(ray.direction)
            summands = max(summands, length(back))
        if absorbing is not None:
            ray = support_of(self.terms[absorbing].outer)(-total)
            if ray is not None:
                used[absorbing] = ray.direction
                summands = max(summands, length(ray.direction))
                total, residual = total + ray.direction, residual + ray.error
                margin, size = margin - ray.value, size + ray.size
        ray = domain_support(self.kernel)(-total)
        if ray is not None:
            total, margin, size = total + ray.direction, margin - ray.value, size + ray.size
        residual += length(total)
        if not (summands > 0 and margin > 0):
            return math.inf
        if not accepted(margin, size, residual, summands, reach):
            return residual / summands
        scale = max(map(length, used))
        vector = np.concatenate([np.ravel(part) for part in used]) / scale
        return _certificate("infeasible", vector, margin / scale, residual / scale)

    def parts(self, y: Array) -> list[tuple[Array, RayOf]]:
        """Return what `polished` needs to make an exact direction near y, as far as the maps are small."""
        absorbing, sizes = self.absorber(y), self.sizes()
        total = sum(sizes)
        if total > _LARGEST_POLISHED:
            return []
        ends = np.cumsum([0, *sizes])
        pulled = np.zeros((math.prod(self.shape), total))
        found: list[tuple[Array, RayOf]] = []
        for i, term in enumerate(self.terms):
            if i == absorbing:
                continue
            select = np.eye(total)[ends[i] : ends[i + 1]]
            shape = self.shape if term.operator is None else term.operator.shape_out
            found.append((select, _reshaped(support_of(term.outer), shape)))
            matrix = np.eye(sizes[i]) if term.operator is None else term.operator.to_dense()
            pulled += matrix.T @ select
        last = domain_support(self.kernel) if absorbing is None else support_of(self.terms[absorbing].outer)
        return [*found, (-pulled, _reshaped(last, self.shape))]


def _reshaped(ray: RayOf, shape: tuple[int, ...]) -> RayOf:
    return lambda direction: ray(direction.reshape(shape))


# ---------------------------------------------------------------------- min f(u) + g(v), M u + N v related to b


@dataclass(frozen=True, eq=False)
class Relations:
    """The data of a linearly constrained problem, and the checks of its two certificates.

    Multipliers y that grow without bound inside the kernel's domain prove that the relations contradict each other:
    ``sigma_f(-M^T y) + sigma_g(-N^T y) + <b, y> < 0`` with y a recession direction of dom h. Blocks (du, dv) with
    ``f'(du) + g'(dv) + sigma(M du + N dv) < 0`` prove that the objective falls for ever.
    """

    f: Any
    g: Any
    M: Array
    N: Array
    b: Array
    kernel: Any

    def blocks(self) -> list[tuple[Any, Array]]:
        """Return the functions with their matrices; one pair only if there is no g."""
        return [(self.f, self.M)] if self.g is None else [(self.f, self.M), (self.g, self.N)]

    def split(self, d: Array) -> list[Array]:
        """Return a stacked direction as its blocks."""
        return np.split(d, [self.M.shape[1]])[: len(self.blocks())]

    def contradict(self, y: Array, reach: float) -> Certificate | float:
        """Check a multiplier direction; the certificate, or its relative residual, or infinity."""
        recession = domain_recession(self.kernel)(y)
        if recession is None or not np.any(recession.direction):
            return math.inf
        y = recession.direction
        value, size = inner(self.b, y)
        residual = summands = 0.0
        for term, matrix in self.blocks():
            pulled, parts = -(matrix.T @ y), length(np.abs(matrix).T @ np.abs(y))
            ray = support_of(term)(pulled)
            if ray is None:
                return math.inf
            value, size = value + ray.value, size + ray.size
            residual += length(pulled - ray.direction) + ray.error + ROUNDING * parts
            summands += parts
        if not -value > 0 or not summands > 0:
            return math.inf
        if not accepted(-value, size, residual, summands, reach):
            return residual / summands
        scale = length(y)
        return _certificate("infeasible", y / scale, -value / scale, residual / scale)

    def contradict_parts(self) -> list[tuple[Array, RayOf]]:
        """Return what `polished` needs for `contradict`."""
        parts = [(-matrix.T, support_of(term)) for term, matrix in self.blocks()]
        return [*parts, (np.eye(self.b.size), domain_recession(self.kernel))]

    def falls(self, d: Array, point: Sequence[Array]) -> Certificate | float:
        """Check a direction of the stacked blocks from a point; the certificate, its relative residual, or infinity."""
        value = size = residual = 0.0
        blocks: list[Array] = []
        for (term, _), block in zip(self.blocks(), self.split(d)):
            fallen = drop_along(block, [recession_of(term)])
            if fallen is None:
                return math.inf
            blocks.append(fallen[0])
            value, size, residual = value + fallen[1], size + fallen[2], residual + fallen[3]
        moved = np.concatenate(blocks)
        change = sum(matrix @ block for (_, matrix), block in zip(self.blocks(), blocks))
        parts = sum(length(np.abs(matrix) @ np.abs(block)) for (_, matrix), block in zip(self.blocks(), blocks))
        penalty, forbidden = support(self.kernel, change)
        value, size = value + penalty, size + abs(penalty)
        off = length(forbidden) + ROUNDING * parts
        distance = length(moved)
        if not distance > 0 or not -value > FEASIBILITY_TOLERANCE * size:
            return math.inf
        relative = max(residual / distance, off / parts if parts > 0 else 0.0)
        if not accepted(-value, size, relative, 1.0, 0.0):
            return max(relative, length(moved - d) / distance)
        if not self.feasible(point):
            return math.inf
        vector = tuple(self.split(moved / distance))
        return _certificate("unbounded", vector, -value / distance, max(residual, off) / distance, tuple(point))

    def falls_parts(self) -> list[tuple[Array, RayOf]]:
        """Return what `polished` needs for `falls`."""
        stacked = np.eye(sum(matrix.shape[1] for _, matrix in self.blocks()))
        cuts = np.split(stacked, [self.M.shape[1]])
        parts = [(rows, recession_of(term)) for (term, _), rows in zip(self.blocks(), cuts)]
        return [*parts, (np.hstack([matrix for _, matrix in self.blocks()]), domain_support(self.kernel))]

    def feasible(self, point: Sequence[Array]) -> bool:
        """Return whether the functions are finite at the blocks and the relations hold, to the indicators' slack."""
        images = [matrix @ block for (_, matrix), block in zip(self.blocks(), point)]
        if not all(np.all(np.isfinite(block)) for block in point):
            return False
        if not all(math.isfinite(term.value(block)) for (term, _), block in zip(self.blocks(), point)):
            return False
        _, forbidden = support(self.kernel, sum(images) - self.b)
        scale = 1.0 + np.max(np.abs([*images, self.b]), axis=0)
        return bool(np.all(np.abs(forbidden) <= FEASIBILITY_TOLERANCE * scale))


__all__ = ["Certificate"]
