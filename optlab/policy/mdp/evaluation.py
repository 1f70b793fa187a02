"""Policy evaluation: the linear system ``(I - discount P_pi) V = c_pi`` and its transpose, by whichever solver suits.

* Up to `DENSE_LIMIT` states: dense LU.
* Fast-mixing chains: sweeps ``V <- c_pi + discount P_pi V``. They contract the *span* of the residual by the discount
  and by the chain's mixing, and the constant that is then missing is known in closed form, so nothing has to wait for
  ``discount^k``. While the span shrinks fast this keeps up with a Krylov method, without its vectors and inner products
  (random graphs, to 1e-12: 1.2 to 1.5 times as fast at 10^3 and 10^4 states, level at 10^5).
* Otherwise BiCGSTAB (van der Vorst, 1992) from where the sweeps stopped.
* Where that stalls as well (deterministic corridors with a discount near one): sparse LU.

An iterative answer is accepted on its true residual, ``|V - V^pi|_inf <= |r|_inf / (1 - discount)``. Incomplete-LU
preconditioners are not used: they break down on near-deterministic grids.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from optlab.policy.mdp.passes import Csr, Sweep, dense_system, solve_krylov, sweep_until, unsigned

DENSE_LIMIT = 99  # from 100 on, LAPACK starts threads, which cost more than the factorisation on a busy machine
_LU_LIMIT = 300_000  # states up to which a sparse factorisation is tried
_PATIENCE = 60  # sweeps that are still to be expected when BiCGSTAB takes over
_MAX_SWEEPS = 500
_MAX_KRYLOV = 3000
_EPS = 8 * np.finfo(np.float64).eps

__all__ = ["Evaluation", "Evaluations", "solve_evaluation", "solve_values"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Values of one policy; made by `optlab.policy.MDP.evaluate`.

    Attributes
    ----------
    values : ndarray, shape (S,)
        ``V^pi``, in cost form.
    action_values : ndarray, shape (S, A)
        ``Q^pi = c + discount P V^pi``, computed on first access. A pair that is not available carries a finite value
        above every attainable one, so that no minimum over actions picks it.
    iterations : int
        Products with ``P_pi`` that the solver made; 0 for a direct one.
    residual : float
        A bound on ``c_pi + discount P_pi V - V`` of the values held: what the solver left, and rounding.
    """

    values: np.ndarray
    iterations: int
    mdp: Any
    residual: float

    @cached_property
    def action_values(self) -> np.ndarray:
        """``Q^pi``, shape (S, A)."""
        table: np.ndarray = self.mdp.action_values(self.values)
        table.setflags(write=False)
        return table

    @cached_property
    def advantage_gap(self) -> float:
        r"""``max_s (V(s) - min_a Q(s, a)) / (1 - discount)``, an upper bound on ``|V^pi - V*|_inf``.

        It holds for the policy's true values: with ``e = max(T^pi V - V)`` and ``h = max(V - T V)`` of the values held,
        ``V^pi <= V + e / (1 - discount)`` and ``V* >= V - h / (1 - discount)``, so ``e`` and what rounding may have
        done to both residuals are added to ``h``.
        """
        low = self.mdp.rows.greedy_backup(self.values)[2]
        slack = self.residual - low + self.mdp.rows.rounding(self.values)
        return max(slack, 0.0) / (1.0 - self.mdp.discount)


class Evaluations:
    """Evaluations of a few policy objects, remembered while the objects live, with the accuracy of each."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Any, float, Evaluation]] = {}

    def of(self, policy: Any) -> tuple[float, Evaluation] | None:
        """Return ``(accuracy, evaluation)`` of `policy` if it is known."""
        entry = self._entries.get(id(policy))
        return entry[1:] if entry is not None and entry[0]() is policy else None

    def keep(self, policy: Any, accuracy: float, evaluation: Evaluation) -> None:
        """Remember an evaluation; nothing if the object cannot be referred to weakly."""
        try:
            reference = weakref.ref(policy)
        except TypeError:
            return
        alive = {key: entry for key, entry in self._entries.items() if entry[0]() is not None}
        while len(alive) >= 4:
            alive.pop(next(iter(alive)))
        alive[id(policy)] = (reference, accuracy, evaluation)
        self._entries = alive


def solve_values(
    csr: Csr,
    weights: np.ndarray,
    right: np.ndarray,
    discount: float,
    *,
    guess: np.ndarray | None = None,
    tol: float = 1e-12,
    begun: Sweep | None = None,
    direct: bool = True,
) -> tuple[np.ndarray, int]:
    """Solve ``V = right + discount P_pi V``.

    Parameters
    ----------
    csr : tuple of ndarray
        ``indptr, indices, data`` of the rows ``s * A + a`` (see `optlab.policy.mdp.passes`).
    weights : ndarray, shape (S, A)
        Probabilities of the actions.
    right : ndarray, shape (S,)
    discount : float
    guess : ndarray, shape (S,), optional
    tol : float
        Bound on the error in the sup norm, relative to ``|V|_inf``; not below rounding.
    begun : Sweep, optional
        The first sweep, where it is known already; `guess` is then not read.
    direct : bool, default True
        Whether up to `DENSE_LIMIT` states the answer is the exact one of a factorisation, whatever `tol`. Otherwise the
        sweeps have their try there as well, which at a loose `tol` takes a tenth of the time.

    Returns
    -------
    values : ndarray, shape (S,)
    products : int
        Products with ``P_pi``; 0 if the solver was direct.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the iterative solvers stall on a problem too large for a factorisation.
    """
    n = right.size
    if n <= DENSE_LIMIT and direct:
        return np.linalg.solve(dense_system(csr, weights, discount), right), 0
    x, low, high = begun or Sweep(np.zeros(n) if guess is None else guess, -np.inf, np.inf)
    made, goal = 0, _goal(x, tol, discount)
    if goal == 0.0:  # zeros know nothing of the scale
        x = np.full(n, float(right.mean()) / (1.0 - discount))
        goal, low, high = _goal(x, tol, discount), -np.inf, np.inf
    if not high - low <= goal:
        x, made, low, high = sweep_until(csr, weights, right, x, discount, _MAX_SWEEPS, goal, _PATIENCE)
    x = x + 0.5 * (low + high) * discount / (1.0 - discount)
    error = discount / (1.0 - discount) * 0.5 * (high - low)
    if error <= _goal(x, tol, discount) / (1.0 - discount):
        return x, made
    if n <= DENSE_LIMIT:
        return np.linalg.solve(dense_system(csr, weights, discount), right), made
    return _polish(csr, weights, right, x, discount, tol, made, error)


def solve_evaluation(
    matrix: sp.csr_matrix,
    right: np.ndarray,
    discount: float,
    *,
    guess: np.ndarray | None = None,
    tol: float = 1e-12,
    transpose: bool = False,
) -> tuple[np.ndarray, int]:
    """Solve ``x = right + discount M x`` for a given stochastic matrix, or ``x = right + discount M' x``.

    Parameters
    ----------
    matrix : csr_matrix, shape (S, S)
        Rows sum to one.
    right : ndarray, shape (S,)
    discount : float
    guess : ndarray, shape (S,), optional
    tol : float, default 1e-12
        Bound on the error relative to ``|x|_inf``: in the sup norm; for the transposed system, on its residual.
    transpose : bool, default False

    Returns
    -------
    x : ndarray, shape (S,)
    products : int
        Products with the matrix; 0 if the solver was direct.
    """
    n = right.size
    if n <= DENSE_LIMIT:
        dense = matrix.toarray()
        return np.linalg.solve(np.eye(n) - discount * (dense.T if transpose else dense), right), 0
    ones = np.ones((n, 1))
    if not transpose:
        return solve_values(unsigned(matrix), ones, right, discount, guess=guess, tol=tol)
    x = right / (1.0 - discount) if guess is None else guess
    return _polish(unsigned(matrix.T.tocsr()), ones, right, x, discount, tol, 0, np.inf)


def _polish(
    csr: Csr,
    weights: np.ndarray,
    right: np.ndarray,
    x: np.ndarray,
    discount: float,
    tol: float,
    made: int,
    error: float,
) -> tuple[np.ndarray, int]:
    # `error` bounds |x - V| so far; Krylov rounds until the true residual is small enough, then factorisation
    for _ in range(3):
        goal = _goal(x, tol, discount)
        if error <= goal / (1.0 - discount):
            return x, made
        x, count, residual = solve_krylov(csr, weights, right, x, discount, goal, _MAX_KRYLOV)
        made += 2 * count
        error = residual / (1.0 - discount)
        if residual > goal:
            break
    if error <= _goal(x, tol, discount) / (1.0 - discount):
        return x, made
    if right.size > _LU_LIMIT:
        raise np.linalg.LinAlgError(
            f"policy evaluation stalled at a residual of {residual:.2g} after {made} products with P_pi "
            f"({right.size} states, discount {discount:g}); ask for a tol above {error:.1g} or a smaller discount"
        )
    system = sp.identity(right.size, format="csc") - discount * _matrix(csr, weights).tocsc()
    return splu(system).solve(right), made


def _goal(x: np.ndarray, tol: float, discount: float) -> float:
    scale = max(abs(float(x.min())), abs(float(x.max())))
    return max(tol * (1.0 - discount), _EPS) * scale


def _matrix(csr: Csr, weights: np.ndarray) -> sp.csr_matrix:
    """Return ``P_pi`` as a matrix: row s is the actions' rows side by side, so the column indices are shared."""
    indptr, indices, data = csr
    signed = np.int32 if indices.dtype == np.uint32 else np.int64
    if weights.shape[1] > 1:
        data = np.repeat(weights.ravel(), np.diff(indptr.view(signed))) * data
    matrix = sp.csr_matrix((weights.shape[0], weights.shape[0]))
    matrix.data, matrix.indices = data, indices.view(signed)
    matrix.indptr = np.ascontiguousarray(indptr.view(signed)[:: weights.shape[1]])
    return matrix
