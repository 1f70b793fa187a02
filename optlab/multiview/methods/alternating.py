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
from typing import Any, ClassVar

import numpy as np

from optlab.core.protocols import Method, State
from optlab.core.validation import as_integer
from optlab.multiview.problem.components import LinkedComponents, LinkedSolution
from optlab.multiview.problem.orthonormal import complete, orthonormalise, polar, top_left
from optlab.multiview.problem.penalties import AdaptiveGroupLasso

__all__ = ["AlternatingProcrustes", "ProcrustesState", "component_pass", "procrustes_sweep"]


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
        d, a = problem.penalty.shrink(c, problem.penalty_size(adaptive), problem.sqrt_weights)
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
        d, a = problem.penalty.shrink(c, problem.penalty_size(adaptive), problem.sqrt_weights, a)
        return c, d, a

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


def procrustes_sweep(problem: LinkedComponents, V: np.ndarray, d: np.ndarray) -> np.ndarray:
    """One Procrustes update of every view in turn, at fixed coefficients `d` (n_pairs, R); returns new loadings."""
    V, full = V.copy(), problem.symmetric(d)
    live = np.any(d != 0, axis=0)
    if not np.any(live):
        return V
    if np.all(live):
        for k in range(problem.n_views):
            M = problem.procrustes_target(V, full, k)
            V[problem.block(k)] = _polar_of_active(M, V[problem.block(k)])
        return V
    active, full = V[:, live], full[:, :, live]
    for k in range(problem.n_views):
        rows = problem.block(k)
        M = problem.procrustes_target(active, full, k)
        active[rows] = _polar_of_active(M, active[rows])
        V[rows, live] = active[rows]
        # columns at zero only have to stay out of the way
        V[np.ix_(np.arange(rows.start, rows.stop), ~live)] = orthonormalise(V[rows][:, ~live], active[rows])
    return V


def rotate(
    problem: LinkedComponents,
    V: np.ndarray,
    d: np.ndarray,
    a: np.ndarray | None,
    adaptive: np.ndarray | None,
    n: int,
) -> np.ndarray:
    """Up to `n` iterations within the spans of the active components: ``V_k Q_k`` with orthogonal ``Q_k``.

    The same updates on matrices of rank × rank, where they cost next to nothing; components of similar strength, which
    separate slowly, do most of it here.
    """
    live = np.any(d != 0, axis=0)
    r, K = int(live.sum()), problem.n_views
    if r < 2:
        return V
    lam = problem.penalty_size(None if adaptive is None else adaptive[live])
    C = np.zeros((K, K, r, r))
    active = V[:, live]
    for l in range(1, K):
        above = slice(0, problem.offsets[l])
        product = problem.B[above, problem.block(l)] @ active[problem.block(l)]
        for k in range(l):
            C[k, l] = active[problem.block(k)].T @ product[problem.block(k)]
            C[l, k] = C[k, l].T
    Q = np.repeat(np.eye(r)[None], K, axis=0)
    full = problem.symmetric(d[:, live])
    strengths = None if a is None else a[:, live]
    first = 0.0
    for i in range(n):
        before = Q.copy()
        for k in range(K):
            M = (C[k] @ (Q * full[k][:, None, :])).sum(axis=0)
            left, values, right = np.linalg.svd(M)
            if values[-1] <= 1e-14 * values[0]:
                return V
            Q[k] = left @ right
        c = ((C @ Q[None]) * Q[:, None]).sum(axis=2)[problem.pairs]
        small, strengths = problem.penalty.shrink(c, lam, problem.sqrt_weights, strengths)
        if not np.all(np.any(small != 0, axis=0)):
            break  # a component fell to zero: the whole iteration has to deal with that
        full = problem.symmetric(small)
        change = float(np.max(np.abs(Q - before)))
        first = first or change
        if change <= 0.1 * first and i > 0:
            break  # the outer iteration has more to gain now
    V = V.copy()
    for k in range(K):
        V[problem.block(k), live] = active[problem.block(k)] @ Q[k]
    return V


def _polar_of_active(M: np.ndarray, V: np.ndarray) -> np.ndarray:
    """``polar(M)``; columns of `M` that vanish (a view outside a component) keep their direction as far as possible."""
    size = np.linalg.norm(M, axis=0)
    used = size > 1e-14 * np.linalg.norm(size)
    if np.all(used):
        left, values, right = np.linalg.svd(M, full_matrices=False)
        if values[-1] > 1e-14 * values[0]:
            return left @ right
        return _polar_rank_deficient(left, values, right, V)
    if not np.any(used):
        return V
    result = np.empty_like(V)
    result[:, used] = polar(M[:, used])
    result[:, ~used] = orthonormalise(V[:, ~used], result[:, used])
    return result


def _polar_rank_deficient(left: np.ndarray, values: np.ndarray, right: np.ndarray, V: np.ndarray) -> np.ndarray:
    """A polar factor where it is not unique: the one nearest to `V`, so that nothing jumps at random."""
    good = values > 1e-14 * values[0]
    fixed = left[:, good]
    rest = V @ right[~good].T
    return fixed @ right[good] + orthonormalise(rest, fixed) @ right[~good]


def component_pass(problem: LinkedComponents, V: np.ndarray, d: np.ndarray | None = None) -> np.ndarray:
    """Refine one component in one view at a time, all others fixed; returns new loadings.

    For a group penalty ``v_kj`` becomes the maximiser of ``sum_l w_kl c_kl,j^2`` orthogonal to the other columns of
    ``V_k``: the leading left singular vector of the projected ``[sqrt(w_kl) S_kl v_lj]_l``. That raises ``||c_j||`` and
    so lowers the objective, whatever ``d`` is. Components at zero follow after the active ones, strongest first, each
    free of those after it; that is what lets one re-enter. For the penalties that are not functions of the group norm
    the active components get the exact minimiser at fixed `d` if the penalty is factored, and are left alone under the
    plain lasso.
    """
    V = V.copy()
    zero = np.ones(V.shape[1], bool) if d is None else ~np.any(d != 0, axis=0)
    full = None if d is None else problem.symmetric(d)
    everything = problem.penalty.grouped or d is None
    for j in range(V.shape[1]):
        if (d is not None and zero[j]) or not (everything or problem.penalty.factored):
            continue
        for k in range(problem.n_views):
            rows = problem.block(k)
            others = [l for l in range(problem.n_views) if l != k and problem.sqrt_weights[k, l] > 0]
            if not others:
                continue
            G = np.column_stack([problem.B[rows, problem.block(l)] @ V[problem.block(l), j] for l in others])
            if not everything:
                assert full is not None
                G = G @ full[k, others, j][:, None]
            size = np.linalg.norm(G)
            rest = V[rows].copy()
            rest[:, j] = 0.0
            for _ in range(2):
                G = G - rest @ (rest.T @ G)
            if np.linalg.norm(G) <= 1e-13 * size:
                continue  # no room left: every direction is taken by another component
            best, _ = top_left(G)
            if best is None:
                continue
            if everything:
                best = best if best @ V[rows, j] >= 0 else -best  # the sign is free here; keep it continuous
            V[rows, j] = best
    return V if d is None or not np.any(zero) else _refine_zeros(problem, V, zero)


def _refine_zeros(problem: LinkedComponents, V: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Refine the components at zero, strongest first: each is orthogonal to the active ones and to the zeros before it.

    Zeros cost nothing wherever they point, so the first of them need not make room for the others; it could otherwise
    stay below the threshold only because they stand in its way.
    """
    order = np.flatnonzero(zero)
    order = order[np.argsort(-np.sum(problem.correlations(V[:, order]) ** 2, axis=0), kind="stable")]
    done = V[:, ~zero]
    for j in order:
        v = V[:, j].copy()
        for k in range(problem.n_views):
            rows = problem.block(k)
            A = done[rows]
            u = v[rows] - A @ (A.T @ v[rows])
            size = np.linalg.norm(u)
            # a vector within the span of those before it says nothing: start from any other direction
            v[rows] = u / size if size > 1e-6 else complete(A, 1)[:, 0]
        v, _ = problem.rank_one(v, done, sweeps=1)
        for k in range(problem.n_views):
            rows = problem.block(k)
            v[rows] = orthonormalise(v[rows][:, None], done[rows])[:, 0]
        done = np.column_stack([done, v])
    V = V.copy()
    V[:, ~zero], V[:, order] = done[:, : done.shape[1] - order.size], done[:, done.shape[1] - order.size :]
    return V


def conventional(
    problem: LinkedComponents, V: np.ndarray, d: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fix the signs: ``d_kl,j > 0`` along a tree of the strongest pairs, and the first view's largest loading positive.

    Flipping ``v_kj`` flips ``d_kl,j`` for all l. With a common score all signs become positive.
    """
    V, d = V.copy(), d.copy()
    reference = problem.symmetric(np.where(np.any(d != 0, axis=0), d, c))
    sign = np.ones((problem.n_views, V.shape[1]))
    for j in range(V.shape[1]):
        R = reference[:, :, j]
        reached = [0]
        while len(reached) < problem.n_views:
            left = [l for l in range(problem.n_views) if l not in reached]
            strength = np.abs(R[np.ix_(reached, left)])
            row, column = divmod(int(np.argmax(strength)), len(left))
            k, l = reached[row], left[column]
            sign[l, j] = sign[k, j] * (-1.0 if R[k, l] < 0 else 1.0)
            reached.append(l)
        v = V[problem.block(0), j]
        if v[np.argmax(np.abs(v))] < 0:
            sign[:, j] *= -1.0
    for k in range(problem.n_views):
        V[problem.block(k)] *= sign[k]
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
