"""How good a point is: subgradients, a lower bound by Fenchel duality, and what is left of the optimality conditions.

For ``F(x) = sum_i f_i(A_i x)`` a method has pairs ``(w_i, s_i)`` with ``s_i`` a subgradient of ``f_i`` at ``w_i``. Then
``F(p) >= sum_i f_i(w_i) - <s_i, w_i> + <sum_i A_i^T s_i, p>`` for every p (add the subgradient inequalities), and each
bracket is ``-f_i*(s_i)``. Two things are made of them here:

* the residuals: how far ``w_i`` is from ``A_i x`` and ``sum_i A_i^T s_i`` from zero;
* the lower bound on all of F where one term a without an operator can *absorb* the sum: its own dual variable becomes
  ``-sum_{i != a} A_i^T s_i``, and the bound is ``-sum f_i*(s_i) - f_a*(that)``. If ``f_a*`` is finite everywhere
  (a squared distance, the indicator of a bounded set: then this is the Frank-Wolfe bound), nothing is left to do. If
  it is finite near zero (a norm), all dual variables are scaled by the best number that keeps it finite: the dual
  scaling of El Ghaoui, Viallon, Rabbani (2012). Coordinates that a 1-norm does not penalise are projected out first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import (
    Function,
    ItakuraSaito,
    KullbackLeibler,
    L1Norm,
    NegativeEntropy,
    Poisson,
    SquaredDistance,
)
from optlab.composite.domains import domain_kind, support
from optlab.composite.terms import Term, flattened, norm
from optlab.linalg import DenseMatrix, SparseMatrix

Array = Any
Pair = tuple[Array | None, Array]
_ON_THE_ORTHANT = (NegativeEntropy, KullbackLeibler, Poisson, ItakuraSaito)
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


class Certifier:
    """What of a problem's terms the certificates need, worked out once.

    Attributes
    ----------
    atoms : tuple of Term
        The terms, sums taken apart.
    reachable : Term or None
        The one atom with a domain, whose resolvent makes any point feasible; None if every point is.
    has_upper, has_lower : bool
        Whether a feasible point, and a lower bound, can be had from any point.
    """

    def __init__(self, terms: Sequence[Term], kernel: Any) -> None:
        self.terms, self.kernel = tuple(terms), kernel
        self.euclidean = isinstance(kernel, SquaredEuclidean)
        self._groups = [[Term(term.name, part, kernel) for part in flattened(term.function)] for term in terms]
        self.atoms = tuple(atom for group in self._groups for atom in group)
        known = all(isinstance(atom.function, Function) for atom in self.atoms)
        confined = [atom for atom in self.atoms if not self._finite_inside(atom)]
        self.reachable = confined[0] if len(confined) == 1 else None
        self.has_upper = known and (
            not confined or (len(confined) == 1 and confined[0].operator is None and "proximal" in confined[0].offers)
        )
        self.absorber, self.scales = self._absorber() if known else (None, False)
        self.has_lower = self.absorber is not None
        self._shifted = self._find_shifted()
        # Moreau pairs can be had of every term
        self.has_pairs = known and all(
            "gradient" in a.offers or "dual_proximal" in a.offers or "proximal" in a.offers for a in self.atoms
        )

    def _finite_inside(self, atom: Term) -> bool:
        """Return whether an atom is finite in the interior of the kernel's domain, where the iterates are."""
        if getattr(atom.function, "whole_space", False):
            return True
        positive = domain_kind(self.kernel) in ("orthant", "simplex") and atom.operator is None
        return positive and isinstance(atom.function, _ON_THE_ORTHANT)

    def _find_shifted(self) -> Term | None:
        """Return the atom whose resolvent is taken after a step along all other subgradients."""
        found = [a for a in self.atoms if "gradient" not in a.offers and "proximal" in a.offers and a.operator is None]
        return found[-1] if found else None

    def _absorber(self) -> tuple[int | str | None, bool]:
        if not all("convex" in atom.offers for atom in self.atoms):
            return None, False
        domains = [atom.outer.conjugate_domain for atom in self.atoms]
        own = [i for i, atom in enumerate(self.atoms) if atom.operator is None]
        for i in own:
            if domains[i] == "everywhere":
                return i, False
        if domain_kind(self.kernel) in ("box", "simplex"):
            return "domain", False
        for i in own:
            others = domains[:i] + domains[i + 1 :]
            star_shaped = all(other in ("everywhere", "ball", "star") for other in others)
            if star_shaped and (domains[i] == "ball" or (domains[i] == "star" and self._can_project(i))):
                return i, True
        return None, False

    def _can_project(self, i: int) -> bool:
        """Whether atom i is a 1-norm with zero weights beside one squared distance behind a matrix."""
        others = self.atoms[:i] + self.atoms[i + 1 :]
        return (
            len(others) == 1
            and isinstance(self.atoms[i].outer, L1Norm)
            and np.ndim(self.atoms[i].outer.weight) == 1
            and isinstance(others[0].outer, SquaredDistance)
            and isinstance(others[0].operator, (DenseMatrix, SparseMatrix))
        )

    # ------------------------------------------------------------------ subgradients

    def pairs_of(self, x: Array, duals: dict[str, Pair]) -> list[Pair] | None:
        """Return a pair for every atom, from a method's `duals` by term; those of other terms are gradients at x.

        None if a term that is not smooth has no dual.
        """
        found: list[Pair] = []
        for term, group in zip(self.terms, self._groups):
            if term.name in duals:
                w, s = duals[term.name]
                found += [(w, s)] if len(group) == 1 else self._taken_apart(group, w, s)
            elif all("gradient" in atom.offers for atom in group):
                found += [self._gradient_pair(atom, x) for atom in group]
            else:
                return None
        return found

    @staticmethod
    def _gradient_pair(atom: Term, x: Array) -> Pair:
        image = atom.image(x)
        return image, atom.outer.gradient(image)

    def _taken_apart(self, group: list[Term], w: Array, s: Array) -> list[Pair]:
        """Return a sum's pair as pairs of its parts: gradients where there are some, the rest for the part without."""
        pairs: list[Pair | None] = [self._gradient_pair(a, w) if "gradient" in a.offers else None for a in group]
        if None not in pairs:
            return [pair for pair in pairs if pair is not None]
        rest = s - sum(a.pulled(pair[1]) for a, pair in zip(group, pairs) if pair is not None)
        return [(w, rest) if pair is None else pair for pair in pairs]

    def own_pairs(self, x: Array) -> list[Pair]:
        """Return pairs that any point has: gradients, and what resolvents at ``A_i x`` reveal."""
        pairs: dict[int, Pair] = {}
        total: Any = np.zeros_like(x)
        curvature = 0.0
        for i, atom in enumerate(self.atoms):
            if atom is self._shifted:
                continue
            if "gradient" in atom.offers:
                pairs[i] = self._gradient_pair(atom, x)
                if "relative_smoothness" in atom.offers:
                    curvature += atom.relative_smoothness[0]
            else:
                image = atom.image(x)
                resolved = atom.outer_proximal(image, 1.0)
                pairs[i] = resolved, image - resolved
            total = total + atom.pulled(pairs[i][1])
        if self._shifted is not None:
            step = 1.0 / curvature if curvature > 0 and math.isfinite(curvature) else 1.0
            mirror = self.kernel.gradient(x) - step * total
            resolved = self._shifted.proximal(mirror, step)
            w = self.kernel.conjugate_gradient(resolved)
            pairs[self.atoms.index(self._shifted)] = w, (mirror - resolved) / step
        return [pairs[i] for i in range(len(self.atoms))]

    def residuals(self, x: Array, pairs: Sequence[Pair], project: Any) -> tuple[float, float]:
        """Return the primal and the dual residual of x with its pairs; `project` is onto the kernel's domain."""
        primal = 0.0
        total: Any = 0.0
        largest = 0.0
        for atom, (w, s) in zip(self.atoms, pairs):
            if w is not None:
                image = atom.image(x)
                primal = max(primal, norm(image - w) / (1.0 + norm(image)))
            back = atom.pulled(s)
            largest = max(largest, norm(back))
            total = total + back
        return primal, norm(x - project(x - total)) / (1.0 + largest)

    # ------------------------------------------------------------------ the two bounds

    def feasible(self, x: Array) -> Array:
        """Return x if it lies in the one domain there is, else the resolvent of that term at x."""
        atom = self.reachable
        if atom is None or not self.has_upper or math.isfinite(atom.function.value(x)):
            return x
        resolved = atom.proximal(self.kernel.gradient(x), 1.0)
        return self.kernel.conjugate_gradient(resolved)

    def lower_bound(self, pairs: Sequence[Pair]) -> float:
        """Return the lower bound on the optimal value that the pairs give; ``-inf`` if they give none."""
        if self.absorber is None:
            return -math.inf
        with np.errstate(all="ignore"):
            bound = self._lower_bound(list(pairs))
        return bound if bound == bound else -math.inf

    def _lower_bound(self, pairs: list[Pair]) -> float:
        others = [i for i in range(len(self.atoms)) if i != self.absorber]
        if self.scales and self.atoms[self.absorber].outer.conjugate_domain == "star":  # type: ignore[index]
            pairs = self._projected(pairs, others[0])
        total: Any = 0.0
        for i in others:
            total = total + self.atoms[i].pulled(pairs[i][1])
        if not self.scales:
            own = math.fsum(_minus_conjugate(self.atoms[i].outer, *pairs[i]) for i in others)
            if self.absorber == "domain":
                value, forbidden = support(self.kernel, -np.asarray(total))
                return own - value if not np.any(forbidden) else -math.inf
            absorbing = self.atoms[self.absorber].outer  # type: ignore[index]
            shape = np.shape(pairs[self.absorber][1])  # type: ignore[index]
            return own - absorbing.conjugate_value(-np.broadcast_to(total, shape))
        return self._scaled_bound(pairs, others, total)

    def _scaled_bound(self, pairs: list[Pair], others: list[int], total: Any) -> float:
        absorbing = self.atoms[self.absorber].outer  # type: ignore[index]
        u = -np.broadcast_to(total, np.shape(pairs[self.absorber][1]))  # type: ignore[index]
        if absorbing.conjugate_domain == "star":  # zero there up to rounding, since projected
            u = np.where(absorbing.weight == 0, 0.0, u)
        outer = [(self.atoms[i].outer, pairs[i][1]) for i in others]
        most = min([absorbing.conjugate_scale(u), *(f.conjugate_scale(s) for f, s in outer)])

        def dual(scale: float) -> float:
            return -math.fsum(f.conjugate_value(scale * s) for f, s in outer) - absorbing.conjugate_value(scale * u)

        if all(isinstance(f, SquaredDistance) for f, _ in outer):
            # a parabola through the origin
            up = -math.fsum(f.conjugate_value(s) for f, s in outer)
            down = -math.fsum(f.conjugate_value(-s) for f, s in outer)
            slope, bend = 0.5 * (up - down), -0.5 * (up + down)
            best = min(most, max(0.0, 0.5 * slope / bend)) if bend > 0 else 0.0
            return max(dual(best), dual(0.0))
        top = min(most, 2.0)
        candidates = [dual(0.0), dual(min(most, 1.0))]
        # concave in the scale: golden section, any of whose points is a bound
        low, high = 0.0, top
        for _ in range(24):
            left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
            at_left, at_right = dual(left), dual(right)
            candidates += [at_left, at_right]
            if at_left >= at_right:
                high = right
            else:
                low = left
        return max(candidates)

    def _projected(self, pairs: list[Pair], other: int) -> list[Pair]:
        """Return the pairs with the loss's dual variable made orthogonal to the columns that are not penalised."""
        free = np.flatnonzero(self.atoms[self.absorber].outer.weight == 0)  # type: ignore[index]
        matrix = self.atoms[other].operator.matrix  # type: ignore[union-attr]
        columns = matrix[:, free]
        columns = np.asarray(columns.toarray() if hasattr(columns, "toarray") else columns)
        basis, triangle = np.linalg.qr(columns)
        basis = basis[:, np.abs(np.diag(triangle)) > 1e-13 * np.max(np.abs(triangle), initial=0.0)]
        s = pairs[other][1]
        for _ in range(2):
            s = s - basis @ (basis.T @ s)
        pairs = list(pairs)
        pairs[other] = None, s
        return pairs


def _minus_conjugate(function: Any, w: Array | None, s: Array) -> float:
    """Return ``-f*(s)``: from the conjugate if it is known and finite, else from the point where s is a subgradient."""
    if function.conjugate_domain is not None:
        value = function.conjugate_value(s)
        if math.isfinite(value):
            return -value
    if w is None:
        return -math.inf
    return float(function.value(w)) - float(np.vdot(s, w))
