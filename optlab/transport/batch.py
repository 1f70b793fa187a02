"""Thousands of small entropic transport problems in one call, each with its own certificate.

A Python call per problem costs more than solving it: here the loop over problems is compiled (see
`optlab.transport.kernels.batch_kernels`), and the problems are dealt out to threads. Each is solved by Sinkhorn's
iteration on a stabilised kernel (Schmitzer 2019), cooled in steps of four from a temperature at which it takes a few
iterations, and what that leaves by Newton's method on the dual with one potential maximised out.

Not here: problems of different shapes in one call, forbidden pairs, and regularization zero (solve those one by one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.core.threads import run_tasks, thread_count
from optlab.core.validation import as_float_array, as_integer, as_number, first_index
from optlab.transport.costs.base import check_size
from optlab.transport.plans.marginals import SUM_TOLERANCE
from optlab.transport.plans.relative_gap import relative_gap

_ROUNDS = 4
_GRAIN = 16  # fewer problems than this are not worth a thread


@dataclass(frozen=True, eq=False, repr=False)
class BatchTransport:
    """The answers of `batch_transport`, one entry per problem.

    Attributes
    ----------
    f, g : ndarray, shapes (N, n) and (N, m)
        Dual potentials, in units of the cost; -inf where a weight is zero.
    cost : ndarray, shape (N,)
        ``<C, X>`` of the plan rounded to the marginals.
    objective, dual_objective : ndarray, shape (N,)
        ``<C, X> + regularization sum X (log X - 1)`` of the rounded plan, and a proven lower bound on its minimum.
    gap, relative_gap : ndarray, shape (N,)
        Their difference, and that over what it proves of the optimum (`optlab.transport.plans.relative_gap`):
    certificates. marginal_error : ndarray, shape (N,)
        L1 error of the marginals before rounding, over the mass.
    n_iter : ndarray of int, shape (N,)
    converged : ndarray of bool, shape (N,)
        Whether `marginal_error` and `relative_gap` met the tolerance.
    """

    f: np.ndarray
    g: np.ndarray
    cost: np.ndarray
    objective: np.ndarray
    dual_objective: np.ndarray
    gap: np.ndarray
    relative_gap: np.ndarray
    marginal_error: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray
    _data: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return int(self.cost.size)

    def __repr__(self) -> str:
        n, m = self.f.shape[1], self.g.shape[1]
        return (
            f"BatchTransport({len(self)} problems of {n} x {m}, {int(self.converged.sum())} converged, "
            f"largest relative_gap={self.relative_gap.max():.3g})"
        )

    @property
    def success(self) -> bool:
        """Whether every problem converged."""
        return bool(np.all(self.converged))

    def plan(self, k: int) -> Any:
        """Return the plan of problem k as a `TransportPlan`, with everything that has."""
        from optlab.transport.balanced.plan import TransportPlan
        from optlab.transport.balanced.problem import OptimalTransport
        from optlab.transport.plans.potentials import MirrorPlan

        k = as_integer(k, "k", minimum=0)
        if k >= len(self):
            raise ValueError(f"k must be below the number of problems, {len(self)}, got {k}")
        a, b, C, eps = (array[k % array.shape[0]] for array in self._data)
        problem = OptimalTransport(a, b, C, regularization=float(eps))
        row, column = self.f[k][problem.rows] / eps, self.g[k][problem.columns] / eps
        return TransportPlan(problem, MirrorPlan(row, column, 1.0 / float(eps)))

    def dense(self) -> np.ndarray:
        """Return the plans before rounding as an array of shape (N, n, m)."""
        _, _, C, eps = self._data
        logs = self.f[:, :, None] + self.g[:, None, :] - C
        return np.exp(logs / eps[:, None, None])


def batch_transport(
    a: Any,
    b: Any,
    cost: Any,
    regularization: Any,
    *,
    tol: float = 1e-9,
    max_iter: int = 10_000,
    x0: Any = None,
) -> BatchTransport:
    """Solve many small entropic transport problems ``min <C, X> + regularization sum X (log X - 1)`` at once.

    Parameters
    ----------
    a : array_like, shape (N, n) or (n,)
        Source weights of each problem, or of all.
    b : array_like, shape (N, m) or (m,)
        Target weights, each row of the same sum as that of `a` to 1e-6 relative, to which it is rescaled.
    cost : array_like, shape (N, n, m) or (n, m)
        float64 or float32, finite.
    regularization : float or array_like of shape (N,)
        Above 0, in units of the cost.
    tol : float, default 1e-9
        Marginal error (L1, relative to the mass) and relative gap at which a problem is done.
    max_iter : int, default 10_000
        Iterations for each problem: those at higher temperatures, and Newton steps, included.
    x0 : BatchTransport or (f, g), optional
        Potentials to start from, of shapes (N, n) and (N, m); cooling is then left out.

    Returns
    -------
    BatchTransport

    Raises
    ------
    ValueError, TypeError
        For arrays that do not fit together, weights that are negative or of different sums, naming the problem; for
        a product of mass and cost that overflows.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.transport import batch_transport
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.dirichlet(np.ones(5), 100), rng.dirichlet(np.ones(6), 100)
    >>> answer = batch_transport(a, b, rng.random((100, 5, 6)), regularization=0.05)
    >>> answer.success, bool(np.max(answer.relative_gap) < 1e-6), answer.plan(7).shape
    (True, True, (5, 6))
    """
    a, b, C, eps, count = _validated(a, b, cost, regularization)
    tol = as_number(tol, "tol", above=0.0)
    max_iter = as_integer(max_iter, "max_iter", minimum=1)
    n, m = C.shape[1:]
    low, high = (np.asarray(v, dtype=np.float64) for v in (C.min(axis=(1, 2)), C.max(axis=(1, 2))))
    # a constant that is large beside the differences would take their digits in the exponents
    offset = np.where(np.abs(low) > 16.0 * (high - low), low, 0.0)
    level = np.broadcast_to(offset, count)
    F, G, report = np.zeros((count, n)), np.zeros((count, m)), np.zeros((count, 3))
    if x0 is not None:
        if isinstance(x0, BatchTransport):
            x0 = (x0.f, x0.g)
        if not isinstance(x0, (tuple, list)) or len(x0) != 2:
            raise TypeError(f"x0 must be a BatchTransport or potentials (f, g), got {type(x0).__name__}")
        f, g = x0
        as_float_array(f, "x0[0]", shape=(count, n), finite=False)
        g = as_float_array(g, "x0[1]", shape=(count, m), finite=False)
        G[:] = np.where(np.isfinite(g), g - level[:, None], 0.0)
        report[:, 2] = 1.0

    from optlab.transport.kernels import batch_kernels

    mass = a.sum(axis=1)
    whole = a / mass[:, None], b / b.sum(axis=1)[:, None]  # the compiled loop wants mass 1
    mass = np.broadcast_to(mass, count)
    out = np.empty((count, 4))
    shift = np.log(mass)  # of mass X instead of X

    def task(chosen: np.ndarray, goal: float) -> Any:
        def call() -> None:
            # data shared by all problems has one entry, which the kernels take in turn
            part = [array[chosen] if array.shape[0] > 1 else array for array in (*whole, C, eps)]
            part[2] = part[2].astype(np.float64, copy=False)  # float32 costs are widened a part at a time
            if np.any(offset):
                part[2] = part[2] - (offset[chosen] if offset.size > 1 else offset)[:, None, None]
            f, g, told, found = F[chosen], G[chosen], report[chosen], out[chosen]
            batch_kernels.solve(*part, goal, max_iter, f, g, told)
            batch_kernels.certify(*part, f, g, found)
            told[:, 0] += spent[chosen]
            F[chosen], G[chosen], report[chosen], out[chosen] = f, g, told, found

        return call

    def judged() -> tuple[np.ndarray, ...]:
        """Return cost, objective, dual objective, gap, relative gap and marginal error of all problems."""
        value, objective, dual, error = out.T.copy()
        f, g = (np.abs(np.where(np.isfinite(v), v, 0.0)) * eps[:, None] for v in (F, G))
        terms = np.sum(whole[0] * f, axis=1) + np.sum(whole[1] * g, axis=1) + eps
        terms = mass * (terms + np.abs(level + eps * shift))
        gap = mass * np.maximum(objective - dual, 0.0)
        value = mass * (value + level)
        objective, dual = mass * (objective + (level + eps * shift)), mass * (dual + (level + eps * shift))
        sizes = np.abs(objective) + terms + gap
        relative = relative_gap(objective, dual, upper_terms=sizes, lower_terms=terms, unit=eps * mass)
        return value, objective, dual, gap, relative, error

    spent, goal, before = np.zeros(count), tol, None
    todo = np.arange(count)
    for _ in range(_ROUNDS):
        parts = max(1, min(4 * thread_count(), todo.size // _GRAIN))
        run_tasks([task(chosen, goal) for chosen in np.array_split(todo, parts)])
        value, objective, dual, gap, relative, error = judged()
        if before is not None:  # where exponents lost their digits a further round may only make it worse
            worse = todo[relative[todo] > before[-1][todo]]
            for array, old in zip((F, G, out), before):
                array[worse] = old[worse]
            value, objective, dual, gap, relative, error = judged()
        # the certificate's own half-step leaves the error on the rows
        balanced = error <= np.maximum(goal, 1e-15 * (n + m)) * (1.0 + 1e-6)
        # to make its marginals exact may cost a plan more than the tolerance, where costs are very uneven
        todo = np.flatnonzero(balanced & (relative > np.maximum(tol, 1e-14)) & (report[:, 0] < max_iter))
        if todo.size == 0 or goal < 1e-14:
            break
        goal *= 1e-3
        before = F.copy(), G.copy(), out.copy(), relative
        G[todo] *= np.broadcast_to(eps, count)[todo, None]
        spent[:], report[todo, 2] = report[:, 0], 1.0
    done = (error <= np.maximum(tol, 1e-15 * (n + m)) * (1.0 + 1e-6)) & (relative <= np.maximum(tol, 1e-14))
    F += shift[:, None]
    unit = np.broadcast_to(eps, count)[:, None]
    return BatchTransport(
        F * unit,
        G * unit + level[:, None],
        value,
        objective,
        dual,
        gap,
        relative,
        error,
        report[:, 0].astype(int),
        done,
        (a, b, C, eps),
    )


def _validated(
    a: Any, b: Any, cost: Any, regularization: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    C = as_float_array(cost, "cost", ndim=(2, 3))
    C = np.ascontiguousarray(C if C.ndim == 3 else C[None])
    a = as_float_array(a, "a", ndim=(1, 2), nonnegative=True)
    b = as_float_array(b, "b", ndim=(1, 2), nonnegative=True)
    a, b = (np.array(np.atleast_2d(w), dtype=np.float64, order="C") for w in (a, b))
    eps = np.atleast_1d(as_float_array(regularization, "regularization", ndim=(0, 1), positive=True)).astype(np.float64)
    sizes = {"a": a.shape[0], "b": b.shape[0], "cost": C.shape[0], "regularization": eps.size}
    count = max(sizes.values())
    for name, size in sizes.items():
        if size not in (1, count):
            raise ValueError(f"{name} must hold one problem or {count} of them, as the others do, got {size}")
    if C.shape[1:] != (a.shape[1], b.shape[1]):
        raise ValueError(f"cost must have problems of shape {(a.shape[1], b.shape[1])}, got {C.shape[1:]}")
    with np.errstate(over="ignore"):
        sum_a, sum_b = (np.broadcast_to(w.sum(axis=1), count) for w in (a, b))
    for name, sums in (("a", sum_a), ("b", sum_b)):
        bad = ~((sums > 0.0) & np.isfinite(sums))
        if np.any(bad):
            raise ValueError(
                f"{name} must have a positive finite sum, got {sums[bad][0]:g} in problem {first_index(bad)}"
            )
    size = max(abs(float(C.min())), abs(float(C.max())))
    check_size(size)
    if math.log10(float(sum_a.max())) + math.log10(max(size, float(eps.max()))) > 300.0:
        raise ValueError(
            f"a, b and cost must be in units in which their product is a usual number: the largest mass is "
            f"{sum_a.max():.3g}, the cost of size {size:.3g}; multiply the weights, or the cost, by a constant"
        )
    bad = np.abs(sum_a - sum_b) > SUM_TOLERANCE * np.maximum(sum_a, sum_b)
    if np.any(bad):
        raise ValueError(
            f"a and b must have the same sum, got {sum_a[bad][0]:.12g} and {sum_b[bad][0]:.12g} in problem "
            f"{first_index(bad)}; divide each by its sum"
        )
    if np.any(sum_a != sum_b):
        b = b * (sum_a / sum_b)[:, None] if b.shape[0] == count else np.tile(b, (count, 1)) * (sum_a / sum_b)[:, None]
    return a, np.ascontiguousarray(b), C, eps, count
