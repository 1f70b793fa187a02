"""Problems made of a problem, each with a way back: its dual, more terms, fewer points, no operators.

``problem.dual()``, ``problem.regularized(...)``, ``problem.constrained(...)``, ``problem.lifted()``; a solution of the
new problem becomes one of the old by ``new.primal_solution(solution)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import BlockSum, Box, Function, Graph, SquaredDistance
from optlab.composite.problem import CompositeProblem
from optlab.composite.terms import Term, flattened
from optlab.core.validation import as_data, as_number
from optlab.linalg import Blocks, Identity, LinearMap, Reshape

Array = Any


class ExtendedProblem(CompositeProblem):
    """A problem with more terms than the one it was made of; made by ``regularized`` and ``constrained``.

    Attributes
    ----------
    source : CompositeProblem
        The problem it was made of.
    """

    source: CompositeProblem

    def primal_solution(self, solution: Any) -> Array:
        """Return the point for the source: the same, to which the added terms have led."""
        return np.asarray(solution)


def _extended(source: CompositeProblem, added: Sequence[Any]) -> ExtendedProblem:
    problem = ExtendedProblem(*source.functions, *added, kernel=source.kernel, shape=source.shape)
    problem.source = source
    return problem


def regularized(source: CompositeProblem, term: Any, center: Any = 0.0) -> ExtendedProblem:
    """Return `source` with a term added: a function, or a weight above 0 of half a squared distance to `center`."""
    if not isinstance(term, Function):
        weight = as_number(term, "term", above=0)
        return _extended(source, [SquaredDistance(as_data(center, "center"), weight)])
    if np.any(center):
        raise TypeError("center goes with a number for term: a function has its own")
    return _extended(source, [term])


def constrained(source: CompositeProblem, sets: Sequence[Any], lower: Any, upper: Any) -> ExtendedProblem:
    """Return `source` with indicators added, and a box if there are bounds."""
    for i, part in enumerate(sets):
        if not (isinstance(part, Function) and part.indicator):
            raise TypeError(f"sets[{i}] must be the indicator of a set, got {type(part).__name__}")
    added = list(sets)
    if lower is not None or upper is not None:
        added.append(Box(-math.inf if lower is None else lower, math.inf if upper is None else upper))
    if not added:
        raise TypeError("there must be a set, or a bound lower or upper")
    return _extended(source, added)


class DualProblem(CompositeProblem):
    """The Fenchel dual of a problem in the Euclidean geometry, as a minimisation; made by ``problem.dual()``.

    With ``K x = (A_i x)`` over all terms but one without operator, g, it is ``min_y sum_i f_i*(y_i) + g*(-K^T y)``. Its
    optimal value is minus that of the source. Sums are taken apart first; g is the term whose conjugate is smooth, if
    there is one, otherwise the last without an operator.

    Parameters
    ----------
    source : CompositeProblem
        Convex, with a term without operator, and at least one other.

    Attributes
    ----------
    source : CompositeProblem

    Examples
    --------
    The dual of total variation denoising has a smooth term and a ball:

    >>> from optlab.bregman.functions import L1Norm
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.linalg import FiniteDifferences
    >>> b = np.array([0.0, 0.1, 2.0, 2.1])
    >>> dual = CompositeProblem(SquaredDistance(b), 0.5 * L1Norm() @ FiniteDifferences(4)).dual()
    >>> [sorted({"gradient", "proximal"} & term.offers) for term in dual.terms]
    [['proximal'], ['gradient']]
    >>> y = np.array([0.05, 0.5, 0.05])
    >>> dual.primal_solution(y).round(2)
    array([0.05, 0.55, 1.55, 2.05])
    """

    def __init__(self, source: CompositeProblem) -> None:
        if not isinstance(source.kernel, SquaredEuclidean):
            raise TypeError(f"the dual is that of the Euclidean geometry, but the kernel is {source.kernel!r}")
        atoms = [Term("", part, source.kernel) for function in source.functions for part in flattened(function)]
        for atom in atoms:
            if not isinstance(atom.function, Function) or not atom.function.convex:
                raise TypeError(f"{atom.function!r} is not a convex Function: the problem has no dual")
        plain = [i for i, atom in enumerate(atoms) if atom.operator is None]
        if not plain or len(atoms) < 2:
            raise TypeError("a dual needs at least two terms, one of them without an operator")
        smooth = [i for i in plain if atoms[i].outer.smooth_conjugate]
        own = smooth[0] if smooth else plain[-1]
        self.source = source
        self._own: Function = atoms[own].outer
        others = atoms[:own] + atoms[own + 1 :]
        maps = [Identity(source.shape) if a.operator is None else a.operator for a in others]
        self._stack: LinearMap = maps[0] if len(maps) == 1 else Blocks(maps)
        if len(others) == 1:
            first: Function = others[0].outer.conjugate()
        else:
            parts = tuple(
                a.outer.conjugate() @ Reshape(linear.size_out, linear.shape_out) for a, linear in zip(others, maps)
            )
            first = BlockSum(parts, tuple(linear.size_out for linear in maps))
        super().__init__(first, self._own.conjugate() @ (-1.0 * self._stack.T), shape=self._stack.shape_out)

    def primal_solution(self, dual_solution: Any) -> Array:
        """Return the point of the source that belongs to a solution of the dual, ``grad g*(-K^T y)``.

        Where the conjugate is not smooth, the point is the subgradient that a method found beside its solution: pass
        ``Result.solution`` of one that reports its dual variables.

        Raises
        ------
        TypeError
            If the conjugate is not smooth and no dual variables came with the solution.
        """
        duals = getattr(dual_solution, "duals", None) or {}
        if self._own.smooth_conjugate:
            return self._own.conjugate_gradient(-self._stack.adjoint(np.asarray(dual_solution)))
        if self.terms[-1].name in duals:
            return np.asarray(duals[self.terms[-1].name][1])
        raise TypeError(
            f"the conjugate of {type(self._own).__name__} is not smooth, so y alone does not tell x: pass "
            "Result.solution of a method that reports its dual variables (PDHG), or solve the primal problem"
        )


class LiftedProblem(CompositeProblem):
    """A problem as two terms with resolvents: all functions at ``(x, z)``, and the graph ``z = K x``.

    ``K x`` stacks the images ``A_i x`` of the terms behind operators. Splitting methods (Douglas-Rachford and its kin),
    which know no operators, run on it; one linear system an iteration. Made by ``problem.lifted()``.

    Parameters
    ----------
    source : CompositeProblem
        In the Euclidean geometry; every outer function has a proximal operator, and of those without an operator at
        most one is not linear or a squared distance.

    Attributes
    ----------
    source : CompositeProblem

    Examples
    --------
    >>> import optlab
    >>> from optlab.bregman.functions import L1Norm
    >>> from optlab.linalg import FiniteDifferences
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = CompositeProblem(SquaredDistance([0.0, 0.1, 2.0, 2.1]), 0.5 * L1Norm() @ FiniteDifferences(4))
    >>> lifted = problem.lifted()
    >>> result = optlab.solve(lifted, BregmanDouglasRachford(), tol=1e-9)
    >>> lifted.primal_solution(result.solution).round(6)
    array([0.3, 0.3, 1.8, 1.8])
    """

    def __init__(self, source: CompositeProblem) -> None:
        if not isinstance(source.kernel, SquaredEuclidean):
            raise TypeError(f"lifting is for the Euclidean geometry, but the kernel is {source.kernel!r}")
        behind = [term for term in source.terms if term.operator is not None]
        plain = [term.function for term in source.terms if term.operator is None]
        if not behind:
            raise TypeError("no term of the problem has an operator: there is nothing to lift")
        for term in behind:
            if "dual_proximal" not in term.offers:
                raise TypeError(f"the outer function of {term.name!r} has no proximal operator")
        self.source = source
        maps = [term.operator for term in behind]
        stack: LinearMap = maps[0] if len(maps) == 1 else Blocks(maps)  # type: ignore[assignment]
        size = math.prod(source.shape)
        at_x = [function @ Reshape(size, source.shape) for function in plain]
        total: Any = sum(at_x[1:], at_x[0]) if at_x else SquaredDistance(0.0, 0.0)
        parts, sizes = [total], [size]
        for term in behind:
            linear: Any = term.operator
            parts.append(term.outer @ Reshape(linear.size_out, linear.shape_out))
            sizes.append(linear.size_out)
        self._graph = Graph(stack)
        super().__init__(BlockSum(tuple(parts), tuple(sizes)), self._graph)

    def primal_solution(self, solution: Any) -> Array:
        """Return the x of ``(x, z)``."""
        return self._graph.split(np.asarray(solution))[0].copy()
