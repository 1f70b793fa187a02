"""Optimal transport as a problem to be split: data, certificate, Bregman resolvents in potential form.

``min <C, X>`` over ``X >= 0, X 1 = a, X^T 1 = b``, or with ``+ regularization * sum X (log X - 1)``. The
kernel is the Shannon entropy on matrices, so that the Bregman resolvents of the marginal constraints are row
and column scalings and those of the cost a change of the inverse temperature (Ma, Xiao, Zhao 2025, arXiv
2509.08739; the potential form, the share of the cost between the operators and the entropic variant are
derived here and verified numerically).

With ``first="rows"`` and ``cost_split = theta``, ``B = N{X 1 = a} + (1 - theta) C`` and
``A = N{X^T 1 = b} + theta C + regularization * grad h``; a method applies B first. Every theta gives the same
iteration from a shifted start. The same object is the two-block problem ``max <a, u> + <b, v>, u_i + v_j <=
C_ij`` whose Bregman ADMM is that iteration with theta = 1: block u belongs to A's marginal, block v to B's.

Not here: unbalanced and partial transport (`optlab.transport.relaxed.plan`), barycentres
(`optlab.transport.relaxed.barycenter`); the methods are in their own files and in `optlab.splitting`.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_number, one_of
from optlab.schedules import Geometric
from optlab.splitting.protocols import SPLIT_ORACLES, TWO_BLOCK_ORACLES
from optlab.transport.balanced.plan import TransportPlan
from optlab.transport.balanced.warm_start import potentials_of_plan
from optlab.transport.costs.sparse import checked_sparse
from optlab.transport.plans.marginals import TransportData, gap_advice
from optlab.transport.plans.potentials import MirrorPlan


class OptimalTransport(TransportData):
    """Optimal transport between two histograms, with a certificate for every iterate.

    Parameters
    ----------
    a : array_like, shape (n,)
        Source weights: non-negative, any positive total. None: equal weights.
    b : array_like, shape (m,)
        Target weights, of the same total to 1e-6 relative (as exact as weights are that were divided by their sum in
        single precision); the difference is removed by rescaling b. None: equal weights. Zero weights are allowed: the
        iteration runs on the support, results come back on the full index set. If there are any, the dense cost of the
        support is copied once.
    cost : array_like (n, m), SciPy sparse array, `DenseCost`, `SparseCost` or `PointCloudCost`
        Of any sign. An entry +inf forbids its pair, as does the absence from a sparse array.
    regularization : float
        Weight eps >= 0 of the entropy ``sum X (log X - 1)`` (in units of the cost).
    first : {"rows", "columns"}
        Which marginal constraint belongs to the operator B, applied first.
    cost_split : float in [0, 1], optional
        theta: share of the cost in the operator A, the rest is in B. Default: 0, and 1 with a regularization (then an
        iteration that starts at the inverse temperature 1 / regularization stays there).
    inner_tol, inner_max_iter : float, int
        For `minimize_both`: marginal error relative to the mass at which the inner Sinkhorn loop ends, and
        its limit.

    Attributes
    ----------
    active_a, active_b, log_a, log_b : ndarray
        Marginals on their support and their logarithms.
    active_cost : Cost
        The cost on the support.
    rows, columns : ndarray of int
        The support; `has_zeros` says whether it is smaller than the full index set.
    mass : float
        Total weight.
    default_step_size : float
        See the property.

    Raises
    ------
    ValueError, TypeError
        For marginals that are empty, negative, not finite, without mass, or of different sums; for a cost
        that is not finite or has the wrong shape; for a product of mass and cost that over- or underflows. The message
        names the argument and the index.
    InfeasibleError
        If the forbidden pairs cut mass off; it has the rows and columns that prove it.

    Examples
    --------
    >>> problem = OptimalTransport([0.2, 0.8], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]])
    >>> problem
    OptimalTransport(2 x 2, cost=DenseCost(shape=(2, 2), dtype=float64))
    >>> plan = problem.plan([[0.2, 0.0], [0.3, 0.5]], potentials=([-1.0, 0.0], [1.0, 0.0]))
    >>> round(plan.cost, 12), round(plan.gap, 12)
    (0.3, 0.0)
    """

    primary_metric: ClassVar[str] = "relative_gap"

    def __init__(
        self,
        a: Any,
        b: Any,
        cost: Any,
        regularization: float = 0.0,
        *,
        first: str = "rows",
        cost_split: float | None = None,
        inner_tol: float = 1e-10,
        inner_max_iter: int = 10_000,
    ):
        self.regularization = as_number(regularization, "regularization", minimum=0.0)
        self.first = one_of(first, "first", ("rows", "columns"))
        if cost_split is None:
            cost_split = 1.0 if self.regularization > 0.0 else 0.0
        self.cost_split = as_number(cost_split, "cost_split", minimum=0.0, maximum=1.0)
        self.inner_tol = as_number(inner_tol, "inner_tol", above=0.0)
        self.inner_max_iter = int(as_number(inner_max_iter, "inner_max_iter", minimum=1))
        self._set_data(a, b, cost)
        self.log_a, self.log_b = np.log(self.active_a), np.log(self.active_b)

    # ------------------------------------------------------------------ what is solved, and how well

    @property
    def offers(self) -> dict[str, tuple[str, ...]]:
        """The oracles of the splitting, and of the two-block form, which has no place for an entropy."""
        names = (*SPLIT_ORACLES, *(() if self.regularization > 0.0 else (*TWO_BLOCK_ORACLES, "minimize_both")))
        return dict.fromkeys(names, ("transport",))

    def default_start(self, rng: np.random.Generator | None = None) -> MirrorPlan:
        """Return the mirror point of the all-ones matrix; with a regularization eps that of ``exp(-C / eps)``,
        scaled.

        Below 1e-4 of the cost's range a regularization is as good as none: then the all-ones matrix too.
        """
        start = MirrorPlan.zeros(self.rows.size, self.columns.size)
        if self.regularization > 1e-4 * self.cost_range:
            kappa = 1.0 / self.regularization
            level = kappa * self.active_cost.minimum + math.log(self.mass / (self.rows.size * self.columns.size))
            return MirrorPlan(start.row, start.column + level, kappa)
        return start

    @cached_property
    def default_step_size(self) -> float:
        """A safe constant step size, and the unit of relative schedules, in the cost's own units.

        ``min(2 / standard deviation, 50 / range)`` without regularization: constant step sizes above 60 / range can
        diverge there (seen numerically; the paper's theorem does not cover optimal transport). ``1 / regularization``
        with one: there the iteration is Sinkhorn's.
        """
        if self.regularization > 0.0:
            return 1.0 / self.regularization
        return min(2.0 / self.active_cost.scale, 50.0 / self.cost_range)

    @cached_property
    def default_schedule(self) -> Any:
        """What a method uses whose ``step_size`` is None.

        Without regularization: growth by 0.7 % an iteration from ``5 / range`` to ``30 / range`` of the cost. Small
        steps settle the potentials, larger ones cool them; the end stays well below the step sizes at which divergence
        was seen. Chosen among 30 schedules on random problems (sizes 50 to 500; uniform, random and uneven marginals;
        three kinds of cost) for the largest gap after 1,000 iterations. With one: `EntropicStepSize`, unless it is so
        small (below 1e-4 of the range) that cooling is the work.
        """
        if self.regularization > 1e-4 * self.cost_range:
            from optlab.transport.balanced.step_sizes import EntropicStepSize

            return EntropicStepSize()
        return Geometric(5.0 / self.cost_range, 1.007, 30.0 / self.cost_range)

    def measure(self, iterate: Any) -> dict[str, float]:
        """Return cost, marginal error and certificate of an iterate.

        Parameters
        ----------
        iterate : TransportPlan, MirrorPlan, or array_like of shape (n, m)

        Returns
        -------
        dict
            ``cost`` (of the plan rounded to the marginals: an upper bound on the optimum without
            regularization), ``marginal_error`` (L1, rows and columns, before rounding), ``dual_objective`` (a
            proven lower bound), ``gap``, ``relative_gap``; with a regularization also ``objective``.
        """
        plan = self.as_plan(iterate)
        metrics = {
            "cost": plan.rounded().cost,
            "marginal_error": plan.marginal_error,
            "dual_objective": plan.dual_objective,
            "gap": plan.gap,
            "relative_gap": plan.relative_gap,
        }
        if self.regularization > 0.0:
            metrics["objective"] = plan.objective
        return metrics

    def as_plan(self, iterate: Any) -> TransportPlan:
        """Return `iterate` (a plan, a mirror point or an array) as a `TransportPlan` of this problem."""
        if isinstance(iterate, TransportPlan):
            return iterate
        if isinstance(iterate, MirrorPlan):
            return self.primal(iterate)
        return self.plan(iterate)

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return advice for a run that has not converged: on the step size, the costs, or an optimum of zero."""
        advice = [self._step_size_advice(state, metrics), gap_advice(metrics, self.active_cost)]
        return "; ".join(part for part in advice if part) or None

    def _step_size_advice(self, state: Any, metrics: dict[str, float]) -> str | None:
        step_size = getattr(state, "step_size", None)
        error = metrics.get("marginal_error", 0.0) / self.mass
        if step_size is None or self.regularization > 0.0 or error <= 1e-2:
            return None
        if not isinstance(step_size, float) or step_size * self.cost_range <= 60.0:
            return None
        return (
            f"the step size {step_size:.3g} is above 60 / range of the cost = {60.0 / self.cost_range:.3g}, where the "
            f"iteration can diverge (relative marginal error {error:.2g}); leave step_size=None, or use a smaller or "
            "growing one (optlab.splitting.Geometric)"
        )

    def plan(self, array: Any, potentials: tuple[Any, Any] | None = None) -> TransportPlan:
        """Return a matrix computed elsewhere as a `TransportPlan`, certified with the dual potentials (f, g)
        if given.
        """
        rows, columns = [], []
        if potentials is not None:
            f, g = self._potentials(potentials)
            rows, columns = [f], [g]
        return TransportPlan(self, array=array, row_candidates=rows, column_candidates=columns)

    # ------------------------------------------------------------------ scalings

    def scale_rows(self, column: np.ndarray, kappa: float) -> np.ndarray:
        """Return the row potential that gives ``exp(row_i + column_j - kappa C_ij)`` the row sums a."""
        return self.log_a - self.active_cost.logsumexp_rows(column, kappa)

    def scale_columns(self, row: np.ndarray, kappa: float) -> np.ndarray:
        """Return the column potential that gives ``exp(row_i + column_j - kappa C_ij)`` the column sums b."""
        return self.log_b - self.active_cost.logsumexp_columns(row, kappa)

    def _scaled(self, row: np.ndarray, column: np.ndarray, kappa: float, which: str) -> MirrorPlan:
        if not math.isfinite(kappa):
            raise DomainError(f"the inverse temperature overflowed to {kappa}; use a smaller step size")
        if which == "rows":
            row = self.scale_rows(column, kappa)
        else:
            column = self.scale_columns(row, kappa)
        return MirrorPlan(row, column, kappa).recentred()

    # ------------------------------------------------------------------ splitting: 0 in A(X) + B(X)

    def initial_mirror(self, x0: Any = None) -> MirrorPlan:
        """Return the mirror point of z_0.

        Parameters
        ----------
        x0 : None, MirrorPlan, TransportPlan, (f, g), or an array of shape (n, m), dense or sparse
            None: all ones. A mirror point or plan in potential form is taken as it is. Dual potentials (f, g)
            on the full index set, and plans given as arrays through their dual potentials (a bare array through those
            that fit it, `optlab.transport.balanced.warm_start`), become ``exp(kappa (f + g - C))`` with kappa 10
            default step sizes (``1 / regularization`` if there is one). At ten times that the plan follows its
            potentials so slowly that the first-order methods without regularization take longer than from nothing (two
            to three times, measured on three families); at this they take about as long, with the dual bound there from
            the start.
        """
        if x0 is None:
            return self.default_start()
        if isinstance(x0, TransportPlan):
            if x0.mirror is not None:
                x0 = x0.mirror
            else:
                x0 = x0.potentials
        if isinstance(x0, MirrorPlan):
            if x0.shape == self.shape and self.has_zeros:
                x0 = x0.restricted(self.rows, self.columns)
            if x0.shape != self.active_cost.shape:
                raise ValueError(f"x0 must have potentials for a plan of shape {self.shape}, got {x0.shape}")
            if not (np.all(np.isfinite(x0.row)) and np.all(np.isfinite(x0.column))):
                raise ValueError("x0 must have finite potentials on the support of the marginals")
            return x0.copy()
        if hasattr(x0, "tocsr") or getattr(x0, "ndim", 0) == 2:
            sparse = hasattr(x0, "tocsr")
            array = checked_sparse(x0, "x0") if sparse else as_float_array(x0, "x0", shape=self.shape, nonnegative=True)
            if array.shape != self.shape:
                raise ValueError(f"x0 must have shape {self.shape}, got {array.shape}")
            x0 = potentials_of_plan(array, self.cost)
        if isinstance(x0, (tuple, list)) and len(x0) == 2:
            f, g = self._potentials((x0[0], x0[1]), "x0")
            for k, potential in enumerate((f, g)):
                if not np.any(np.isfinite(potential)):
                    raise ValueError(
                        f"x0[{k}] must be finite somewhere on the support of the marginals, got no such number"
                    )
            kappa = 1.0 / self.regularization if self.regularization > 0.0 else 10.0 * self.default_step_size
            f, g = (np.where(np.isfinite(p), p, 0.0) for p in (f, g))
            return MirrorPlan(kappa * f, kappa * g, kappa).recentred()
        raise TypeError(
            "x0 must be None, a MirrorPlan, a TransportPlan, dual potentials (f, g) or an array of shape "
            f"{self.shape}, got {type(x0).__name__}"
        )

    def resolvent_B(self, mirror: MirrorPlan, step_size: float) -> MirrorPlan:
        """Scale the marginal that comes first, on the kernel cooled by its share of the cost."""
        kappa = mirror.inverse_temperature + (1.0 - self.cost_split) * step_size
        return self._scaled(mirror.row, mirror.column, kappa, self.first)

    def resolvent_A(self, mirror: MirrorPlan, step_size: float) -> MirrorPlan:
        """Damp by ``1 / (1 + step_size * regularization)``, then scale the other marginal."""
        damping = 1.0 / (1.0 + step_size * self.regularization)
        kappa = damping * (mirror.inverse_temperature + self.cost_split * step_size)
        row, column = damping * mirror.row, damping * mirror.column
        return self._scaled(row, column, kappa, "columns" if self.first == "rows" else "rows")

    def check_mirror(self, mirror: MirrorPlan) -> None:
        """Raise `DomainError` if potentials overflowed; every finite mirror point is in the domain."""
        total = float(np.add.reduce(mirror.row) + np.add.reduce(mirror.column)) + mirror.inverse_temperature
        if not math.isfinite(total):
            raise DomainError("the potentials are no longer finite; use a smaller step size")

    def local_coordinates(self, difference: MirrorPlan, at: MirrorPlan) -> np.ndarray:
        """Return a difference of mirror points as a vector of n + m + 2 numbers, free of the gauge.

        Potentials are weighted by the marginals and the inverse temperature by the scale of the cost. It is the metric
        of h* at the independent plan ``a b^T / mass``, without the products of potentials and costs.
        """
        root_a, root_b, scale = self._coordinate_scales
        root = math.sqrt(self.mass)
        row_mean = float(self.active_a @ difference.row) / self.mass
        column_mean = float(self.active_b @ difference.column) / self.mass
        out = np.empty(root_a.size + root_b.size + 2)
        np.multiply(root_a, difference.row - row_mean, out=out[: root_a.size])
        np.multiply(root_b, difference.column - column_mean, out=out[root_a.size : -2])
        out[-2:] = root * (row_mean + column_mean), root * scale * difference.inverse_temperature
        return out

    @cached_property
    def _coordinate_scales(self) -> tuple[np.ndarray, np.ndarray, float]:
        return np.sqrt(self.active_a), np.sqrt(self.active_b), self.active_cost.scale

    def residual_length(self, x: MirrorPlan, y: MirrorPlan) -> float:
        """Return the marginal error (L1) of the second point of an iteration, whose other marginal is exact.

        It vanishes at a solution also where potentials grow for ever, and Sinkhorn's iteration never raises it, which
        makes it a better judge of Anderson's candidates than `local_coordinates`: on four entropic problems (l2,
        n = 100, regularization 0.002) the gap was 1e-9 after 220 to 290 iterations instead of 220 to 1,900. It costs a
        pass over the cost.
        """
        if self.first == "rows":
            log_sums, weight = y.row + self.active_cost.logsumexp_rows(y.column, y.inverse_temperature), self.active_a
        else:
            log_sums, weight = (
                y.column + self.active_cost.logsumexp_columns(y.row, y.inverse_temperature),
                self.active_b,
            )
        return float(np.abs(np.exp(np.minimum(log_sums, 700.0)) - weight).sum())

    def primal(self, mirror: MirrorPlan, drift: MirrorPlan | None = None) -> TransportPlan:
        """Return the plan of a mirror point.

        Parameters
        ----------
        mirror : MirrorPlan
        drift : MirrorPlan, optional
            Change of the mirror point over a window of iterations. Its potentials over the change of its
            inverse temperature are a dual candidate without the O(1 / kappa) bias of ``mirror.row / kappa``.
        """
        rows, columns = [], []
        if drift is not None:
            cooled = drift.inverse_temperature
            # with a regularization kappa settles at 1 / eps, and the quotient becomes noise
            if cooled > (0.0 if self.regularization == 0.0 else 0.1 * abs(mirror.inverse_temperature)):
                rows, columns = [drift.row / cooled], [drift.column / cooled]
        return TransportPlan(self, mirror, row_candidates=rows, column_candidates=columns)

    # ------------------------------------------------------------------ two blocks: the dual with multiplier
    # X

    def initial_blocks(self, x0: Any = None) -> tuple[MirrorPlan, np.ndarray, np.ndarray]:
        """Return the mirror point of the multiplier w_0 and zero blocks u_{-1}, v_{-1}."""
        n, m = self.active_cost.shape
        u, v = (np.zeros(m), np.zeros(n)) if self.first == "rows" else (np.zeros(n), np.zeros(m))
        return self.initial_mirror(x0), u, v

    def _block(self, mirror: MirrorPlan, step_size: float, which: str) -> np.ndarray:
        kappa = mirror.inverse_temperature
        if which == "rows":
            return (self.scale_rows(mirror.column, kappa) - mirror.row) / step_size
        return (self.scale_columns(mirror.row, kappa) - mirror.column) / step_size

    def minimize_u(self, mirror: MirrorPlan, step_size: float) -> np.ndarray:
        """Return ``argmin_u -<b, u> + sum exp(mirror + step_size u) / step_size`` (u on the columns if rows
        come first).
        """
        return self._block(mirror, step_size, "columns" if self.first == "rows" else "rows")

    def minimize_v(self, mirror: MirrorPlan, step_size: float) -> np.ndarray:
        """Return the same for the block of the marginal that comes first."""
        return self._block(mirror, step_size, self.first)

    def minimize_both(
        self, mirror: MirrorPlan, step_size: float, u: np.ndarray, v: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the joint minimiser by alternating the blocks (Sinkhorn) until the marginal error is
        `inner_tol` times the mass.
        """
        base = mirror + step_size * self.apply_N(v)
        weight = self.active_b if self.first == "rows" else self.active_a
        for k in range(self.inner_max_iter):
            before, u = u, self.minimize_u(base, step_size)
            # sums over u's marginal before this update were weight * exp(step_size (before - u))
            change = np.expm1(np.clip(step_size * (before - u), -50.0, 50.0))
            if k > 0 and float(weight @ np.abs(change)) <= self.inner_tol * self.mass:
                break
            v = self.minimize_v(mirror + step_size * self.apply_M(u), step_size)
            base = mirror + step_size * self.apply_N(v)
        return u, v

    def _on(self, which: str, block: np.ndarray) -> MirrorPlan:
        n, m = self.active_cost.shape
        if which == "rows":
            return MirrorPlan(np.asarray(block), np.zeros(m), 0.0)
        return MirrorPlan(np.zeros(n), np.asarray(block), 0.0)

    def apply_M(self, u: np.ndarray) -> MirrorPlan:
        """Return block u spread over the matrix."""
        return self._on("columns" if self.first == "rows" else "rows", u)

    def apply_N(self, v: np.ndarray) -> MirrorPlan:
        """Return block v spread over the matrix."""
        return self._on(self.first, v)

    def offset(self) -> MirrorPlan:
        """Return the cost as a mirror point (potentials zero, inverse temperature -1)."""
        n, m = self.active_cost.shape
        return MirrorPlan(np.zeros(n), np.zeros(m), -1.0)

    def primal_blocks(self, mirror: MirrorPlan, u: np.ndarray, v: np.ndarray) -> TransportPlan:
        """Return the plan of the multiplier, with the blocks as dual candidates."""
        f, g = (v, u) if self.first == "rows" else (u, v)
        return TransportPlan(self, mirror, row_candidates=[f], column_candidates=[g])

    def __repr__(self) -> str:
        n, m = self.shape
        extra = f", regularization={self.regularization:g}" if self.regularization > 0.0 else ""
        return f"OptimalTransport({n} x {m}, cost={self.cost!r}{extra})"
