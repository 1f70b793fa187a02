"""Linked components of several views: find orthonormal loadings that diagonalise all cross-covariances at once.

After Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761): joint structure makes every
cross-covariance ``S_kl = V_k D_kl V_l'`` with the same loadings ``V_k`` in all pairs that involve view k, individual
structure and noise drop out, and a group-sparsity penalty selects the common rank. The paper's exact penalty and
weights are not reproduced; the objective here is a *reconstruction* in its style:

    F = 1/2 sum_{k<l} w_kl || S_kl - V_k D_kl V_l' ||_F^2 + penalty(D; lam),        V_k' V_k = I              (1)

with the penalties of `optlab.multiview.problem.penalties`. This file holds data and quality measures, no algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number, first_index
from optlab.multiview.problem.orthonormal import leading_eigenpairs, orthonormalise, top_left
from optlab.multiview.problem.penalties import Penalty, as_penalty
from optlab.multiview.problem.solution import ZERO, LinkedSolution
from optlab.multiview.views.compression import Reduced, reduce_view
from optlab.multiview.views.reading import read_views, standardised

__all__ = ["LinkedComponents", "LinkedSolution", "cross_covariance_blocks"]


class LinkedComponents:
    """Find the loadings that diagonalise all cross-covariances of several views, with a penalty on the rank.

    Parameters
    ----------
    views : sequence or mapping of matrices, shapes (n, p_k)
        Same samples in the rows; dense, sparse or DataFrames. Centred here; not scaled.
    lam : float, default 0
        Penalty size, in units of a covariance (with `GroupL0`, of a squared one).
    penalty : str or Penalty, default "group"
        See `optlab.multiview.problem.penalties`.
    max_rank : int, optional
        Number of components carried along, the upper limit of the rank. Default: 10, or less if a view is smaller.
    pair_weights : array_like, shape (K, K), optional
        Symmetric weights ``w_kl >= 0`` of the pairs (the diagonal does not count). Default: all 1.
    compression : {"auto", "exact"} or int, default "auto"
        See `optlab.multiview.views.compression`.

    Attributes
    ----------
    primary_metric : str
        ``"kkt_residual"``: relative violation of the stationarity conditions, see `measure`.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.multiview import AlternatingProcrustes, LinkedComponents
    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((100, 1))
    >>> views = [z @ rng.standard_normal((1, p)) + 0.1 * rng.standard_normal((100, p)) for p in (5, 6, 7)]
    >>> problem = LinkedComponents(views, lam=1.0, max_rank=3)
    >>> result = optlab.solve(problem, AlternatingProcrustes(), tol=1e-8)
    >>> result.success, result.solution.rank
    (True, 1)
    """

    primary_metric = "kkt_residual"

    def __init__(
        self,
        views: Any,
        *,
        lam: float = 0.0,
        penalty: str | Penalty = "group",
        max_rank: int | None = None,
        pair_weights: Any = None,
        compression: str | int = "auto",
    ) -> None:
        checked = read_views(views)
        prepared = standardised(checked, scaling="none", constant_columns="keep")
        reduced = tuple(reduce_view(view, compression) for view in prepared)
        self._setup(cross_covariance_blocks([r.scores for r in reduced]), lam, penalty, max_rank, pair_weights, reduced)

    def _setup(
        self,
        blocks: Mapping[tuple[int, int], np.ndarray],
        lam: Any,
        penalty: Any,
        max_rank: Any,
        pair_weights: Any,
        reduced: tuple[Reduced, ...] | None,
    ) -> None:
        n_views = 1 + max(l for _, l in blocks)
        sizes = [blocks[(0, 1)].shape[0]] + [blocks[(0, l)].shape[1] for l in range(1, n_views)]
        self.n_views = n_views
        self.sizes = tuple(int(s) for s in sizes)
        self.offsets = tuple(int(o) for o in np.concatenate([[0], np.cumsum(sizes)]))
        self.sqrt_weights = np.sqrt(_pair_weights(pair_weights, n_views))
        B: np.ndarray = np.zeros((self.offsets[-1], self.offsets[-1]))
        for (k, l), S in blocks.items():
            part = self.sqrt_weights[k, l] * S
            B[self.block(k), self.block(l)] = part
            B[self.block(l), self.block(k)] = part.T
        self.B = B
        # squared norm of all pairs, each counted once
        self.total = 0.5 * float(np.einsum("ij,ij->", B, B))
        self.reduced = reduced
        self.lam = as_number(lam, "lam", minimum=0)
        self.penalty = as_penalty(penalty)
        self.max_rank = self._check_rank(max_rank)
        self.pairs = np.triu_indices(n_views, 1)
        self.pair_list = [(int(k), int(l)) for k, l in zip(*self.pairs)]

    def _check_rank(self, max_rank: Any) -> int:
        most = min(self.sizes)
        if max_rank is None:
            return min(10, most)
        rank = as_integer(max_rank, "max_rank", minimum=0)
        if rank > most:
            raise ValueError(
                f"max_rank must be at most {most}, the number of dimensions of the smallest view "
                f"(features, or samples less one), got {rank}"
            )
        return rank

    @classmethod
    def from_cross_covariances(
        cls,
        blocks: Mapping[tuple[int, int], Any],
        *,
        lam: float = 0.0,
        penalty: str | Penalty = "group",
        max_rank: int | None = None,
        pair_weights: Any = None,
    ) -> LinkedComponents:
        """Set the problem up from ``{(k, l): S_kl}`` for all pairs k < l, such as population covariances.

        Examples
        --------
        >>> import numpy as np
        >>> problem = LinkedComponents.from_cross_covariances({(0, 1): np.diag([3.0, 1.0])}, lam=2.0)
        >>> problem.n_views, problem.max_rank
        (2, 2)
        """
        if not isinstance(blocks, Mapping):
            raise TypeError(f"blocks must be a dict of matrices by pairs (k, l), got {type(blocks).__name__}")
        checked = {}
        for key, S in blocks.items():
            pair = isinstance(key, tuple) and len(key) == 2 and all(isinstance(k, (int, np.integer)) for k in key)
            if not (pair and 0 <= key[0] < key[1]):
                raise ValueError(f"blocks must have keys (k, l) with k < l, got {key!r}")
            checked[key] = np.asarray(as_float_array(S, f"blocks[{key}]", ndim=2), dtype=float)
        if (0, 1) not in checked:
            raise ValueError("blocks must hold the pair (0, 1)")
        n_views = 1 + max(l for _, l in checked)
        for k in range(n_views):
            for l in range(k + 1, n_views):
                if (k, l) not in checked:
                    raise ValueError(f"blocks must hold every pair of {n_views} views; ({k}, {l}) is missing")
        sizes = [checked[(0, 1)].shape[0]] + [checked[(0, l)].shape[1] for l in range(1, n_views)]
        for (k, l), S in checked.items():
            if S.shape != (sizes[k], sizes[l]):
                raise ValueError(f"blocks[{(k, l)}] must have shape {(sizes[k], sizes[l])}, got {S.shape}")
        problem = cls.__new__(cls)
        problem._setup(checked, lam, penalty, max_rank, pair_weights, None)
        return problem

    @classmethod
    def _from_scores(
        cls, scores: Sequence[np.ndarray], reduced: tuple[Reduced, ...] | None = None, **settings: Any
    ) -> LinkedComponents:
        """From coordinates of the samples (centred here)."""
        problem = cls.__new__(cls)
        values = {"lam": 0.0, "penalty": "group", "max_rank": None, "pair_weights": None, **settings}
        problem._setup(
            cross_covariance_blocks(scores),
            values["lam"],
            values["penalty"],
            values["max_rank"],
            values["pair_weights"],
            reduced,
        )
        return problem

    def replace(
        self, *, lam: float | None = None, penalty: str | Penalty | None = None, max_rank: int | None = None
    ) -> LinkedComponents:
        """Return the problem with other settings and the same data (shared, not copied)."""
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        if lam is not None:
            other.lam = as_number(lam, "lam", minimum=0)
        if penalty is not None:
            other.penalty = as_penalty(penalty)
        if max_rank is not None:
            other.max_rank = self._check_rank(max_rank)
        return other

    def __repr__(self) -> str:
        sizes = ", ".join(str(s) for s in self.sizes)
        return (
            f"LinkedComponents({self.n_views} views of dimensions {sizes}; penalty={self.penalty!r}, "
            f"lam={self.lam:.6g}, max_rank={self.max_rank})"
        )

    # ------------------------------------------------------------------ pieces that methods use

    def block(self, k: int) -> slice:
        """Rows of view k in stacked loadings."""
        return slice(self.offsets[k], self.offsets[k + 1])

    def split(self, V: np.ndarray) -> tuple[np.ndarray, ...]:
        """Cut stacked loadings (M, R) into views."""
        return tuple(V[self.block(k)] for k in range(self.n_views))

    def correlations(self, V: np.ndarray) -> np.ndarray:
        """``sqrt(w_kl) v_kj' S_kl v_lj`` for stacked loadings: shape (n_pairs, R)."""
        c = np.zeros((self.n_views, self.n_views, V.shape[1]))
        for l in range(1, self.n_views):
            above = slice(0, self.offsets[l])
            product = (self.B[above, self.block(l)] @ V[self.block(l)]) * V[above]
            for k in range(l):
                c[k, l] = product[self.block(k)].sum(axis=0)
        return c[self.pairs]

    def unweighted(self, d: np.ndarray) -> np.ndarray:
        """Coefficients of pairs in weighted coordinates (n_pairs, R) as symmetric ``d_kl,j`` (K, K, R)."""
        weights = self.sqrt_weights[self.pairs][:, None]
        values = np.where(weights > 0, d / np.where(weights > 0, weights, 1.0), 0.0)
        full = np.zeros((self.n_views, self.n_views, d.shape[1]))
        full[self.pairs] = values
        return full + full.transpose(1, 0, 2)

    def weighted(self, diagonals: np.ndarray) -> np.ndarray:
        """The inverse of `unweighted`."""
        return diagonals[self.pairs] * self.sqrt_weights[self.pairs][:, None]

    def penalty_size(self, adaptive: np.ndarray | None) -> Any:
        """`lam`, or one value per component for the adaptive penalty."""
        return self.lam if adaptive is None else self.lam * adaptive

    def objective(
        self, c: np.ndarray, d: np.ndarray, a: np.ndarray | None = None, adaptive: np.ndarray | None = None
    ) -> float:
        """Objective (1) from correlations and coefficients in weighted coordinates."""
        # |d|^2 - 2<d, c> is written so that it is exact where d = c
        fit = float(np.sum((d - c) ** 2) - np.sum(c * c))
        return 0.5 * max(self.total + fit, 0.0) + self.penalty.value(d, a, self.penalty_size(adaptive))

    # ------------------------------------------------------------------ starts

    def spectral_start(self, rank: int | None = None, tol: float = 1e-10) -> tuple[np.ndarray, ...]:
        """Loadings from the leading eigenvectors of the matrix of all weighted cross-covariances.

        Exact without noise in the common-score model with equal weights (derived here): on a component the matrix acts
        as ``a a' - diag(a^2)``, which has exactly one positive eigenvalue. It also aligns the components across views.
        """
        R = self.max_rank if rank is None else rank
        vectors = leading_eigenpairs(self.B, R, tol=tol)
        return tuple(orthonormalise(vectors[self.block(k)]) for k in range(self.n_views))

    def random_start(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Uniformly random orthonormal loadings."""
        return tuple(orthonormalise(rng.standard_normal((m, self.max_rank))) for m in self.sizes)

    def default_start(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """The spectral start; `rng` is not used."""
        return self.spectral_start()

    # ------------------------------------------------------------------ quality

    def measure(self, iterate: LinkedSolution) -> dict[str, float]:
        """Return the metrics of a solution.

        ``objective``; ``kkt_residual``: the larger of ``max_k ||M_k - V_k sym(V_k' M_k)|| / ||M_k||`` over active
        components (``M_k = sum_l w_kl S_kl V_l D_kl``) and the relative excess over the threshold of a component left
        out; ``rank``; ``off_diagonal_energy``: share of ``sum w ||V_k' S_kl V_l||^2`` of the active components that is
        off the diagonals. It is far from 0 where the shared-SVD model does not fit.
        """
        V = np.concatenate(iterate.coordinates)
        d = self.weighted(iterate.diagonals)
        live = iterate.norms > 0
        return {
            "objective": self.objective(self.correlations(V), d, iterate.strengths, iterate.adaptive),
            "kkt_residual": max(self._stationarity(V, d, live), self._left_out(V, live, iterate.adaptive)),
            "rank": float(iterate.rank),
            "off_diagonal_energy": self.off_diagonal_energy(iterate),
        }

    def procrustes_target(self, V: np.ndarray, d_full: np.ndarray, k: int) -> np.ndarray:
        """``M_k = sum_l w_kl S_kl V_l D_kl``; `d_full` is (K, K, R) in weighted coordinates."""
        Z = np.concatenate([V[self.block(l)] * d_full[k, l] for l in range(self.n_views)])
        return self.B[self.block(k)] @ Z

    def symmetric(self, d: np.ndarray) -> np.ndarray:
        """(n_pairs, R) to symmetric (K, K, R)."""
        full = np.zeros((self.n_views, self.n_views, d.shape[1]))
        full[self.pairs] = d
        full[self.pairs[1], self.pairs[0]] = d
        return full

    def _stationarity(self, V: np.ndarray, d: np.ndarray, live: np.ndarray) -> float:
        if not np.any(live):
            return 0.0
        V, full, worst = V[:, live], self.symmetric(d[:, live]), 0.0
        for k in range(self.n_views):
            M = self.procrustes_target(V, full, k)
            size = float(np.linalg.norm(M))
            if size > 0:
                H = V[self.block(k)].T @ M
                worst = max(worst, float(np.linalg.norm(M - V[self.block(k)] @ (0.5 * (H + H.T)))) / size)
        return worst

    def _left_out(self, V: np.ndarray, live: np.ndarray, adaptive: np.ndarray | None) -> float:
        """Relative excess over the threshold of a component that is zero, after three refinements of the best one."""
        if np.all(live) or self.total == 0:
            return 0.0
        c = self.correlations(V[:, ~live])
        j = int(np.argmax(np.sum(c * c, axis=0)))
        active = V[:, live]
        norm = self.rank_one(V[:, ~live][:, j], active, sweeps=3)[1]
        lam = self.penalty.threshold(self.lam if adaptive is None else self.lam * float(adaptive[~live].min()))
        if self.penalty.factored:
            # the criterion of the factored penalty is an eigenvalue, at most this norm
            return 0.0 if norm <= lam else self._left_out_factored(V[:, ~live][:, j], active, lam)
        return max(0.0, norm - lam) / norm if norm > 0 else 0.0

    def _left_out_factored(self, v: np.ndarray, active: np.ndarray, lam: float) -> float:
        v, _ = self.rank_one(v, active, sweeps=3)
        C = self.symmetric(self.correlations(v[:, None]))[:, :, 0] * self.sqrt_weights
        top = float(np.linalg.eigvalsh(C)[-1])
        return max(0.0, top - lam) / top if top > 0 else 0.0

    def rank_one(self, v: np.ndarray, active: np.ndarray, sweeps: int, tol: float = 0.0) -> tuple[np.ndarray, float]:
        """Maximise ``||c(v)||`` over unit vectors per view, orthogonal to `active`, from `v`: exact in each view."""
        v, norm = v.copy(), 0.0
        for _ in range(sweeps):
            before = norm
            for k in range(self.n_views):
                rows = self.block(k)
                G = self.B[rows] @ self._spread(v)
                A = active[rows]
                G -= A @ (A.T @ G)
                best, _square = top_left(np.delete(G, k, axis=1))
                if best is not None:
                    v[rows] = best
            norm = float(np.linalg.norm(self.correlations(v[:, None])))
            if norm - before <= tol * norm:
                break
        return v, norm

    def _spread(self, v: np.ndarray) -> np.ndarray:
        """Stacked vector to block-diagonal (M, K): one product with `B` then gives all ``S_kl v_l``."""
        Z = np.zeros((v.size, self.n_views))
        for l in range(self.n_views):
            Z[self.block(l), l] = v[self.block(l)]
        return Z

    def off_diagonal_energy(self, solution: LinkedSolution) -> float:
        """Off-diagonal share of the energy of ``V_k' S_kl V_l`` over the active components, in [0, 1]."""
        live = solution.norms > ZERO * max(solution.norms.max(initial=0.0), 1e-300)
        off = whole = 0.0
        for k, l in self.pair_list:
            C = solution.coordinates[k][:, live].T @ self.B[self.block(k), self.block(l)]
            C = C @ solution.coordinates[l][:, live]
            whole += float(np.sum(C * C))
            off += float(np.sum(C * C) - np.sum(np.diag(C) ** 2))
        return max(off, 0.0) / whole if whole > 0 else 0.0

    def lambda_max(self, sweeps: int = 100) -> float:
        """Smallest `lam` at which the zero solution is found optimal: the largest norm of a single component.

        A local maximiser from the spectral start (for two views, the exact operator norm). `lambda_max_bounds` holds
        for the global one.
        """
        if self.max_rank == 0 or self.total == 0:
            return 0.0
        v = np.concatenate(self.spectral_start(1))[:, 0]
        v, norm = self.rank_one(v, np.zeros((v.size, 0)), sweeps, tol=1e-12)
        if self.penalty.factored:
            return float(leading_eigenpairs(self.B_factored(), 1, values=True)[0])
        return 0.5 * norm**2 if self.penalty.name == "l0" else norm

    def B_factored(self) -> np.ndarray:
        """Blocks ``w_kl S_kl``: the gradient of the factored loss at zero."""
        W = np.repeat(np.repeat(self.sqrt_weights, self.sizes, axis=0), self.sizes, axis=1)
        return self.B if np.all(self.sqrt_weights[self.pairs] == 1) else self.B * W

    def lambda_max_bounds(self) -> tuple[float, float]:
        """Bounds on the largest group norm of one component from the operator norms of the weighted blocks."""
        norms = [np.linalg.norm(self.B[self.block(k), self.block(l)], 2) for k, l in self.pair_list]
        return float(max(norms)), float(np.sqrt(np.sum(np.square(norms))))


def cross_covariance_blocks(scores: Sequence[np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """``S_kl = Y_k' Y_l / (n - 1)`` of centred coordinates, for all pairs k < l."""
    centred = [Y - Y.mean(axis=0) for Y in scores]
    n = centred[0].shape[0]
    return {
        (k, l): centred[k].T @ centred[l] / (n - 1) for k in range(len(centred)) for l in range(k + 1, len(centred))
    }


def _pair_weights(value: Any, n_views: int) -> np.ndarray:
    if value is None:
        weights = np.ones((n_views, n_views))
    else:
        weights = np.array(as_float_array(value, "pair_weights", shape=(n_views, n_views), nonnegative=True), float)
        unequal = weights != weights.T
        if np.any(unequal):
            raise ValueError(f"pair_weights must be symmetric, differs from its transpose at {first_index(unequal)}")
    np.fill_diagonal(weights, 0.0)
    if not np.any(weights > 0):
        raise ValueError("pair_weights must have a positive weight for at least one pair of views")
    return weights
