"""Composite convex problems ``min sum_i f_i(A_i x)`` over the domain of a kernel.

Any number of terms, each with a linear map. The problem knows what every term offers and how good a point is; which
terms a method takes, and where, is the method's `slots` (see the text of `optlab.composite`).

With two terms that both have resolvents it is also the subdifferential case of a monotone inclusion, ``A = df``,
``B = dg``, for the splitting methods: section 1 of Ma, Xiao, Zhao (2025, arXiv 2509.08739). Where g is L-smooth
relative to the kernel and the step size is at most 1/L, Bregman Douglas-Rachford converges at rate O(1/k) (derived
here, verified numerically), so g is the place for the smooth function.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import Function
from optlab.composite.certificate import Certifier, Pair
from optlab.composite.domains import project_closure
from optlab.composite.inclusion import MonotoneInclusion, SplitPoint
from optlab.composite.infeasibility import Certificate, Domains, domain_recession, falls, identity, recession_of, search
from optlab.composite.split import Split
from optlab.composite.terms import Term, as_term_list
from optlab.core import IncompatibleError
from optlab.core.backend import to_numpy
from optlab.core.contract.slots import Slot, assign
from optlab.core.validation import as_data, as_number

Array = Any


class TermPoint(SplitPoint):
    """A point x of a `CompositeProblem` with the subgradients that a method found beside it: a plain array otherwise.

    Attributes
    ----------
    duals : dict of str to (w, s), or None
        By the term's name: ``s`` is a subgradient of the term's outer function at ``w`` (None: not said where).
    """

    duals: dict[str, Pair] | None

    def __array_finalize__(self, source: Any) -> None:
        super().__array_finalize__(source)
        self.duals = None

    def __reduce__(self) -> Any:
        return _term_point, (np.array(self), self.duals, self.mirror)


def _term_point(x: Array, duals: Mapping[str, Pair] | None = None, mirror: Array | None = None) -> TermPoint:
    point = TermPoint(x, mirror=mirror)
    point.duals = None if duals is None else dict(duals)  # type: ignore[attr-defined]
    return point  # type: ignore[return-value]


class CompositeProblem(MonotoneInclusion):
    """Minimise ``sum_i f_i(A_i x)`` over the closure of the domain of a kernel.

    Parameters
    ----------
    *terms : function
        Terms of `optlab.bregman.functions`, written ``f``, ``0.1 * f``, ``f @ A`` or as sums, or objects with
        ``value(x) -> float`` and ``resolvent(kernel, mirror, step_size) -> mirror``. A sum is one term if it is smooth
        or has a resolvent, else each of its parts is one. For the splitting methods there are two, f and g; g is
        applied first: put the smooth function there.
    kernel : Legendre
        The geometry; its domain is a constraint of the problem. Default: `SquaredEuclidean`. May also be the last
        positional argument; see the notes.
    shape, reference, default_step_size
        As in `MonotoneInclusion`.
    optimum : float, optional
        The known optimal value; adds the metric ``suboptimality = objective - optimum``.
    dual_bound : callable, optional
        For two terms: ``point -> float``, a lower bound on the optimal value, finite at every point. It receives a
        `SplitPoint`, whose ``b in dg(x)`` and ``a in df(y)`` are the natural dual candidates. Adds the metrics ``gap``
        (a certificate, then the primary metric) and ``relative_gap``.
    feasible_point : callable, optional
        For two terms: ``point -> x``, a point at which f + g is finite, used for the upper bound of the gap. Default:
        whichever of x and y is better.

    Attributes
    ----------
    terms : tuple of Term
        With their names and what each offers.
    has_gap : bool
        Whether the gap is certified at every point; then it is the primary metric, otherwise ``residual`` is.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, or shapes do not agree.

    Notes
    -----
    `measure` gives, for a point with subgradients ``s_i`` of the terms at ``w_i`` (the method's, and those that the
    point itself shows; whichever is better):

    * ``objective``, the sum of the terms at the point, made feasible if one term's domain stands in the way (what a
      method returns is feasible already); where several do, each term is taken at its own ``w_i``;
    * ``primal_residual``, the largest ``|A_i x - w_i| / (1 + |A_i x|)``; ``dual_residual``,
      ``|x - P_C(x - sum A_i^T s_i)| / (1 + max |A_i^T s_i|)`` with P_C the projection onto the closure of the kernel's
      domain; ``residual``, the larger of the two;
    * with `has_gap`: ``dual_value``, a lower bound on the optimal value by Fenchel duality (`optlab.composite` says
      when there is one), ``gap = objective - dual_value``, a certificate, and ``relative_gap``;
    * ``suboptimality`` and ``distance``, if `optimum` and `reference` are given.

    Two terms with the kernel as third positional argument, and problems with a `dual_bound`, are measured as
    `MonotoneInclusion` says, by one Douglas-Rachford iteration where a point comes alone, with ``objective = f(y) +
    g(x)``: each function at the point its own resolvent produced. The primary metric is ``residual`` then, or the gap
    of the `dual_bound`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import L1Norm, LeastSquares, SquaredDistance
    >>> from optlab.splitting import BregmanDouglasRachford, CompositeProblem
    >>> problem = CompositeProblem(L1Norm(), SquaredDistance(np.array([3.0, 0.5])))
    >>> result = optlab.solve(problem, BregmanDouglasRachford(step_size=1.0), tol=1e-10)
    >>> np.asarray(result.solution).round(6) + 0.0
    array([2., 0.])
    >>> round(result.metrics["objective"], 6), result.metrics["gap"] <= 1e-10
    (2.625, True)

    Total variation of a signal, beside a loss and a penalty of its size:

    >>> from optlab.linalg import FiniteDifferences
    >>> A, b = np.eye(4), np.array([1.0, 1.2, 3.0, 3.1])
    >>> problem = CompositeProblem(LeastSquares(A, b), 0.1 * L1Norm(), 0.2 * L1Norm() @ FiniteDifferences(4))
    >>> [term.name for term in problem.terms]
    ['LeastSquares', 'L1Norm', 'L1Norm @ FiniteDifferences']
    """

    def __init__(
        self,
        *terms: Any,
        kernel: Any = None,
        shape: int | tuple[int, ...] | None = None,
        reference: Any = None,
        optimum: float | None = None,
        dual_bound: Callable[[SplitPoint], float] | None = None,
        feasible_point: Callable[[SplitPoint], Array] | None = None,
        default_step_size: float | None = None,
    ) -> None:
        functions, kernel, positional = _terms_and_kernel(terms, kernel)
        for name, hook in (("dual_bound", dual_bound), ("feasible_point", feasible_point)):
            if hook is not None and not callable(hook):
                raise TypeError(f"{name} must be callable, got {type(hook).__name__}")
            if hook is not None and len(functions) != 2:
                raise TypeError(f"{name} is for problems of two terms, got {len(functions)}")
        self.optimum = None if optimum is None else as_number(optimum, "optimum")
        self.dual_bound, self.feasible_point = dual_bound, feasible_point
        # with two terms: measured by pairs of a splitting, as before there were problems of many terms
        self.by_pairs = len(functions) == 2 and (positional or dual_bound is not None or feasible_point is not None)
        self.functions = tuple(functions)
        if self.by_pairs:
            self._init_pair(functions, kernel, shape, reference, default_step_size)
            self.primary_metric = "residual" if dual_bound is None else "gap"
            return
        self._init_space(functions, kernel, shape, reference)
        if self.is_pair:
            self._init_pair(functions, kernel, self.shape, reference, default_step_size)
        elif default_step_size is not None:
            raise TypeError("default_step_size is for problems of two terms with resolvents")
        self.has_gap = self.certifier.has_upper and self.certifier.has_lower
        if not self.certifier.has_pairs:
            lacking = next(t for t in self.certifier.atoms if not t.offers & {"gradient", "proximal", "dual_proximal"})
            raise TypeError(
                f"the term {lacking.name!r} has neither a gradient nor a proximal operator: no method could use it. "
                "Give it one (optlab.bregman.register_resolvent), or write it as f @ A"
            )
        self.primary_metric = "gap" if self.has_gap else "residual"

    has_gap = False

    def _init_pair(self, pair: Sequence[Any], kernel: Any, shape: Any, reference: Any, step: float | None) -> None:
        self.f, self.g = f, g = pair
        MonotoneInclusion.__init__(self, f, g, kernel, shape=shape, reference=reference, default_step_size=step)

    def _init_space(self, functions: Sequence[Any], kernel: Any, shape: Any, reference: Any) -> None:
        _check_kernel(kernel)
        self.kernel = kernel
        self.reference = None if reference is None else as_data(reference, "reference")
        self.shape = self._find_shape(shape, functions)
        for term in self.terms:
            seen = getattr(term.function, "shape", None)
            if seen is not None and tuple(seen) != self.shape:
                raise ValueError(
                    f"the term {term.name!r} takes arrays of shape {tuple(seen)}, but the problem's have {self.shape}"
                )

    def __repr__(self) -> str:
        terms = ", ".join(map(repr, self.functions))
        return f"{type(self).__name__}({terms}, kernel={self.kernel!r}, shape={self.shape})"

    # ------------------------------------------------------------------ the terms, for methods

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms, with their names and what each offers to a method."""
        return as_term_list(self.functions, self.kernel)

    @cached_property
    def is_pair(self) -> bool:
        """Whether there are two terms, each with a resolvent in the kernel: a problem for the splitting methods."""
        return len(self.functions) == 2 and all("proximal" in Term("", f, self.kernel).offers for f in self.functions)

    @property
    def offers(self) -> dict[str, tuple[str, ...]] | None:
        """The oracles for terms of any number; None, for all that the class has, if there are two with resolvents."""
        if self.by_pairs or self.is_pair:
            return None
        return {"split": tuple(term.name for term in self.terms)}

    @cached_property
    def certifier(self) -> Certifier:
        """What the certificates need of the terms."""
        return Certifier(self.terms, self.kernel)

    def split(self, slots: Sequence[Slot]) -> Split:
        """Return the terms sorted into a method's slots, with oracles that are bound and counted; made once.

        Raises
        ------
        IncompatibleError
            If they do not all find a place.
        """
        found = self._splits.get(id(slots))
        if found is None:
            self._check_declared()
            placed = assign(self.terms, slots)
            if isinstance(placed, str):
                raise IncompatibleError(f"the method {placed}")
            # the slots are kept beside the split, so that their id stays theirs
            found = self._splits[id(slots)] = (slots, Split(self, placed))
        return found[1]

    @cached_property
    def _splits(self) -> dict[int, tuple[Any, Split]]:
        return {}

    def point(self, x: Array, duals: Mapping[str, Pair] | None = None) -> TermPoint:
        """Return x, made feasible if one term's domain stands in the way, with subgradients of the terms by name."""
        if self.by_pairs:
            return _term_point(x, duals)
        return _term_point(self.certifier.feasible(np.asarray(x)), duals)

    #: What `objective` is the sum of. A class that writes `objective` in its own words says it again beside it.
    objective_terms: ClassVar[tuple[str, ...]] = ("f", "g")

    def initial_mirror(self, x0: Any) -> Array:
        """Return ``grad h(x0)``, after making sure that f and g are all that is minimised; see `MonotoneInclusion`."""
        self._check_declared()
        return super().initial_mirror(x0)

    def _check_declared(self) -> None:
        owner = next(cls for cls in type(self).__mro__ if "objective" in vars(cls))
        declared = vars(owner).get("objective_terms")
        if declared is None or set(declared) != {"f", "g"}:
            raise TypeError(
                f"{owner.__name__}.objective is not that of CompositeProblem, and splitting methods handle two terms, "
                "f and g: a third one would be ignored. Put it into f or g (f + term), or, if it is f + g in other "
                'words, say so beside it: objective_terms = ("f", "g")'
            )

    def objective(self, x: Array) -> float:
        """Return the sum of the terms at x, infinite outside the domain of any."""
        if self.by_pairs:
            return float(self.f.value(x) + self.g.value(x))
        return math.fsum(float(term.function.value(x)) for term in self.terms)

    def value(self, x: Array) -> float:
        """Return `objective`."""
        return self.objective(x)

    def _certificate(self, moves: list[Array], mirrors: Any, points: list[Array]) -> Certificate | None:
        found = super()._certificate(moves, mirrors, points)
        if found is not None:
            return found
        whole = identity(moves[0].size)
        rays = [recession_of(self.f), recession_of(self.g), domain_recession(self.kernel)]
        # the point itself runs off along the direction, in the end faster than anything else
        moves = [*moves, points[0] - np.asarray(self.default_start(np.random.default_rng(0)))]
        return search(moves, lambda d: self._falls(d, [points[1], points[0]]), [(whole, ray) for ray in rays])

    def _falls(self, d: Array, points: list[Array]) -> Certificate | float:
        return falls(self.functions, self.kernel, d, points, self.objective, 0.0)

    @cached_property
    def domains(self) -> Domains:
        """The terms' domains, sums taken apart, for certificates of infeasibility."""
        return Domains(self.certifier.atoms, self.kernel, self.shape)

    def certify_infeasible(self, duals: Mapping[str, Array], reach: float = 0.0) -> Certificate | None:
        """Return a checked certificate that no point lies in the domains of all terms, if these directions show one.

        Parameters
        ----------
        duals : mapping of str to ndarray
            By the term's name: a direction along which its dual variable runs off, such as the difference of two
            iterates (of shape ``A_i x``). Terms left out count zero.
        reach : float, default 0
            The norm of the points at hand: the certificate is accepted if it excludes points far beyond.
        """
        parts = []
        for term, group in zip(self.terms, self.certifier.groups):
            for atom in group:
                shape = self.shape if atom.operator is None else atom.operator.shape_out
                given = duals.get(term.name) if len(group) == 1 or not atom.function.whole_space else None
                parts.append(np.ravel(np.zeros(shape) if given is None else given))
        stacked, domains = np.concatenate(parts), self.domains
        found = search([stacked, -stacked], lambda y: domains.separated(y, reach), domains.parts(stacked))
        return None if found is None else dataclasses.replace(found, problem=self).confirmed()

    def certify_unbounded(self, direction: Array, points: Sequence[Array]) -> Certificate | None:
        """Return a checked certificate that the objective falls for ever along a direction, if it does.

        Parameters
        ----------
        direction : ndarray
            Such as the difference of two iterates.
        points : sequence of ndarray
            From the first of them with a finite objective it falls.
        """
        whole = identity(direction.size)
        rays = [*map(recession_of, self.functions), domain_recession(self.kernel)]
        found = search([direction], lambda d: self._falls(d, list(points)), [(whole, ray) for ray in rays])
        return None if found is None else dataclasses.replace(found, problem=self).confirmed()

    def check_certificate(self, kind: str, vector: Array, point: Any = None) -> Certificate | None:
        """Return the certificate that `vector` (and `point`) is, None if it is none; see `Certificate.verify`."""
        if kind == "infeasible":
            if self.by_pairs or self.is_pair:
                return super().check_certificate(kind, vector, point)
            found: Any = self.domains.separated(vector, 0.0)
            return found if isinstance(found, Certificate) else None
        found = self._falls(vector, [point])
        return found if isinstance(found, Certificate) else None

    # ------------------------------------------------------------------ other problems made of it

    def dual(self) -> Any:
        """Return the Fenchel dual as a problem of its own; see `optlab.composite.DualProblem`."""
        from optlab.composite.transforms import DualProblem

        return DualProblem(self)

    def regularized(self, term: Any, center: Any = 0.0) -> Any:
        """Return the problem with one more term: a function, or a number for ``term/2 ||x - center||^2``."""
        from optlab.composite.transforms import regularized

        return regularized(self, term, center)

    def constrained(self, *sets: Any, lower: Any = None, upper: Any = None) -> Any:
        """Return the problem on a smaller set: indicators, or bounds on the entries of x."""
        from optlab.composite.transforms import constrained

        return constrained(self, sets, lower, upper)

    def lifted(self) -> Any:
        """Return a problem of two terms with resolvents and no operators; see `optlab.composite.LiftedProblem`."""
        from optlab.composite.transforms import LiftedProblem

        return LiftedProblem(self)

    # ------------------------------------------------------------------ how good an iterate is

    def primal(self, mirror: Array, drift: Any = None) -> SplitPoint:
        """Return the primal point of a mirror point, made feasible."""
        if self.by_pairs:
            return super().primal(mirror, drift)
        return _term_point(self.certifier.feasible(to_numpy(self.kernel.conjugate_gradient(mirror))), None, mirror)

    def primal_pair(self, x: Array, y: Array, a: Array, b: Array) -> SplitPoint:
        """Return the point of a splitting, with the operator values as subgradients of f at y and of g at x."""
        pair = super().primal_pair(x, y, a, b)
        if self.by_pairs:
            return pair
        point = np.asarray(pair)
        if not math.isfinite(self.objective(point)):
            point = self.certifier.feasible(pair.y)
        f, g = self.terms
        duals = {f.name: (pair.y, pair.a), g.name: (np.asarray(pair), pair.b)}
        # of a term behind an operator the resolvent reveals the pulled-back subgradient only
        kept = {term.name: duals[term.name] for term in self.terms if term.operator is None}
        return _term_point(point, kept, x)

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return the length of a splitting's displacement, where it is not small: there may be nothing to find."""
        return super().hint(method, state, metrics) if "fixed_point_residual" in metrics else None

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return the objective and the certificates of a point; see the class notes."""
        if self.by_pairs:
            return super().measure(iterate)
        x = as_data(iterate, "iterate", shape=self.shape).view(np.ndarray)
        certifier = self.certifier
        inside = certifier.feasible(x)
        candidates = []
        duals = getattr(iterate, "duals", None)
        if duals:
            given = certifier.pairs_of(x, duals)
            if given is not None:
                candidates.append(given)
        candidates.append(certifier.own_pairs(self._interior(inside)))
        project = self._project
        residuals = [certifier.residuals(x, pairs, project) for pairs in candidates]
        primal, dual = min(residuals, key=max)
        objective = self.objective(inside)
        if not math.isfinite(objective):
            objective = self._value_apart(x, candidates[0])
        metrics = {
            "objective": objective,
            "residual": max(primal, dual),
            "primal_residual": primal,
            "dual_residual": dual,
        }
        if self.optimum is not None:
            metrics["suboptimality"] = objective - self.optimum
        if self.has_gap:
            lower = max(certifier.lower_bound(pairs) for pairs in candidates)
            scale = max(abs(objective), abs(lower))
            gap = max(0.0, objective - lower)
            metrics |= {"dual_value": lower, "gap": gap, "relative_gap": gap / scale if scale > 0 else 0.0}
        if self.reference is not None:
            size = float(np.linalg.norm(self.reference))
            metrics["distance"] = float(np.linalg.norm(x - self.reference)) / (size if size > 0 else 1.0)
        return metrics

    def _project(self, x: Array) -> Array:
        return project_closure(self.kernel, x)

    def _interior(self, x: Array) -> Array:
        """Return x, moved inside the kernel's domain by a rounding error if it lies on its boundary."""
        if self.kernel.in_domain(x):
            return x
        inside = x + 1e-12 * (self.default_start(np.random.default_rng(0)) - x)
        self.kernel.check_domain(inside, "iterate")
        return inside

    def _value_apart(self, x: Array, pairs: Sequence[Pair]) -> float:
        """Return the sum of the terms, each at ``A_i x`` if it is finite there, else at its own point."""
        total = 0.0
        for atom, (w, _) in zip(self.certifier.atoms, pairs):
            value = float(atom.outer.value(atom.image(x)))
            if not math.isfinite(value) and w is not None:
                value = float(atom.outer.value(w))
            total += value
        return total

    def _measure_pair(self, x: Array, pair: SplitPoint) -> dict[str, float]:
        metrics = super()._measure_pair(x, pair)
        metrics["objective"] = float(self.f.value(pair.y) + self.g.value(np.asarray(pair)))
        if self.optimum is not None:
            metrics["suboptimality"] = metrics["objective"] - self.optimum
        if self.dual_bound is not None:
            upper, lower = self._upper_bound(self._certified(x, pair)), float(self.dual_bound(pair))
            if not math.isfinite(lower):
                raise ValueError(f"dual_bound must return a finite lower bound at every point, got {lower}")
            metrics["gap"] = upper - lower
            scale = max(abs(upper), abs(lower))
            metrics["relative_gap"] = (upper - lower) / scale if scale > 0 else 0.0
        return metrics

    def _certified(self, x: Array, pair: SplitPoint) -> SplitPoint:
        """Return what the upper bound is for: the pair, or x itself if it came without one and is feasible."""
        # otherwise a start would be declared solved because the iteration that measures it ends at a solution
        if np.array_equal(np.asarray(pair), x):
            return pair
        alone = SplitPoint(x, x, pair.a, pair.b)
        return alone if self.feasible_point is not None or math.isfinite(self.objective(x)) else pair

    def _upper_bound(self, pair: SplitPoint) -> float:
        if self.feasible_point is not None:
            upper = self.objective(np.asarray(self.feasible_point(pair)))
            if not math.isfinite(upper):
                raise ValueError(f"feasible_point must return a point with a finite objective, got {upper}")
            return upper
        upper = min(self.objective(np.asarray(pair)), self.objective(pair.y))
        if not math.isfinite(upper):
            raise ValueError("f + g is infinite at both x and y: pass feasible_point to have a gap")
        return upper


def _terms_and_kernel(terms: Sequence[Any], kernel: Any) -> tuple[list[Any], Any, bool]:
    """Return the terms, the kernel, and whether it came as the last positional argument."""
    functions = list(terms)
    positional = kernel is None and len(functions) >= 2 and not _is_term(functions[-1])
    if positional:
        kernel = functions.pop()
    if kernel is None:
        kernel = SquaredEuclidean()
    if not functions:
        raise TypeError("a problem needs at least one term")
    for i, function in enumerate(functions):
        name = "fg"[i] if len(functions) == 2 else f"terms[{i}]"
        if not callable(getattr(function, "value", None)):
            raise TypeError(f"{name} must have value(x) -> float, got {type(function).__name__}")
    return functions, kernel, positional


def _is_term(value: Any) -> bool:
    if isinstance(value, Function) or callable(getattr(value, "resolvent", None)):
        return True
    return callable(getattr(value, "value", None)) and not callable(getattr(value, "conjugate_gradient", None))


def _check_kernel(kernel: Any) -> None:
    for method in ("gradient", "conjugate_gradient", "check_domain", "default_point"):
        if not callable(getattr(kernel, method, None)):
            raise TypeError(f"kernel must be a Legendre function with {method}(), got {type(kernel).__name__}")
