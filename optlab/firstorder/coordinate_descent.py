"""Block coordinate descent with greedy rules.

Follows Nutini, Laradji and Schmidt (2022, arXiv 1712.08859). For ``f(x) + sum_b g_b(x_b)``, with block constants
``L_b`` of grad f, the proximal step of a block and the decrease that its model promises are

    d_b = prox_{g_b/L_b}(x_b - grad_b f(x)/L_b) - x_b
    V_b = -<grad_b f(x), d_b> - L_b/2 ||d_b||^2 - g_b(x_b + d_b) + g_b(x_b)

and one block moves in an iteration. Without g, ``V_b = ||grad_b f||^2/(2 L_b)``: the rule of steepest decrease is
Gauss-Southwell-Lipschitz (GSL).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.bregman.functions import Box, L1Norm
from optlab.composite.split import Work
from optlab.core.contract.slots import Slot
from optlab.core.validation import as_integer, one_of
from optlab.firstorder.base import DescentState, FirstOrderMethod, needs_whole_space
from optlab.linalg import DenseMatrix, SparseMatrix

Array = Any
_RULES = ("gs-q", "gs-r", "gs", "cyclic", "random")
#: Up to this many variables the Hessian of a quadratic is kept, so that a step costs no product with the matrix.
_LARGEST_HESSIAN = 3000
#: Gradients that are updated are made anew after this many steps, against rounding errors.
_REFRESH = 1000


@dataclass
class CoordinateState(DescentState):
    """State of `BlockCoordinateDescent`: `gradient` is that at x, `block` the one that moved last.

    Parameters
    ----------
    gradient : ndarray
    block : int
    rng : numpy.random.Generator
        For the rule "random".
    """

    gradient: Any = None
    block: int = -1
    rng: Any = None


@dataclass(frozen=True)
class BlockCoordinateDescent(FirstOrderMethod):
    """Block coordinate descent, the block chosen greedily, in turn, or at random.

    For f without g, mu_1 its modulus of strong convexity in the 1-norm: with the rule "gs" on single coordinates and
    ``L_b`` replaced by the largest, ``f(x_k) - f* <= (1 - mu_1/L)^k (f(x_0) - f*)`` (Nutini et al. 2015, equation (8)).

    Parameters
    ----------
    rule : {"gs-q", "gs-r", "gs", "cyclic", "random"}, default "gs-q"
        The largest promised decrease V_b (without g: GSL); the longest step; the steepest slope, for a 1-norm the
        smallest subgradient's (GS, GS-s); in turn; at random.
    block_size : int, default 1
        Consecutive coordinates in a block.
    update : {"gradient", "newton"}, default "gradient"
        With "newton", for quadratics without g, ``d_b = -H_bb^{-1} grad_b f``; the rule "gs-q" is then GSQ.

    References
    ----------
    Nutini, Laradji, Schmidt (2022), Let's make block coordinate descent converge faster.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.composite import CompositeProblem
    >>> from optlab.firstorder import BlockCoordinateDescent
    >>> rng = np.random.default_rng(0)
    >>> problem = CompositeProblem(LeastSquares(rng.standard_normal((20, 9)), rng.standard_normal(20)), 2.0 * L1Norm())
    >>> optlab.solve(problem, BlockCoordinateDescent(), tol=1e-9).success
    True
    """

    rule: str = "gs-q"
    block_size: int = 1
    update: str = "gradient"
    reference: ClassVar[str] = "nutini2022let"
    slots: ClassVar[tuple[Slot, ...]] = (
        Slot("f", ("gradient", "lipschitz", "convex"), at_least=1),
        Slot("g", ("proximal", "separable", "convex"), at_most=1),
    )

    def __post_init__(self) -> None:
        one_of(self.rule, "rule", _RULES)
        one_of(self.update, "update", ("gradient", "newton"))
        object.__setattr__(self, "block_size", as_integer(self.block_size, "block_size", minimum=1))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against arrays that are no vectors, operators without columns, and terms without blocks."""
        reason = super().accepts(problem) or needs_whole_space(problem, self.slots)
        if reason or len(problem.shape) != 1:
            return reason or f"moves coordinates of vectors, and the points have the shape {problem.shape}"
        split = problem.split(self.slots)
        for term in split.terms("f"):
            if not isinstance(term.operator, (DenseMatrix, SparseMatrix)):
                return f"needs matrices, whose columns it can read, and the term {term.name!r} has none"
        for term in split.terms("g"):
            if not isinstance(term.function, (L1Norm, Box)):
                return f"takes an L1Norm or a Box beside the smooth terms, and {term.name!r} is neither"
            if self.rule == "gs" and not isinstance(term.function, L1Norm):
                return f"knows the subgradients of L1Norm for the rule 'gs', and not those of {term.name!r}"
        direct = split.f.quadratic and not split.terms("g") and problem.shape[0] <= _LARGEST_HESSIAN
        if self.update == "newton" and not direct:
            return f"takes Newton steps on quadratics of up to {_LARGEST_HESSIAN} variables, without another term"
        return None

    def init(self, problem: Any, x0: Any, rng: Any) -> CoordinateState:
        """Return the state at iteration 0."""
        split = problem.split(self.slots)
        x, oracles = split.start(x0), split.counted()
        constants = self._constants(split)
        gradient = oracles.gradient(x)
        return CoordinateState(0, oracles.work, x, 1.0 / float(constants.max() or 1.0), gradient=gradient, rng=rng)

    def _constants(self, split: Any) -> Array:
        """Return L_b of every block."""
        known = split.cache.get(("blocks", self.block_size))
        if known is None:
            known = split.cache["blocks", self.block_size] = self._found_constants(split)
        return known

    def _found_constants(self, split: Any) -> Array:
        n, size = split.problem.shape[0], self.block_size
        total = np.zeros(-(-n // size))
        for term in split.terms("f"):
            outer = term.lipschitz / term.norm**2 if term.norm > 0 else 0.0
            matrix = term.operator.matrix
            for b in range(total.size):
                columns = matrix[:, b * size : (b + 1) * size]
                columns = columns.toarray() if hasattr(columns, "toarray") else columns
                norm = np.linalg.norm(columns) if size == 1 else np.linalg.norm(columns, 2)
                total[b] += outer * float(norm) ** 2
        return total

    def step(self, problem: Any, state: CoordinateState) -> CoordinateState:
        """Return the state one iteration later."""
        split = problem.split(self.slots)
        oracles, x, gradient = split.counted(), state.x, state.gradient
        size, n = self.block_size, x.size
        L = np.repeat(self._constants(split), size)[:n]
        safe = np.where(L > 0, L, 1.0)
        b = self._block(split, state, x, gradient, safe)
        place = slice(b * size, min((b + 1) * size, n))
        if self.update == "newton":
            inside = split.f.hessian[place, place]
            d = np.linalg.lstsq(inside, -gradient[place], rcond=None)[0]
        else:
            d = self._steps(split, x, gradient, safe)[place]
        x = x.copy()
        x[place] += d
        if split.f.quadratic and n <= _LARGEST_HESSIAN and (state.k + 1) % _REFRESH:
            gradient = gradient + (d @ split.f.hessian[place]).astype(gradient.dtype, copy=False)
        else:
            gradient = oracles.gradient(x)
        work: Work = state.work + oracles.work
        return CoordinateState(
            state.k + 1, work, x, 1.0 / float(safe[place.start]), gradient=gradient, block=b, rng=state.rng
        )

    def _steps(self, split: Any, x: Array, gradient: Array, L: Array) -> Array:
        """Return the steps of all blocks, as if each moved alone."""
        z = x - gradient / L
        g = split.g.term
        if g is None:
            return z - x
        if isinstance(g.function, Box):
            return np.clip(z, g.function.lower, g.function.upper) - x
        threshold = g.function.weight / L
        return z - np.clip(z, -threshold, threshold) - x

    def _block(self, split: Any, state: CoordinateState, x: Array, gradient: Array, L: Array) -> int:
        """Return the block that moves."""
        size = self.block_size
        starts = np.arange(0, x.size, size)
        if self.rule == "cyclic":
            return state.k % starts.size
        if self.rule == "random":
            return int(state.rng.integers(starts.size))
        if self.update == "newton" and self.rule == "gs-q":
            return int(np.argmax([_newton_decrease(split.f.hessian, gradient, s, size) for s in starts]))
        if self.rule == "gs":
            score = _smallest_subgradient(split.g.term, x, gradient) ** 2
        else:
            d = self._steps(split, x, gradient, L)
            score = d**2 if self.rule == "gs-r" else self._decrease(split, x, gradient, d, L)
        return int(np.argmax(np.add.reduceat(score, starts)))

    def _decrease(self, split: Any, x: Array, gradient: Array, d: Array, L: Array) -> Array:
        """Return V, by coordinate."""
        promised = -(gradient * d) - 0.5 * L * d**2
        g = split.g.term
        if g is not None and isinstance(g.function, L1Norm):
            promised = promised + g.function.weight * (np.abs(x) - np.abs(x + d))
        elif g is not None:  # a start outside the box: first those
            promised = np.where(np.clip(x, g.function.lower, g.function.upper) != x, np.inf, promised)
            promised = np.where(np.isinf(promised), 1e300, promised)
        return promised

    def iterate(self, problem: Any, state: CoordinateState) -> Any:
        """Return x."""
        return problem.split(self.slots).point(state.x)


def _smallest_subgradient(g: Any, x: Array, gradient: Array) -> Array:
    """Return, by coordinate, the subgradient of the whole objective nearest to zero."""
    if g is None:
        return gradient
    weight = g.function.weight
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - weight, 0.0)
    return np.where(x != 0, gradient + weight * np.sign(x), at_zero)


def _newton_decrease(hessian: Array, gradient: Array, start: int, size: int) -> float:
    """Return ``<g_b, H_bb^{-1} g_b>``."""
    place = slice(start, start + size)
    d = np.linalg.lstsq(hessian[place, place], gradient[place], rcond=None)[0]
    value = float(gradient[place] @ d)
    return value if math.isfinite(value) else 0.0
