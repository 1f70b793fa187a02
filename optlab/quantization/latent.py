"""Training quantized weights through latent ones: straight-through, PARQ, BinaryRelax, aggregate proximal steps.

All are one iteration around any method with a variable (SGD, Adam, NGN, gradient descent, ...), those with a
regulariser (`optlab.quantization.regularized`) too:

    u <- u + (what one step of the method, at w, would add to w)
    w <- map(u)

They differ in the map. The memory of the method inside, its momentum say, is of the gradients at w.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_integer, as_number
from optlab.quantization.grids import group_grids, levels_of
from optlab.quantization.kernels import in_cells, soften
from optlab.quantization.maps import Annealing, as_grid
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable

Array = Any


@dataclass
class LatentState(WrappedState):
    """State after k iterations.

    Parameters
    ----------
    inner : State
        Of the method inside, whose variable is the quantized w.
    latent : ndarray
        u, a vector.
    total : float
        The sum of the step sizes, where the map asks for it.
    grids : tuple of ndarray
        The grid of each group, where they are fitted.
    """

    latent: Array
    total: float = 0.0
    grids: tuple[Array, ...] = field(default=())


class LatentWeights(Wrapper):
    """The iteration; subclasses say what the map from latent to quantized weights is."""

    def mapped(self, k: int, latent: Array, state: LatentState | None) -> tuple[Array, tuple[Array, ...]]:
        """Return w at iteration k, and the grids."""
        raise NotImplementedError(f"{type(self).__name__} does not define mapped")

    def grown(self, total: float, after: Any) -> float:
        """Return the sum of step sizes after the step that made the state `after` of the method inside."""
        return total

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> LatentState:
        """Return the state at iteration 0: the latent weights are the start."""
        return self._begin(problem, 0, self.method.init(problem, x0, rng), 0.0)

    def _begin(self, problem: Any, k: int, inner: Any, total: float) -> LatentState:
        latent = np.array(self.method.variable(inner), dtype=float)
        state = LatentState(k, inner, latent, total)
        return self._placed(problem, state, *self.mapped(k, latent, state))

    def _placed(self, problem: Any, state: LatentState, w: Array, grids: tuple[Array, ...]) -> LatentState:
        state.inner, state.grids = self.method.with_variable(problem, state.inner, w), grids
        return state

    def step(self, problem: Any, state: LatentState) -> LatentState:
        """Return the state one iteration later."""
        inner = self.method.step(problem, state.inner)
        latent = state.latent + self.method.displacement(state.inner, inner)
        total = self.grown(state.total, inner)
        after = replace(state, k=state.k + 1, inner=inner, latent=latent, total=total)
        return self._placed(problem, after, *self.mapped(after.k, latent, after))

    def variable(self, state: LatentState) -> Array:
        """Return the latent weights."""
        return state.latent

    def with_variable(self, problem: Any, state: LatentState, value: Array) -> LatentState:
        """Return a state with other latent weights."""
        inner = self.method.with_variable(problem, state.inner, value)
        return self._begin(problem, state.k, inner, state.total)

    def displacement(self, before: LatentState, after: LatentState) -> Array:
        """Return how far the latent weights have moved."""
        return after.latent - before.latent

    def coordinates(self, problem: Any, difference: Any, after: LatentState) -> Array:
        """Return a difference of latent weights as it is."""
        return np.ravel(difference)

    def residual_length(self, problem: Any, before: LatentState, after: LatentState) -> float:
        """Return the length of the move."""
        return float(np.linalg.norm(self.displacement(before, after)))

    def same_map(self, before: Any, after: Any) -> bool:
        """Return False: gradients are those at w, so that the latent weights move by no map of their own."""
        return False


def _check_groups(method: Any) -> None:
    if method.groups is None:
        return
    groups = np.asarray(method.groups)
    if groups.ndim != 1 or groups.dtype.kind not in "iu" or (groups.size and groups.min() < -1):
        raise ValueError("groups must be one integer per weight, at least -1 (not quantized)")
    object.__setattr__(method, "groups", tuple(groups.tolist()))


@dataclass(frozen=True)
class OnGrids(LatentWeights):
    """Latent weights that are drawn to grids, given or fitted to them group by group.

    Parameters
    ----------
    method : Method
        Any method with a variable.
    bits : float, default 2
        Levels of a fitted grid: 1, 1.58 (ternary), 2, 3, 4.
    grid : array_like, optional
        One grid for all weights, which is kept. Default: fitted by least squares.
    groups : array_like of int, optional
        One number per weight: which grid it has (0, 1, ...), -1 for a weight that is not quantized, a bias say.
        Default: one grid for all.
    refresh : int, default 10
        Iterations between two fits of the grids.
    """

    method: Any
    bits: float = 2
    grid: Any = None
    groups: Any = None
    refresh: int = 10

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        levels_of(self.bits)
        if self.grid is not None:
            object.__setattr__(self, "grid", tuple(as_grid(self.grid).tolist()))
        _check_groups(self)
        object.__setattr__(self, "refresh", as_integer(self.refresh, "refresh", minimum=1))

    @property
    def reference(self) -> str:
        """The paper of the wrapper."""
        return "jin2025parq"

    def inverse_slope(self, k: int) -> float | None:
        """Return s at iteration k; None before the weights are mapped at all."""
        return 0.0

    @cached_property
    def _numbers(self) -> Array:
        return np.array(self.groups, dtype=np.int64)

    def _group_numbers(self, size: int) -> Array:
        if self.groups is None:
            return np.zeros(size, dtype=np.int64)
        if len(self.groups) != size:
            raise ValueError(f"groups must have one entry per weight ({size}), got {len(self.groups)}")
        numbers: Array = self._numbers
        return numbers

    def mapped(self, k: int, latent: Array, state: LatentState | None) -> tuple[Array, tuple[Array, ...]]:
        """Return the weights in the cells of their grids, and the grids."""
        s, known = self.inverse_slope(k), () if state is None else state.grids
        if s is None:
            return latent, known
        groups = self._group_numbers(latent.size)
        if self.grid is not None:
            grids: tuple[Array, ...] = (np.array(self.grid),) * (int(groups.max(initial=-1)) + 1)
        elif not known or k % self.refresh == 0:
            grids = tuple(group_grids(latent, groups, self.bits))
        else:
            grids = known
        return self.drawn(k, latent, groups, grids, s), grids

    def drawn(self, k: int, latent: Array, groups: Array, grids: tuple[Array, ...], s: float) -> Array:
        """Return the weights for given grids."""
        if self.groups is None:
            return soften(latent, grids[0], s)
        counts = np.array([grid.size for grid in grids], dtype=np.int64)
        table = np.zeros((len(grids), max(2, int(counts.max(initial=0)))))
        for row, grid in zip(table, grids):
            row[: grid.size] = grid
        return in_cells(latent, groups, table, counts, s)

    def measure(self, problem: Any, state: LatentState) -> dict[str, float]:
        """Return what the method inside measures, the share of quantized weights on their grids, and s."""
        w = np.asarray(self.method.variable(state.inner))
        groups = self._group_numbers(w.size)
        meant, on = groups >= 0, np.zeros(w.size, dtype=bool)
        for g, grid in enumerate(state.grids):
            on |= (groups == g) & np.isin(w, grid.astype(w.dtype))
        s = self.inverse_slope(state.k)
        share = float(on[meant].mean()) if meant.any() else 1.0
        return super().measure(problem, state) | {"on_grid": share, "inverse_slope": 1.0 if s is None else s}


@dataclass(frozen=True)
class StraightThrough(OnGrids):
    """Straight-through estimation (BinaryConnect): gradients at the rounded weights move latent ones.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> problem = LeastSquares(np.eye(3), [1.2, -1.1, 1.3])
    >>> method = StraightThrough(SGD(0.1, batch_size=3), grid=[-1.0, 1.0])
    >>> optlab.solve(problem, method, max_iter=200, seed=0).solution
    array([ 1., -1.,  1.])

    References
    ----------
    Courbariaux, Bengio, David (2015), BinaryConnect.
    """


@dataclass(frozen=True)
class PARQ(OnGrids):
    """Piecewise-affine regularized quantization, in its practical form: the map hardens along the run.

    Parameters
    ----------
    method, bits, grid, groups, refresh
        As for `OnGrids`.
    annealing : Annealing
        How the inverse slope of the map falls from 1 to 0; at 0 the method is `StraightThrough`, bit for bit.

    Notes
    -----
    With s fixed it is lazy mirror descent with the mirror map ``(1-s) Phi + s w^2/2`` (see
    `optlab.quantization.interpolant`). No convergence result is known to us for moving grids and a moving s; what is
    proved is of `AggregateProx`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> problem = LeastSquares(np.eye(4), [0.9, -1.1, 0.3, -0.2])
    >>> method = PARQ(SGD(0.1, batch_size=4), bits=2, annealing=Annealing(150))
    >>> result = optlab.solve(problem, method, max_iter=200, seed=0)
    >>> float(result.history["on_grid"][-1])
    1.0
    """

    annealing: Annealing = field(default_factory=lambda: Annealing(1000))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.annealing, Annealing):
            raise TypeError(f"annealing must be an Annealing, got {self.annealing!r}")

    def inverse_slope(self, k: int) -> float | None:
        """Return s at iteration k; None before the annealing begins."""
        return None if k < self.annealing.start else self.annealing(k)


@dataclass(frozen=True)
class BinaryRelax(OnGrids):
    """Latent weights pulled towards their nearest levels: ``(1 - theta) u + theta N(u)``, theta from 0 to 1.

    Parameters
    ----------
    method, bits, grid, groups, refresh
        As for `OnGrids`.
    end : int, default 1000
        The iteration at which theta has grown to 1.

    References
    ----------
    Yin, Zhang, Lyu, Osher, Qi, Xin (2018), BinaryRelax.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> problem = LeastSquares(np.eye(2), [0.9, -1.1])
    >>> method = BinaryRelax(SGD(0.1, batch_size=2), grid=[-1.0, 1.0], end=50)
    >>> optlab.solve(problem, method, max_iter=60, seed=0).solution
    array([ 1., -1.])
    """

    end: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "end", as_integer(self.end, "end", minimum=1))

    def drawn(self, k: int, latent: Array, groups: Array, grids: tuple[Array, ...], s: float) -> Array:
        """Return the weights for given grids."""
        level, theta = super().drawn(k, latent, groups, grids, 0.0), min(k / self.end, 1.0)
        return level if theta == 1.0 else (1.0 - theta) * latent + theta * level


@dataclass(frozen=True)
class ProxQuant(OnGrids):
    """Proximal steps with a W-shaped regulariser that grows: no latent weights, each step pulls its own result.

        w <- N(w') + sign(w' - N(w')) max(|w' - N(w')| - mu_k, 0),   w' = w + (what the step of the method adds to w)

    Parameters
    ----------
    method, bits, grid, groups
        As for `OnGrids`.
    refresh : int, default 2**62
        Iterations between two fits of the grids: one fit. Fitted again to weights that they have drawn, grids collapse.
    strength : float, default 0.01
        mu_k grows from 0 at `start` to this at `end`, in units of the weights.
    start : int, default 300
        Before it the method runs alone; at it the grids are fitted.
    end : int, default 1000
        From this iteration on the weights are on their levels.

    References
    ----------
    Bai, Wang, Liberty (2019), ProxQuant: quantized neural networks via proximal operators.

    Examples
    --------
    >>> import optlab
    >>> from optlab.stochastic import SGD, LeastSquares
    >>> problem = LeastSquares(np.eye(3), [0.9, -1.1, 0.8])
    >>> method = ProxQuant(SGD(0.1, batch_size=3), grid=[-1.0, 1.0], start=50, end=100)
    >>> optlab.solve(problem, method, max_iter=120, seed=0).solution
    array([ 1., -1.,  1.])
    """

    refresh: int = 2**62
    strength: float = 0.01
    start: int = 300
    end: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "strength", as_number(self.strength, "strength", above=0))
        object.__setattr__(self, "start", as_integer(self.start, "start", minimum=0))
        object.__setattr__(self, "end", as_integer(self.end, "end", minimum=self.start + 1))

    @property
    def reference(self) -> str:
        """The paper of the method."""
        return "bai2019proxquant"

    def inverse_slope(self, k: int) -> float | None:
        """Return None before the start; what is left of the growth after it."""
        return None if k < self.start else 1.0 - min((k - self.start) / (self.end - self.start), 1.0)

    def drawn(self, k: int, latent: Array, groups: Array, grids: tuple[Array, ...], s: float) -> Array:
        """Return the weights for given grids."""
        level = super().drawn(k, latent, groups, grids, 0.0)
        if s == 0.0:
            return level
        off = latent - level
        return level + np.sign(off) * np.maximum(np.abs(off) - (1.0 - s) * self.strength, 0.0)

    def step(self, problem: Any, state: LatentState) -> LatentState:
        """Return the state one iteration later; the latent weights are the weights."""
        after = super().step(problem, state)
        after.latent = np.array(self.method.variable(after.inner), dtype=float)
        return after
