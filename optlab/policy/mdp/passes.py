"""One call per pass over an MDP's transitions, dealt out to threads where the problem is large.

`Rows` holds what every pass needs: the CSR arrays of the pairs, costs with ``+inf`` where an action does not exist, and
the ranges a pass is cut into. How it is cut depends on the problem's size alone, so that results do not depend on the
number of threads. See `optlab.policy.mdp.kernels` for what each pass computes.
"""

from __future__ import annotations

import functools
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from optlab.core.threads import run_tasks
from optlab.policy.mdp import kernels

_GRAIN = 1 << 17  # stored entries per range: below two of them a pass runs in the calling thread
_MAX_PARTS = 16
_UNIT = 0.5 * float(np.finfo(np.float64).eps)
ROUNDING = 16 * float(np.finfo(np.float64).eps)  # a residual's span below it, relative to the values, is none

Csr = tuple[np.ndarray, np.ndarray, np.ndarray]

__all__ = [
    "Csr",
    "Improvement",
    "MirrorStep",
    "Rows",
    "Sweep",
    "dense_system",
    "solve_krylov",
    "sweep_until",
    "unsigned",
]


class Improvement(NamedTuple):
    """A policy made greedy, and what the residuals of the values say.

    Attributes
    ----------
    policy : ndarray of int, shape (S,)
    changes : int
    low, high : float
        Least and largest ``min_a Q - V``.
    excess : float
        Largest ``Q(s, pi(s)) - V`` for the policy before.
    """

    policy: np.ndarray
    changes: int
    low: float
    high: float
    excess: float


class Sweep(NamedTuple):
    """Values after a sweep, and the least and the largest change that it made."""

    values: np.ndarray
    low: float
    high: float


class MirrorStep(NamedTuple):
    """A new policy, and the beginning of its evaluation.

    Attributes
    ----------
    log_table, weights : ndarray, shape (S, A)
        Log-probabilities and probabilities.
    right : ndarray, shape (S,)
        Its cost ``c_pi``.
    gap : float
        The largest ``V - min_a Q`` of the values that the step was made with.
    sweep : Sweep
        ``c_pi + discount P_pi V`` from those values, which costs nothing since their action values are at hand.
    """

    log_table: np.ndarray
    weights: np.ndarray
    right: np.ndarray
    gap: float
    sweep: Sweep


class Rows:
    """The arrays of the passes for one MDP.

    Parameters
    ----------
    transitions : csr_matrix, shape (S * A, S)
    cost : ndarray, shape (S, A)
        ``+inf`` at pairs that are not available.
    discount : float
    """

    def __init__(self, transitions: sp.csr_matrix, cost: np.ndarray, discount: float) -> None:
        self.csr = unsigned(transitions)
        self.cost = _plain(cost)
        self.discount = discount
        self.n_states = cost.shape[0]
        self.ranges = _ranges(self.n_states, transitions.nnz)

    def _run(self, kernel: Any, *arguments: Any) -> list[Any]:
        return _run(self.ranges, kernel, *arguments)

    def greedy_backup(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        """Return ``(min_a Q, first minimiser, min and max of min_a Q - values)``, ``Q = c + discount P values``."""
        out, policy = np.empty(self.n_states), np.empty(self.n_states, dtype=np.int64)
        parts = self._run(kernels.greedy_backup, *self.csr, self.cost, values, self.discount, out, policy)
        return out, policy, min(p[0] for p in parts), max(p[1] for p in parts)

    def improve(self, values: np.ndarray, policy: np.ndarray, slack: float) -> Improvement:
        """Return the policy made greedy, but for ties within `slack`."""
        better = policy.copy()
        parts = self._run(kernels.improve, *self.csr, self.cost, values, self.discount, slack, better)
        changes, low, high, excess = zip(*parts)
        return Improvement(better, sum(changes), min(low), max(high), max(excess))

    def modified_step(
        self, values: np.ndarray, sweeps: int, contraction: float
    ) -> tuple[np.ndarray, np.ndarray, float, int, float]:
        """Return ``(values, policy, bound on the values' error, sweeps made, span of the backup's residual)``.

        A step of `ModifiedPolicyIteration` in one call: on small problems passes take less time than calling them.
        """
        n = self.n_states
        out, policy = np.empty(n), np.empty(n, dtype=np.int64)
        error, made, span = kernels.modified_step(
            *self.csr, self.cost, _plain(values), self.discount, sweeps, contraction, ROUNDING, out, policy
        )
        return out, policy, error, made, span

    def rounding(self, *values: np.ndarray, mixed: bool = False) -> float:
        """Return how far rounding may take a computed ``min_a (c + discount P V)``, less V, from the true one.

        Per entry ``m + 2`` roundings for a longest row of m entries, each of at most u = 2^-53 relative to ``max |c| +
        max |V|``; the rows' sums, which miss one by rounding themselves; and four more for what a bound made of the
        residual is multiplied with. So a bound that adds this to a residual holds for the stored numbers. The backup
        of a `mixed` policy has sums over actions besides, and probabilities whose sums miss one by rounding.
        """
        largest = max(max(abs(float(v.min())), abs(float(v.max()))) for v in values)
        relative = self._relative_rounding + (2 * self.cost.shape[1] + 8) * _UNIT * mixed
        return relative * (self._largest_cost + largest)

    @cached_property
    def _largest_cost(self) -> float:
        return float(np.abs(self.cost, where=np.isfinite(self.cost), out=np.zeros_like(self.cost)).max())

    @cached_property
    def _relative_rounding(self) -> float:
        sums, ones = np.empty(self.cost.shape), np.ones(self.n_states)
        self._run(kernels.action_values, *self.csr, np.zeros_like(self.cost), ones, 1.0, sums)
        longest = int(np.diff(self.csr[0].astype(np.int64)).max())
        off = float(np.abs(sums[np.isfinite(self.cost)] - 1.0).max())
        return off + (2 * longest + 5) * _UNIT

    def action_values(self, values: np.ndarray) -> np.ndarray:
        """Return Q, shape (S, A), with ``+inf`` at pairs that are not available."""
        out = np.empty(self.cost.shape)
        self._run(kernels.action_values, *self.csr, self.cost, values, self.discount, out)
        return out

    def policy_sweep(self, weights: np.ndarray, right: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return ``right + discount P_pi values``."""
        out = np.empty(self.n_states)
        self._run(kernels.policy_sweep, *self.csr, weights, right, values, self.discount, out)
        return out

    def mixed_cost(self, weights: np.ndarray) -> np.ndarray:
        """Return ``c_pi``, shape (S,)."""
        out = np.empty(self.n_states)
        self._run(kernels.mixed_cost, self.cost, weights, out)
        return out

    def kl_step(
        self, values: np.ndarray, log_policy: np.ndarray, step_size: float | np.ndarray, floor: float = -650.0
    ) -> MirrorStep:
        """Return ``argmin_p step_size <Q_s, p> + KL(p, pi_s)`` for all states, ``Q = c + discount P values``.

        No action-value table is stored. `step_size` is a number or one per state.
        """
        return self._mirror_step(values, log_policy, step_size, True, float(floor))

    def euclidean_step(self, values: np.ndarray, policy: np.ndarray, step_size: float | np.ndarray) -> MirrorStep:
        """Return the simplex projections of ``pi_s - step_size Q_s``; like `kl_step`."""
        return self._mirror_step(values, policy, step_size, False)

    def _mirror_step(
        self, values: np.ndarray, policy: np.ndarray, step_size: float | np.ndarray, entropic: bool, floor: float = 0.0
    ) -> MirrorStep:
        n, eta = self.n_states, _steps(step_size, self.n_states)
        log_table, weights, right, backed = np.empty(self.cost.shape), np.empty(self.cost.shape), *np.empty((2, n))
        out = log_table, weights, right, backed
        arguments = self.cost, values, self.discount, policy, eta, entropic, floor, *out
        parts = self._run(kernels.mirror_step, *self.csr, *arguments)
        gap, low, high = max(p[0] for p in parts), min(p[1] for p in parts), max(p[2] for p in parts)
        return MirrorStep(log_table, weights, right, gap, Sweep(backed, low, high))

    def solve(
        self, weights: np.ndarray, right: np.ndarray, guess: np.ndarray, goal: float, max_iter: int
    ) -> tuple[np.ndarray, int, float]:
        """Solve ``(I - discount P_weights) x = right``; see `solve_krylov`."""
        return solve_krylov(self.csr, weights, right, guess, self.discount, goal, max_iter)

    def chosen(self, policy: np.ndarray) -> tuple[Csr, np.ndarray]:
        """Return the CSR arrays of a deterministic policy's rows, and its costs."""
        pointers, columns, data, right = kernels.select_rows(*self.csr, self.cost, _plain(policy))
        return (pointers, columns, data), right


def unsigned(matrix: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the arrays of a CSR matrix with its indices seen as unsigned, as the kernels want them."""
    kind = np.uint32 if matrix.indices.dtype == np.int32 else np.uint64
    pointers = matrix.indptr.astype(matrix.indices.dtype, copy=False).view(kind)
    return _plain(pointers), _plain(matrix.indices.view(kind)), _plain(matrix.data)


def sweep_until(
    csr: Csr,
    weights: np.ndarray,
    right: np.ndarray,
    values: np.ndarray,
    discount: float,
    sweeps: int,
    span: float,
    patience: float = np.inf,
) -> tuple[np.ndarray, int, float, float]:
    """Return ``right + discount P_weights V`` repeated from `values`, the count, and the last residual's extremes.

    Ends after `sweeps` sweeps, once the residual's span is at most `span`, or when more than `patience` further sweeps
    are to be expected. The constant that is missing by then, between ``least / (1 - discount) * discount`` and the same
    with the largest residual, is left to the caller.
    """
    n = right.size
    ranges = _ranges(n, csr[2].size)
    if len(ranges) == 1:
        here = values.copy()
        made, low, high = kernels.sweep_until(
            *csr, _plain(weights), _plain(right), here, np.empty(n), discount, sweeps, span, float(patience)
        )
        return here, int(made), float(low), float(high)
    here, there, spare = values, np.empty(n), np.empty(n)
    made, low, high, mark = 0, -np.inf, np.inf, 0.0
    while made < sweeps:
        parts = _run(ranges, kernels.policy_sweep, *csr, weights, right, here, discount, there)
        low, high = min(q[0] for q in parts), max(q[1] for q in parts)
        made += 1
        here, there = there, spare if made == 1 else here  # never into the caller's array
        if high - low <= span:
            break
        if made % 4 == 1:
            if made > 1 and kernels.hopeless(high - low, mark, span, float(patience)):
                break
            mark = high - low
    return here, made, low, high


def dense_system(csr: Csr, weights: np.ndarray, discount: float) -> np.ndarray:
    """Return ``I - discount P_weights`` as a dense array."""
    system: np.ndarray = kernels.dense_system(*csr, _plain(weights), discount)
    return system


def solve_krylov(
    csr: Csr,
    weights: np.ndarray,
    right: np.ndarray,
    guess: np.ndarray,
    discount: float,
    goal: float,
    max_iter: int,
) -> tuple[np.ndarray, int, float]:
    """Solve ``(I - discount P_weights) x = right`` by BiCGSTAB from `guess`.

    Parameters
    ----------
    csr : tuple of ndarray
        ``indptr, indices, data`` of rows ``s * A + a``, A being the columns of `weights`.
    weights : ndarray, shape (S, A)
    right, guess : ndarray, shape (S,)
    discount, goal : float
        `goal` is for the sup norm of the true residual.
    max_iter : int

    Returns
    -------
    x : ndarray
    iterations : int
    residual : float
        Sup norm of the true residual; above `goal` if the method stalled.
    """
    x = guess.copy()
    ranges = _ranges(right.size, csr[2].size)
    if len(ranges) == 1:
        count, top = kernels.bicgstab(*csr, _plain(weights), _plain(right), x, discount, goal, max_iter)
        return x, int(count), float(top)
    return (x, *_bicgstab(ranges, csr, weights, right, x, discount, goal, max_iter))


def _bicgstab(
    ranges: list[tuple[int, int]],
    csr: Csr,
    weights: np.ndarray,
    right: np.ndarray,
    x: np.ndarray,
    discount: float,
    goal: float,
    max_iter: int,
) -> tuple[int, float]:
    # the same algorithm as kernels.bicgstab, pass by pass over threads
    n = right.size
    r, v, p, t = (np.empty(n) for _ in range(4))
    count, fruitless, before = 0, 0, np.inf

    def product(vector: np.ndarray, out: np.ndarray, left: np.ndarray) -> tuple[float, float]:
        parts = _run(ranges, kernels.apply_system, *csr, weights, discount, vector, out, left)
        return sum(q[0] for q in parts), sum(q[1] for q in parts)

    def advance(alpha: float, omega: float) -> tuple[float, float]:
        parts = _run(ranges, kernels.full_step, x, p, r, t, shadow, alpha, omega)
        return sum(q[0] for q in parts), max(q[1] for q in parts)

    while True:
        product(x, r, x)
        np.subtract(right, r, out=r)
        top = float(np.abs(r).max())
        fruitless = fruitless + 1 if not top < 0.5 * before else 0
        if top <= goal or count >= max_iter or fruitless >= 3 or not np.isfinite(top):
            return count, top
        before = top
        shadow, p[:] = r.copy(), r
        rho = first = float(np.sum(r * r))
        while count < max_iter:
            inner, square = product(p, v, shadow)
            if not abs(inner) > 1e-14 * np.sqrt(first * square):
                break
            alpha = rho / inner
            top = max(_run(ranges, kernels.half_step, r, v, alpha))
            count += 1
            if top <= goal:
                advance(alpha, 0.0)
                break
            inner, square = product(r, t, r)
            if not square > 0.0:
                advance(alpha, 0.0)
                break
            omega, previous = inner / square, rho
            rho, top = advance(alpha, omega)
            if top <= goal or not abs(rho) > 1e-16 * abs(previous) or omega == 0.0 or not np.isfinite(top):
                break
            _run(ranges, kernels.new_direction, p, r, v, rho / previous * alpha / omega, omega)


def _steps(step_size: float | np.ndarray, n: int) -> np.ndarray:
    eta = np.ascontiguousarray(np.atleast_1d(np.asarray(step_size, dtype=np.float64)))
    if eta.shape not in ((1,), (n,)):
        raise ValueError(f"step_size must be a number or an array of shape ({n},), got shape {eta.shape}")
    return eta


def _ranges(n: int, entries: int) -> list[tuple[int, int]]:
    parts = max(1, min(_MAX_PARTS, entries // _GRAIN, n))
    return [(k * n // parts, (k + 1) * n // parts) for k in range(parts)]


class _Memory:
    """The memory of an array, for NumPy to make an array of."""

    def __init__(self, array: np.ndarray) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = array.__array_interface__ | {"data": (address, False)}
        self.array = array  # keeps it alive


def _plain(argument: Any) -> Any:
    # For Numba a read-only array is of another type, and each mixture of types is compiled anew (seconds). Kernels
    # write to their output only, so the flag may go.
    if isinstance(argument, np.ndarray) and not argument.flags.writeable:
        return np.asarray(_Memory(argument))
    return argument


def _run(ranges: list[tuple[int, int]], kernel: Any, *arguments: Any) -> list[Any]:
    arguments = tuple(map(_plain, arguments))
    if len(ranges) == 1:
        return [kernel(*arguments, *ranges[0])]
    results: list[Any] = [None] * len(ranges)

    def task(part: int) -> None:
        results[part] = kernel(*arguments, *ranges[part])

    run_tasks([functools.partial(task, part) for part in range(len(ranges))])
    return results
