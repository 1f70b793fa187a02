"""Alternating Procrustes updates with per-component refinement.

After Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761), which names alternating Procrustes
updates and a per-component refinement; the formulas below are *reconstructed*, the monotone descent is derived here.

One iteration, in the weighted coordinates of `optlab.multiview.problem.penalties`:

    for k = 1..K:   M_k = sum_l w_kl S_kl V_l D_kl;   V_k = polar(M_k)                    (Procrustes, exact in V_k)
    c = diag(V_k' S_kl V_l);   D = prox(c)                                                (exact in D)
    up to `rotations` times the same on the r x r matrices V_k' S_kl V_l: V_k <- V_k Q_k, cheap    (not in the paper)
    every `refine_every` iterations:  component_pass(V), then D again                     (exact in each v_kj)

The component pass does not depend on D: it is what lets a component that was set to zero re-enter. Procrustes updates
alone never revive one, because its column of every M_k is zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from optlab.core.contract.protocols import Method, State
from optlab.core.records.history import History
from optlab.core.records.result import Result, Status
from optlab.core.running.solver import iterate, solve
from optlab.core.validation import as_integer
from optlab.multiview.methods.procrustes import procrustes_sweep, rotate
from optlab.multiview.methods.refinement import component_pass
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.orthonormal import complete, orthonormalise
from optlab.multiview.problem.penalties import AdaptiveGroupLasso
from optlab.multiview.problem.solution import LinkedSolution

__all__ = ["AlternatingProcrustes", "ProcrustesState", "fit_problem", "settle"]


@dataclass
class ProcrustesState(State):
    """State of `AlternatingProcrustes`.

    Parameters
    ----------
    k : int
    V : ndarray, shape (M, R)
        Loadings of all views, stacked.
    c : ndarray, shape (n_pairs, R)
        Weighted correlations at `V`.
    d : ndarray, shape (n_pairs, R)
        Weighted coefficients.
    a : ndarray, shape (K, R), or None
        Strengths of the factored parametrisation.
    adaptive : ndarray, shape (R,), or None
    """

    V: np.ndarray
    c: np.ndarray
    d: np.ndarray
    a: np.ndarray | None
    adaptive: np.ndarray | None


@dataclass(frozen=True)
class AlternatingProcrustes(Method):
    """Alternate orthogonal Procrustes steps, the penalty's exact shrinkage, and a per-component refinement.

    Parameters
    ----------
    refine_every : int, default 5
        Iterations between refinements; 0: never (then components that are zero stay zero: an ablation).
    rotations : int, default 10
        Iterations within the spans of the active components after every sweep, see `rotate`. Not in the paper; with 0
        the same points are reached in several times as many iterations where components are of similar strength.

    Notes
    -----
    The objective never increases, for every penalty here (derived; each part is an exact minimisation, and a pass that
    raises the group norms lowers the objective after D is updated). Limit points are coordinate-wise stationary; there
    is no global guarantee, except for two views from the spectral start, where the first iterate is the solution.

    A start is a tuple of K matrices (m_k, r) or a `LinkedSolution`. Missing columns are filled from the spectral start
    of what is left, superfluous ones dropped.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.multiview import AlternatingProcrustes, LinkedComponents
    >>> problem = LinkedComponents.from_cross_covariances({(0, 1): np.diag([3.0, 2.0, 0.5])}, lam=1.0)
    >>> result = optlab.solve(problem, AlternatingProcrustes(), tol=1e-10)
    >>> result.solution.norms
    array([2., 1., 0.])
    """

    refine_every: int = 5
    rotations: int = 10
    reference: ClassVar[str] = "xiao2024joint"

    def __post_init__(self) -> None:
        as_integer(self.refine_every, "refine_every", minimum=0)
        as_integer(self.rotations, "rotations", minimum=0)

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other problems."""
        if isinstance(problem, LinkedComponents):
            return None
        return f"needs a LinkedComponents problem, got {type(problem).__name__}"

    def init(self, problem: LinkedComponents, x0: Any, rng: np.random.Generator) -> ProcrustesState:
        """Return the state at iteration 0: the start, with its coefficients."""
        adaptive = x0.adaptive if isinstance(x0, LinkedSolution) else None
        V = _start(problem, x0)
        c = problem.correlations(V)
        if isinstance(problem.penalty, AdaptiveGroupLasso):
            if adaptive is None or adaptive.size != problem.max_rank:
                adaptive = problem.penalty.weights(np.linalg.norm(c, axis=0))
        else:
            adaptive = None
        d, a = problem.shrink(c, None, adaptive)
        return ProcrustesState(0, V, c, d, a, adaptive)

    def step(self, problem: LinkedComponents, state: ProcrustesState) -> ProcrustesState:
        """One sweep over the views, one shrinkage, and a refinement when its turn has come."""
        V = procrustes_sweep(problem, state.V, state.d)
        c, d, a = self._shrunk(problem, V, state.a, state.adaptive)
        if self.rotations:
            V = rotate(problem, V, d, a, state.adaptive, self.rotations)
            c, d, a = self._shrunk(problem, V, a, state.adaptive)
        if self.refine_every and (state.k + 1) % self.refine_every == 0:
            V = component_pass(problem, V, d)
            c, d, a = self._shrunk(problem, V, a, state.adaptive)
        return ProcrustesState(state.k + 1, V, c, d, a, state.adaptive)

    def _shrunk(
        self, problem: LinkedComponents, V: np.ndarray, a: np.ndarray | None, adaptive: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        c = problem.correlations(V)
        return c, *problem.shrink(c, a, adaptive)

    def kkt_residual(self, problem: LinkedComponents, state: ProcrustesState) -> float:
        """`LinkedComponents.kkt_residual` of the state."""
        return problem.kkt_residual(state.V, state.d, np.any(state.d != 0, axis=0), state.adaptive)

    def iterate(self, problem: LinkedComponents, state: ProcrustesState) -> LinkedSolution:
        """Components sorted by strength (the zero ones by ``||c||``), signs by the convention of `conventional`."""
        norms = np.linalg.norm(state.d, axis=0)
        order = np.lexsort((-np.linalg.norm(state.c, axis=0), -norms))
        V, d = conventional(problem, state.V[:, order], state.d[:, order], state.c[:, order])
        a = None if state.a is None else np.abs(state.a[:, order])
        if a is not None and state.a is not None:
            a = _signed_like(problem, a, d)
        return LinkedSolution(
            problem.split(V),
            problem.unweighted(d),
            norms[order],
            a,
            None if state.adaptive is None else state.adaptive[order],
            problem.reduced,
        )


def fit_problem(
    problem: LinkedComponents,
    *,
    x0: Any = None,
    tol: float = 1e-6,
    max_iter: int = 500,
    refine_every: int = 5,
    seed: int | np.random.Generator | None = 0,
) -> Result:
    """Run the method through `optlab.solve` with the settings of this package."""
    return solve(
        problem,
        AlternatingProcrustes(refine_every),
        x0=x0,
        tol=tol,
        max_iter=max_iter,
        seed=seed,
        progress=False,
        on_interrupt="raise",
    )


def settle(problem: LinkedComponents, x0: Any = None, *, tol: float, max_iter: int, every: int = 5) -> LinkedSolution:
    """The solution alone, looked at every so many iterations: for the many loose fits that a choice is made from."""
    method, state = AlternatingProcrustes(), cast(Any, None)
    try:
        for state in iterate(problem, method, x0=x0, seed=0):
            if state.k >= max_iter or (state.k % every == 0 and method.kkt_residual(problem, state) <= tol):
                break
        return method.iterate(problem, state)
    except KeyboardInterrupt as interrupt:
        if state is not None:  # the run so far goes along, as from `optlab.solve`
            so_far, said = method.iterate(problem, state), "interrupted; this is the run so far"
            interrupt.result = Result(  # type: ignore[attr-defined]
                so_far, {}, History(), Status.INTERRUPTED, said, state.k, float("nan"), method, problem, state
            )
        raise


def conventional(
    problem: LinkedComponents, V: np.ndarray, d: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fix the signs: ``d_kl,j > 0`` along a tree of the strongest pairs, and the first view's largest loading positive.

    Flipping ``v_kj`` flips ``d_kl,j`` for all l. With a common score all signs become positive.
    """
    V, d = V.copy(), d.copy()
    reference = problem.symmetric(np.where(np.any(d != 0, axis=0), d, c))
    strength, K = np.abs(reference), problem.n_views
    sign = np.ones((K, V.shape[1]))
    for j in range(V.shape[1]):
        reached = np.arange(K) == 0
        for _ in range(K - 1):
            new = np.where(reached[:, None] & ~reached, strength[:, :, j], -1.0)
            k, l = divmod(int(np.argmax(new)), K)
            sign[l, j] = sign[k, j] * (-1.0 if reference[k, l, j] < 0 else 1.0)
            reached[l] = True
        v = V[problem.blocks[0], j]
        if v[np.argmax(np.abs(v))] < 0:
            sign[:, j] *= -1.0
    V *= sign[problem.owner]
    return V, d * sign[problem.pairs[0]] * sign[problem.pairs[1]]


def _signed_like(problem: LinkedComponents, a: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Signs of the strengths that agree with ``d = a_k a_l``: all non-negative unless a triangle forbids it."""
    a, full = a.copy(), problem.symmetric(d)
    for j in range(a.shape[1]):
        k = int(np.argmax(a[:, j]))
        a[:, j] *= np.where(full[k, :, j] < 0, -1.0, 1.0)
    return a


def _start(problem: LinkedComponents, x0: Any) -> np.ndarray:
    """Stacked orthonormal loadings with exactly ``max_rank`` columns, from whatever the caller has."""
    blocks = x0.coordinates if isinstance(x0, LinkedSolution) else x0
    if not isinstance(blocks, (tuple, list)) or len(blocks) != problem.n_views:
        raise TypeError(f"x0 must be a LinkedSolution or a tuple of {problem.n_views} matrices of loadings")
    R = problem.max_rank
    checked = []
    for k, block in enumerate(blocks):
        block = np.asarray(block, dtype=float)
        if block.ndim != 2 or block.shape[0] != problem.sizes[k] or not np.all(np.isfinite(block)):
            raise ValueError(f"x0[{k}] must be a finite matrix with {problem.sizes[k]} rows, got shape {block.shape}")
        if block.shape[1] != np.shape(blocks[0])[1]:
            raise ValueError(f"x0[{k}] must have as many columns as x0[0], got {block.shape[1]}")
        error = np.linalg.norm(block.T @ block - np.eye(block.shape[1]))
        checked.append(block[:, :R] if error < 1e-12 else orthonormalise(block)[:, :R])
    have = checked[0].shape[1]
    V = np.concatenate(checked)
    if have == R:
        return V.copy()
    # what is missing comes from the spectral start orthogonal to what is there
    more = problem.spectral_start(R)
    filled = []
    for given, extra in zip(checked, more):
        rest = extra - given @ (given.T @ extra)
        left, values, _ = np.linalg.svd(rest, full_matrices=False)
        add = left[:, : R - have]
        if np.any(values[: R - have] < 1e-8):
            add = complete(given, R - have)
        filled.append(np.hstack([given, orthonormalise(add, given)]))
    return np.concatenate(filled)
