"""What all transport costs offer: `Cost`.

All offer the same passes (log-sum-exp, c-transform, sums of the plan ``exp(F_i + G_j - kappa C_ij)`` ...),
each of which reads every entry once and needs O(n + m) memory. Everything above this file works on `Cost`
alone.

Not here: costs on grids (separable kernels), low-rank factorisations.
"""

from __future__ import annotations

import math
import warnings
from functools import cached_property
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array, as_number
from optlab.transport.costs import passes
from optlab.transport.costs.feasibility import Pattern

_TINY = 1e-300
LARGEST_COST = 1e140  # squares of entries, summed over all pairs, stay finite


class Cost:
    """A cost matrix known through passes over it. Use `DenseCost` or `PointCloudCost`.

    In the passes, ``X = exp(F_i + G_j - kappa C_ij)`` is the plan that the potentials F (n,), G (m,) and the
    inverse temperature kappa stand for. Potentials may be -inf (no mass in that row or column).

    Attributes
    ----------
    shape : (int, int)
    minimum, maximum, mean, standard_deviation : float
        Of the entries; one pass, then remembered. Of more than 2^26 pairs of a point cloud: of those between 4,096
        points of each side, evenly spaced in their order, and the outermost ones (units of step sizes and tolerances
        are made of them, and one pass over all pairs would take as long as the exact solver).
    """

    shape: tuple[int, int]
    is_matrix: bool = False  # whether entries were given one by one
    has_forbidden: bool = False  # whether some entries are +inf (or absent): no plan may use these pairs
    _data: tuple[Any, ...]  # storage, as optlab.transport.kernels.half_steps reads it
    _flipped: bool = False  # the storage holds the transposed matrix

    def _kappa(self, kappa: float) -> float:
        if type(kappa) is not float:  # an array would be compiled for
            kappa = as_number(kappa, "kappa", finite=False)
        # at inverse temperature zero the kernels would see 0 * inf on a forbidden pair
        return max(kappa, _TINY) if self.has_forbidden else kappa

    def _vector(self, values: Any, side: int, name: str) -> np.ndarray:
        """Return one value for each row (side 0) or column (side 1): kernels do not look where an array ends."""
        size = self.shape[side]
        if type(values) is np.ndarray and values.shape == (size,) and values.dtype == np.float64:
            return values
        return np.asarray(as_float_array(values, name, shape=(size,), finite=False), dtype=np.float64)

    def _storage(self) -> tuple[tuple[Any, ...], int, int]:
        n, m = self.shape
        return (self._data, m, n) if self._flipped else (self._data, n, m)

    @property
    def T(self) -> Cost:
        """The transposed cost, without copying."""
        raise NotImplementedError

    def in_double(self) -> Cost:
        """Return the cost with all passes in float64 arithmetic, without copying: what certificates use."""
        return self

    def _selection(self, index: Any, side: int) -> Any:
        """Return what selects rows (side 0) or columns (side 1) after checking it."""
        if index is None or isinstance(index, slice):
            return index
        name, size = ("rows", "columns")[side], self.shape[side]
        try:
            chosen = np.arange(size)[np.atleast_1d(np.asarray(index))]
        except (IndexError, ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{name} must be indices below {size}, a mask of that size or a slice: {error}") from None
        if chosen.ndim != 1 or chosen.size == 0:
            raise ValueError(f"{name} must select some of the {size} in one dimension, got shape {chosen.shape}")
        return chosen

    def submatrix(self, rows: Any = None, columns: Any = None) -> Cost:
        """Return the cost restricted to index arrays, masks or slices (None: all); copies unless all are slices."""
        raise NotImplementedError

    # ------------------------------------------------------------------ log-sum-exp

    def logsumexp_rows(self, G: np.ndarray, kappa: float) -> np.ndarray:
        """Return ``log sum_j exp(G_j - kappa C_ij)``, shape (n,); -inf where every term is."""
        G = self._vector(G, 1, "G")
        over = passes.logsumexp_columns if self._flipped else passes.logsumexp_rows
        return over(*self._storage(), G, self._kappa(kappa))

    def logsumexp_columns(self, F: np.ndarray, kappa: float) -> np.ndarray:
        """Return ``log sum_i exp(F_i - kappa C_ij)``, shape (m,); -inf where every term is."""
        F = self._vector(F, 0, "F")
        over = passes.logsumexp_rows if self._flipped else passes.logsumexp_columns
        return over(*self._storage(), F, self._kappa(kappa))

    # ------------------------------------------------------------------ the plan

    def plan_moments(self, F: np.ndarray, G: np.ndarray, kappa: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``X 1``, ``X^T 1`` and a vector whose sum is ``<C, X>``, in one pass."""
        F, G = self._vector(F, 0, "F"), self._vector(G, 1, "G")
        kappa = self._kappa(kappa)
        if self._flipped:
            columns, rows, costs = passes.plan_moments(*self._storage(), G, F, kappa)
            return rows, columns, costs
        return passes.plan_moments(*self._storage(), F, G, kappa)

    def plan_apply(self, F: np.ndarray, G: np.ndarray, kappa: float, V: np.ndarray) -> np.ndarray:
        """Return ``X V`` for V of shape (m,) or (m, p)."""
        return self._apply(F, G, kappa, V, transpose=False)

    def plan_apply_transpose(self, F: np.ndarray, G: np.ndarray, kappa: float, V: np.ndarray) -> np.ndarray:
        """Return ``X^T V`` for V of shape (n,) or (n, p)."""
        return self._apply(F, G, kappa, V, transpose=True)

    def _apply(self, F: np.ndarray, G: np.ndarray, kappa: float, V: np.ndarray, transpose: bool) -> np.ndarray:
        F, G = self._vector(F, 0, "F"), self._vector(G, 1, "G")
        V = as_float_array(V, "V", ndim=(1, 2), finite=False)
        if V.shape[0] != self.shape[0 if transpose else 1]:
            raise ValueError(f"V must have {self.shape[0 if transpose else 1]} rows, got shape {V.shape}")
        matrix = V[:, None] if V.ndim == 1 else V
        row, column = (G, F) if self._flipped else (F, G)
        kappa = self._kappa(kappa)
        out = passes.plan_apply(*self._storage(), row, column, kappa, matrix, over_rows=transpose != self._flipped)
        return out[:, 0] if V.ndim == 1 else np.ascontiguousarray(out)

    def plan_dense(self, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
        """Return X, shape (n, m)."""
        F, G = self._vector(F, 0, "F"), self._vector(G, 1, "G")
        kappa = self._kappa(kappa)
        if self._flipped:
            return passes.plan_dense(*self._storage(), G, F, kappa).T
        return passes.plan_dense(*self._storage(), F, G, kappa)

    def plan_sparse(
        self, F: np.ndarray, G: np.ndarray, kappa: float, threshold: float, p: Any = None, q: Any = None
    ) -> Any:
        """Return the entries of ``X + p q^T`` above `threshold` as a SciPy CSR array, in memory of what is kept."""
        from scipy.sparse import csr_array, vstack

        F, G = self._vector(F, 0, "F"), self._vector(G, 1, "G")
        if self._flipped:
            return self._unflipped().plan_sparse(G, F, kappa, threshold, q, p).T.tocsr()
        kappa = self._kappa(kappa)
        data, n, m = self._storage()
        block = max(1, min(n, (1 << 20) // m))
        pieces = []
        for start in range(0, n, block):
            stop = min(start + block, n)
            rows = passes.plan_rows(data, n, m, F, G, kappa, start, stop)
            if p is not None:
                rows += p[start:stop, None] * q[None, :]
            rows[rows <= threshold] = 0.0
            pieces.append(csr_array(rows))
        return pieces[0] if len(pieces) == 1 else csr_array(vstack(pieces, format="csr"))

    def _unflipped(self) -> Cost:
        return self.T

    def plan_entropic(
        self, F: np.ndarray, G: np.ndarray, kappa: float, p: np.ndarray, q: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return vectors whose sums are ``<C, Y>`` and ``sum Y (log Y - 1)`` for ``Y = X + p q^T``."""
        F, G = self._vector(F, 0, "F"), self._vector(G, 1, "G")
        p, q = self._vector(p, 0, "p"), self._vector(q, 1, "q")
        if self._flipped:
            F, G, p, q = G, F, q, p
        return passes.plan_entropic(*self._storage(), F, G, self._kappa(kappa), p, q)

    # ------------------------------------------------------------------ forbidden pairs

    @property
    def pattern(self) -> Pattern:
        """The allowed pairs: all, unless some are forbidden."""
        n, m = self.shape
        return Pattern(np.arange(n + 1) * m, np.tile(np.arange(m), n), self.shape)

    @property
    def pattern_costs(self) -> np.ndarray:
        """The costs of the pairs of `pattern`."""
        return np.ascontiguousarray(self.dense()).ravel()

    def plan_pattern(self, F: np.ndarray, G: np.ndarray, kappa: float) -> np.ndarray:
        """Return X on the pairs of `pattern`."""
        return self.plan_dense(F, G, kappa)[self.pattern.rows, self.pattern.columns]

    # ------------------------------------------------------------------ the cost alone

    def minimum_rows(self, g: np.ndarray) -> np.ndarray:
        """Return the c-transform ``min_j (C_ij - g_j)``, shape (n,)."""
        g = np.ascontiguousarray(self._vector(g, 1, "g"))
        over = passes.minimum_columns if self._flipped else passes.minimum_rows
        return over(*self._storage(), g)

    def minimum_columns(self, f: np.ndarray) -> np.ndarray:
        """Return the c-transform ``min_i (C_ij - f_i)``, shape (m,)."""
        f = np.ascontiguousarray(self._vector(f, 0, "f"))
        over = passes.minimum_rows if self._flipped else passes.minimum_columns
        return over(*self._storage(), f)

    def product(self, v: np.ndarray) -> np.ndarray:
        """Return ``C v``, shape (n,)."""
        v = np.ascontiguousarray(self._vector(v, 1, "v"))
        return (passes.product_columns if self._flipped else passes.product_rows)(*self._storage(), v)

    def product_transpose(self, u: np.ndarray) -> np.ndarray:
        """Return ``C^T u``, shape (m,)."""
        u = np.ascontiguousarray(self._vector(u, 0, "u"))
        return (passes.product_rows if self._flipped else passes.product_columns)(*self._storage(), u)

    def pair_costs(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return ``C[rows, columns]``, float64; +inf where forbidden."""
        rows, columns = self._pairs(rows, columns)
        first, second = (columns, rows) if self._flipped else (rows, columns)
        return passes.pair_costs(self._data, first, second)

    def _pairs(self, rows: Any, columns: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return index arrays after checking them."""
        found = tuple(np.asarray(index) for index in (rows, columns))
        for name, index, size in zip(("rows", "columns"), found, self.shape):
            if index.dtype.kind not in "iu" or index.ndim != 1 or index.shape != found[0].shape:
                raise ValueError(f"rows and columns must be integer arrays of one length, got {name} of {index.dtype}")
            if index.size and not (index.min() >= 0 and index.max() < size):
                raise ValueError(f"{name} must be between 0 and {size - 1}, got {index.min()} to {index.max()}")
        return found[0], found[1]

    def dense(self) -> np.ndarray:
        """Return the cost as an (n, m) array; for a `DenseCost` the caller's own array, to be read only."""
        out = passes.cost_dense(*self._storage())
        return out.T if self._flipped else out

    @cached_property
    def _statistics(self) -> tuple[float, float, float, float]:
        return passes.statistics(*self._storage())

    @property
    def minimum(self) -> float:
        return self._statistics[0]

    @property
    def maximum(self) -> float:
        return self._statistics[1]

    @property
    def mean(self) -> float:
        return self._statistics[2]

    @property
    def standard_deviation(self) -> float:
        return self._statistics[3]

    @property
    def lowest(self) -> float:
        """A number that no entry is below, `minimum` unless that is of a sample."""
        return self.minimum

    @cached_property
    def smallest(self) -> float:
        """The smallest positive size of an entry (of large point clouds: in the sample); 0 if all are zero."""
        n, m = self.shape
        block = max(1, (1 << 20) // m)
        least = np.inf
        for start in range(0, n, block):
            sizes = np.abs(self.submatrix(slice(start, min(start + block, n))).dense())
            least = min(least, float(np.min(sizes, where=sizes > 0.0, initial=np.inf)))
        return least if least < np.inf else 0.0

    @property
    def fine_scale(self) -> float:
        """A size of costs that the largest entries have no part in, nor any that a plan is not sure to meet.

        The 5 % quantile of the positive sizes, but at most 1,000 times the smallest.
        """
        return min(max(abs(self.minimum), abs(self.maximum)) / self.spread(0.05), 1e3 * self.smallest)

    def spread(self, quantile: float) -> float:
        """Return the largest size of an entry over a quantile of the positive ones (in 64 rows); 1 if all are zero."""
        quantile = as_number(quantile, "quantile", minimum=0.0, maximum=1.0)
        if quantile not in self._spreads:
            sizes = self._sizes()
            largest = max(abs(self.minimum), abs(self.maximum))
            usual = float(np.quantile(sizes, quantile)) if sizes.size and largest > 0.0 else largest
            self._spreads[quantile] = largest / usual if largest > 0.0 else 1.0
        return self._spreads[quantile]

    @cached_property
    def _spreads(self) -> dict[float, float]:
        return {}

    def _sizes(self) -> np.ndarray:
        rows = np.unique(np.linspace(0, self.shape[0] - 1, 64).astype(np.int64))
        sizes = np.abs(self.submatrix(rows).dense())
        return np.asarray(sizes[(sizes > 0.0) & np.isfinite(sizes)])

    @property
    def range(self) -> float:
        """Largest entry less smallest."""
        return self.maximum - self.minimum

    @property
    def scale(self) -> float:
        """A positive unit of the cost: its standard deviation; if constant its size, or 1 if it is zero.

        Dividing by it makes step sizes and tolerances independent of the cost's units.
        """
        size = max(abs(self.minimum), abs(self.maximum))
        if self.standard_deviation > 1e-13 * size:
            return self.standard_deviation
        return size if size > 0 else 1.0


def check_size(largest: float) -> None:
    """Raise `ValueError` if a cost has entries that its statistics, of which tolerances consist, cannot take."""
    if largest > LARGEST_COST:
        raise ValueError(
            f"cost must have entries of size at most {LARGEST_COST:g}, got {largest:g}; divide it by a constant, or "
            "write +inf if the pair is forbidden"
        )


LARGEST_SPREAD = 1e6
SPREAD_ADVICE = (
    "if large entries stand for forbidden pairs, write +inf instead: as numbers they take digits from all others, and "
    "iterations slow down with the largest"
)


def warn_of_spread(*costs: Cost) -> None:
    """Warn if the entries of a matrix spread over more than six decades (distances between points mean what they say).

    Examples
    --------
    >>> import warnings
    >>> from optlab.transport import DenseCost
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_of_spread(DenseCost([[0.1, 1e9], [1e9, 0.2]]))
    >>> str(caught[0].message)[:52]
    'the costs spread over 9.8 decades; if large entries '
    """
    # a quarter of the entries may be dust (distances that rounding left above zero), three quarters stand for forbidden
    spread = max((cost.spread(0.25) for cost in costs if cost.is_matrix), default=1.0)
    if spread > LARGEST_SPREAD:
        warnings.warn(f"the costs spread over {math.log10(spread):.1f} decades; {SPREAD_ADVICE}", stacklevel=4)


def finite_statistics(values: np.ndarray) -> tuple[float, float, float, float]:
    """Return minimum, maximum, mean and standard deviation of the costs of allowed pairs."""
    if values.size == 0:
        return 0.0, 0.0, 0.0, 0.0
    mean = math.fsum(values.tolist()) / values.size
    return float(values.min()), float(values.max()), mean, float(np.std(values))
