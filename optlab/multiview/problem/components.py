"""Linked components of several views: find orthonormal loadings that diagonalise all cross-covariances at once.

After Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761): joint structure makes every
cross-covariance ``S_kl = V_k D_kl V_l'`` with the same loadings ``V_k`` in all pairs that involve view k, individual
structure and noise drop out, and a group-sparsity penalty selects the common rank. The paper's exact penalty and
weights are not reproduced; the objective here is a *reconstruction* in its style:

    F = 1/2 sum_{k<l} w_kl || S_kl - V_k D_kl V_l' ||_F^2 + penalty(D; lam),        V_k' V_k = I              (1)

with the penalties of `optlab.multiview.problem.penalties`. This file holds data and quality measures, no algorithm.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_integer, as_number, first_index
from optlab.multiview.problem.orthonormal import leading_eigenpairs, orthonormalise, top_left
from optlab.multiview.problem.penalties import Penalty, as_penalty
from optlab.multiview.problem.solution import ZERO, LinkedSolution
from optlab.multiview.views.compression import Reduced, reduce_view
from optlab.multiview.views.reading import check_views
from optlab.multiview.views.view import standardised

__all__ = ["LinkedComponents", "cross_covariance_blocks"]


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
        prepared = standardised(check_views(views), scaling="none", constant_columns="keep")
        reduced = tuple(reduce_view(view, compression) for view in prepared)
        self._hold([r.scores for r in reduced], reduced, lam, penalty, max_rank, pair_weights)

    def _hold(
        self, scores: Sequence[np.ndarray], reduced: Any, lam: Any, penalty: Any, max_rank: Any, pair_weights: Any
    ) -> None:
        self._set_layout([Y.shape[1] for Y in scores], lam, penalty, max_rank, pair_weights)
        self.reduced: tuple[Reduced, ...] | None = reduced
        self._set_blocks(cross_covariance_blocks(scores))

    def _set_layout(self, sizes: Sequence[int], lam: Any, penalty: Any, max_rank: Any, pair_weights: Any) -> None:
        """All that does not depend on the data."""
        K = self.n_views = len(sizes)
        self.sizes = tuple(int(s) for s in sizes)
        self.offsets = (0, *(int(o) for o in np.cumsum(self.sizes)))
        self.blocks = [slice(*ends) for ends in itertools.pairwise(self.offsets)]  # rows of a view in stacked loadings
        self.owner = np.repeat(np.arange(K), self.sizes)  # the view of every row
        self.pairs = np.triu_indices(K, 1)
        self.pair_list = [(int(k), int(l)) for k, l in zip(*self.pairs)]
        self.sqrt_weights = np.sqrt(_pair_weights(pair_weights, K))
        self.others = [[l for l in range(K) if l != k] for k in range(K)]
        # those whose pair with a view counts
        self.partners = [[l for l in range(K) if self.sqrt_weights[k, l] > 0] for k in range(K)]
        self._set_penalty(lam, penalty)
        self.max_rank = self._check_rank(max_rank)

    def _set_penalty(self, lam: Any, penalty: Any) -> None:
        self.lam, self.penalty = as_number(lam, "lam", minimum=0), as_penalty(penalty)
        # without a penalty the best coefficients are the correlations
        self.penalised = self.lam > 0 or self.penalty.factored

    def _set_blocks(self, blocks: Mapping[tuple[int, int], np.ndarray]) -> None:
        self.B: np.ndarray = np.zeros((self.offsets[-1], self.offsets[-1]))
        for (k, l), S in blocks.items():
            part = self.sqrt_weights[k, l] * S
            self.B[self.blocks[k], self.blocks[l]] = part
            self.B[self.blocks[l], self.blocks[k]] = part.T
        # squared norm of all pairs, each counted once
        self.total = 0.5 * float(np.einsum("ij,ij->", self.B, self.B))

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
        for wanted in itertools.combinations(range(n_views), 2):
            if wanted not in checked:
                raise ValueError(f"blocks must hold every pair of {n_views} views; {wanted} is missing")
        sizes = [checked[(0, 1)].shape[0]] + [checked[(0, l)].shape[1] for l in range(1, n_views)]
        for (k, l), S in checked.items():
            if S.shape != (sizes[k], sizes[l]):
                raise ValueError(f"blocks[{(k, l)}] must have shape {(sizes[k], sizes[l])}, got {S.shape}")
        problem = cls.__new__(cls)
        problem._set_layout(sizes, lam, penalty, max_rank, pair_weights)
        problem.reduced = None
        problem._set_blocks(checked)
        return problem

    @classmethod
    def from_scores(
        cls,
        scores: Sequence[np.ndarray],
        reduced: tuple[Reduced, ...] | None = None,
        *,
        lam: float = 0.0,
        penalty: str | Penalty = "group",
        max_rank: int | None = None,
        pair_weights: Any = None,
    ) -> LinkedComponents:
        """Set the problem up from the house's own coordinates of the samples, which are centred and not checked here.

        `reduced` says how loadings in these coordinates become loadings in the features.
        """
        problem = cls.__new__(cls)
        problem._hold(scores, reduced, lam, penalty, max_rank, pair_weights)
        return problem

    def with_scores(self, scores: Sequence[np.ndarray]) -> LinkedComponents:
        """Return the problem with the same settings and other samples of the same dimensions; see `from_scores`."""
        other = self._copy()
        other._set_blocks(cross_covariance_blocks(scores))
        return other

    def _copy(self) -> LinkedComponents:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def replace(
        self, *, lam: float | None = None, penalty: str | Penalty | None = None, max_rank: int | None = None
    ) -> LinkedComponents:
        """Return the problem with other settings and the same data (shared, not copied)."""
        other = self._copy()
        other._set_penalty(self.lam if lam is None else lam, self.penalty if penalty is None else penalty)
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
        return self.blocks[k]

    def split(self, V: np.ndarray) -> tuple[np.ndarray, ...]:
        """Cut stacked loadings (M, R) into views."""
        return tuple([V[rows] for rows in self.blocks])

    def correlations(self, V: np.ndarray) -> np.ndarray:
        """``sqrt(w_kl) v_kj' S_kl v_lj`` for stacked loadings: shape (n_pairs, R)."""
        c = np.zeros((self.n_views, self.n_views, V.shape[1]))
        for l in range(1, self.n_views):
            above = slice(0, self.offsets[l])
            product = (self.B[above, self.blocks[l]] @ V[self.blocks[l]]) * V[above]
            for k in range(l):
                c[k, l] = product[self.blocks[k]].sum(axis=0)
        return c[self.pairs]

    def unweighted(self, d: np.ndarray) -> np.ndarray:
        """Coefficients of pairs in weighted coordinates (n_pairs, R) as symmetric ``d_kl,j`` (K, K, R)."""
        weights = self.sqrt_weights[self.pairs][:, None]
        return self.symmetric(np.where(weights > 0, d / np.where(weights > 0, weights, 1.0), 0.0))

    def weighted(self, diagonals: np.ndarray) -> np.ndarray:
        """The inverse of `unweighted`."""
        return diagonals[self.pairs] * self.sqrt_weights[self.pairs][:, None]

    def penalty_size(self, adaptive: np.ndarray | None) -> Any:
        """`lam`, or one value per component for the adaptive penalty."""
        return self.lam if adaptive is None else self.lam * adaptive

    def shrink(
        self, c: np.ndarray, a: np.ndarray | None = None, adaptive: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Minimise over the coefficients at fixed loadings: `Penalty.shrink`."""
        if not self.penalised:
            return c, None
        return self.penalty.shrink(c, self.penalty_size(adaptive), self.sqrt_weights, a)

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
        return tuple([orthonormalise(vectors[rows]) for rows in self.blocks])

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
        return {
            "objective": self.objective(self.correlations(V), d, iterate.strengths, iterate.adaptive),
            "kkt_residual": self.kkt_residual(V, d, iterate.norms > 0, iterate.adaptive),
            "rank": float(iterate.rank),
            "off_diagonal_energy": self.off_diagonal_energy(iterate),
        }

    def kkt_residual(self, V: np.ndarray, d: np.ndarray, live: np.ndarray, adaptive: np.ndarray | None) -> float:
        """The violation of `measure` at stacked loadings and weighted coefficients, those of `live` not zero."""
        return max(self._stationarity(V, d, live), self._left_out(V, live, adaptive))

    def procrustes_target(self, V: np.ndarray, d_full: np.ndarray, k: int) -> np.ndarray:
        """``M_k = sum_l w_kl S_kl V_l D_kl``; `d_full` is (K, K, R) in weighted coordinates."""
        Z = np.multiply(V, d_full[k][self.owner], out=np.empty_like(V))
        return np.asarray(self.B[self.blocks[k]] @ Z)

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
                H = V[self.blocks[k]].T @ M
                worst = max(worst, float(np.linalg.norm(M - V[self.blocks[k]] @ (0.5 * (H + H.T)))) / size)
        return worst

    def _left_out(self, V: np.ndarray, live: np.ndarray, adaptive: np.ndarray | None) -> float:
        """Relative excess over the threshold of a component that is zero, after three refinements of the best one."""
        if np.all(live) or self.total == 0:
            return 0.0
        c = self.correlations(V[:, ~live])
        j = int(np.argmax(np.sum(c * c, axis=0)))
        active = V[:, live]
        v, norm = self.rank_one(V[:, ~live][:, j], active, sweeps=3)
        lam = self.penalty.threshold(self.lam if adaptive is None else self.lam * float(adaptive[~live].min()))
        if self.penalty.factored and norm > lam:
            # the criterion of the factored penalty is an eigenvalue, at most this norm
            C = self.symmetric(self.correlations(v[:, None]))[:, :, 0] * self.sqrt_weights
            norm = float(np.linalg.eigvalsh(C)[-1])
        return max(0.0, norm - lam) / norm if norm > 0 else 0.0

    def leading_component(self, sweeps: int, tol: float, start_tol: float = 1e-10) -> tuple[np.ndarray, float]:
        """The strongest single component, found from the spectral start: stacked loadings and norm; see `rank_one`."""
        v = np.concatenate(self.spectral_start(1, tol=start_tol))[:, 0]
        return self.rank_one(v, np.zeros((v.size, 0)), sweeps, tol)

    def rank_one(self, v: np.ndarray, active: np.ndarray, sweeps: int, tol: float = 0.0) -> tuple[np.ndarray, float]:
        """Maximise ``||c(v)||`` over unit vectors per view, orthogonal to `active`, from `v`: exact in each view."""
        v, norm, stacked = v.copy(), 0.0, np.arange(v.size)
        for _ in range(sweeps):
            before = norm
            for k, rows in enumerate(self.blocks):
                # block-diagonal: one product with B gives all S_kl v_l
                Z = np.zeros((v.size, self.n_views))
                Z[stacked, self.owner] = v
                G = self.B[rows] @ Z
                A = active[rows]
                G -= A @ (A.T @ G)
                best, _square = top_left(G.take(self.others[k], axis=1))
                if best is not None:
                    v[rows] = best
            norm = float(np.linalg.norm(self.correlations(v[:, None])))
            if norm - before <= tol * norm:
                break
        return v, norm

    def off_diagonal_energy(self, solution: LinkedSolution) -> float:
        """Off-diagonal share of the energy of ``V_k' S_kl V_l`` over the active components, in [0, 1]."""
        live = solution.norms > ZERO * max(solution.norms.max(initial=0.0), 1e-300)
        off = whole = 0.0
        for k, l in self.pair_list:
            C = solution.coordinates[k][:, live].T @ self.B[self.blocks[k], self.blocks[l]]
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
        if self.penalty.factored:
            return float(leading_eigenpairs(self.B_factored(), 1, values=True)[0])
        return self.penalty.lam_at(self.leading_component(sweeps, tol=1e-12)[1])

    def B_factored(self) -> np.ndarray:
        """Blocks ``w_kl S_kl``: the gradient of the factored loss at zero."""
        W = np.repeat(np.repeat(self.sqrt_weights, self.sizes, axis=0), self.sizes, axis=1)
        return self.B if np.all(self.sqrt_weights[self.pairs] == 1) else self.B * W

    def lambda_max_bounds(self) -> tuple[float, float]:
        """Bounds on the largest group norm of one component from the operator norms of the weighted blocks."""
        norms = [np.linalg.norm(self.B[self.blocks[k], self.blocks[l]], 2) for k, l in self.pair_list]
        return float(max(norms)), float(np.sqrt(np.sum(np.square(norms))))


def cross_covariance_blocks(scores: Sequence[np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """``S_kl = Y_k' Y_l / (n - 1)`` of centred coordinates, for all pairs k < l."""
    centred = [Y - Y.mean(axis=0) for Y in scores]
    pairs = itertools.combinations(range(len(centred)), 2)
    return {(k, l): centred[k].T @ centred[l] / (len(centred[0]) - 1) for k, l in pairs}


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
