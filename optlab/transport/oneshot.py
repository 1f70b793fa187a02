"""Optimal transport in one call: two histograms and a cost in, a certified plan out."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.core import Result, Status, solve
from optlab.core.validation import as_number, one_of
from optlab.splitting import (
    AlternatingExponentialMultipliers,
    AndersonDouglasRachford,
    BregmanADMM,
    BregmanDouglasRachford,
    HalpernDouglasRachford,
)
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.costs.base import Cost
from optlab.transport.costs.point_cloud import PointCloudCost
from optlab.transport.entropic.anderson import AndersonSinkhorn
from optlab.transport.entropic.ipot import IPOT
from optlab.transport.entropic.newton import SinkhornNewton
from optlab.transport.entropic.proximal_newton import ProximalNewton
from optlab.transport.entropic.sinkhorn import AnnealedSinkhorn, Sinkhorn
from optlab.transport.exact.rounds import ExactTransport
from optlab.transport.solvers import LinearProgram, NetworkSimplex, PeerSinkhorn
from optlab.transport.whole_matrix import EuclideanDouglasRachford, WangBanerjeeADMM

METHODS: dict[str, Callable[[], Any]] = {
    "bdrs": BregmanDouglasRachford,
    "halpern": HalpernDouglasRachford,
    "anderson-bdrs": AndersonDouglasRachford,
    "admm": BregmanADMM,
    "ademm": AlternatingExponentialMultipliers,
    "sinkhorn": Sinkhorn,
    "overrelaxed-sinkhorn": lambda: Sinkhorn(overrelaxation="adaptive"),
    "annealed-sinkhorn": AnnealedSinkhorn,
    "anderson": AndersonSinkhorn,
    "newton": SinkhornNewton,
    "proximal-newton": ProximalNewton,
    "ipot": IPOT,
    "drot": EuclideanDouglasRachford,
    "badmm": WangBanerjeeADMM,
    "exact": ExactTransport,
    "emd": NetworkSimplex,
    "highs": LinearProgram,
    "pot-sinkhorn": PeerSinkhorn,
}

# Entries of the cost up to which the dense network simplex is the faster exact solver on two cores (`optlab bench`):
# of a point cloud, whose matrix it needs made; of a given matrix.
CLOUD_ENTRIES = 1_000_000
DENSE_ENTRIES = 4_000_000
# of a matrix of few different values: there it needs few pivots, as long as its copies of the matrix fit
TIED_ENTRIES = 100_000_000


def transport(
    a: Any,
    b: Any,
    cost: Any,
    method: Any = "auto",
    *,
    regularization: float = 0.0,
    tol: float | str | None = "auto",
    max_iter: int | None = None,
    **options: Any,
) -> Result:
    """Solve an optimal transport problem.

    Parameters
    ----------
    a : array_like, shape (n,), or None
        Source weights; None: equal ones.
    b : array_like, shape (m,), or None
        Target weights, of the same sum to 1e-6 relative (they are rescaled to it exactly); None: equal ones.
    cost : array_like or SciPy sparse array of shape (n, m), `DenseCost`, `SparseCost` or `PointCloudCost`
        An entry +inf forbids its pair, as does the absence from a sparse array.
    method : str or Method
        ``"auto"``, one of ``"bdrs"``, ``"halpern"``, ``"anderson-bdrs"``, ``"admm"``, ``"ademm"``, ``"sinkhorn"``,
        ``"overrelaxed-sinkhorn"``, ``"annealed-sinkhorn"``, ``"anderson"``, ``"newton"`` (regularised problems),
        ``"proximal-newton"`` (unregularised ones), ``"ipot"``, ``"drot"``, ``"badmm"``, ``"exact"``, ``"emd"``,
        ``"highs"``, ``"pot-sinkhorn"``, or a method object. "auto" takes Bregman Douglas-Rachford for a
        regularised problem, otherwise an exact method: the dense network simplex ("emd") for small problems and for
        larger matrices of few different values, `ExactTransport` ("exact") for all others; "exact" too, from there, if
        what "emd" found is not certified to `tol`. The result's message says which and why.
    regularization : float
        Weight of the entropy ``sum X (log X - 1)``.
    tol : float, dict, None or "auto"
        Certified relative gap to stop at; None runs to `max_iter`. "auto": 1e-9 for "exact" and "proximal-newton",
        otherwise 1e-3. It is relative to the optimal value itself, as far as it is proven (see
        `optlab.transport.plans.relative_gap`): if costs differ little around a large constant, take the constant off;
        if the optimum may be zero, ``{"gap": 1e-9}`` asks for an absolute gap.
    max_iter : int, optional
        Iterations of the method: for "exact" rounds of linear program and pricing (default 100), for "emd", "highs" and
        "pot-sinkhorn" the one call of the solver (1), whose own limits are arguments of the method object, such as
        ``NetworkSimplex(max_pivots=...)``; otherwise 10_000.
    **options
        Further arguments of `optlab.solve`: ``x0`` (dual potentials ``(f, g)``, a plan or an earlier result to start
        from; HiGHS has no use for it), ``time_limit``, ``callbacks``, ``seed``,
        ``checkpoint``, ``record``, ... Ctrl-C raises `KeyboardInterrupt`, as in any function that answers with a
        number; ``on_interrupt="return"`` makes it return the plan so far.

    Returns
    -------
    Result
        ``result.solution`` is a `TransportPlan` (``dense()``, ``sparse()``, ``potentials``, ``barycentric_map()``),
        ``result.metrics`` has its cost and certificate. ``result.success`` says whether the gap met `tol`; if not,
        ``result.status`` and ``result.message`` say why, and the plan still has exact marginals.

    Raises
    ------
    InfeasibleError
        If forbidden pairs cut mass off: its ``rows`` hold more mass than its ``columns``, the only ones allowed to
        them, can take.
    ValueError, TypeError
        As in `OptimalTransport`; for an unknown method or argument, with the nearest name.

    Examples
    --------
    >>> import numpy as np
    >>> from optlab.transport import PointCloudCost, transport
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((40, 2)), rng.standard_normal((50, 2)) + 3.0
    >>> a, b = np.full(40, 1 / 40), np.full(50, 1 / 50)
    >>> result = transport(a, b, PointCloudCost(x, y))
    >>> result.success, result.solution.barycentric_map().shape
    (True, (40, 2))
    >>> approximate = transport(a, b, PointCloudCost(x, y), method="bdrs", tol=1e-2)
    >>> exact = result.metrics["cost"]
    >>> exact <= approximate.metrics["cost"] + 1e-12 < 1.01 * exact
    True
    """
    _check_options(options)
    if isinstance(method, (int, float)):
        raise TypeError(f"method must be a name or a method object, got {method!r}; write regularization={method!r}")
    problem = OptimalTransport(a, b, cost, regularization=regularization)
    gap: Any = None
    if isinstance(tol, str):
        one_of(tol, "tol", ("auto",))
    elif isinstance(tol, dict):
        gap = tol
    elif tol is not None:
        gap = as_number(tol, "tol", above=0.0)
    reason = ""
    if isinstance(method, str):
        name = one_of(_ALIASES.get(method.lower().replace("_", "-"), method), "method", ("auto", *METHODS))
        if name == "auto":
            name, reason = _choose(problem)
            if name == "emd" and options.get("time_limit") is not None:
                name, reason = "exact", "Method: exact, chosen because a time limit cannot stop the network simplex."
        method = METHODS[name]()
    if isinstance(tol, str):
        gap = 1e-9 if isinstance(method, (ExactTransport, ProximalNewton)) else 1e-3
    if max_iter is None:
        at_once = isinstance(method, (NetworkSimplex, LinearProgram, PeerSinkhorn))
        max_iter = 1 if at_once else 100 if isinstance(method, ExactTransport) else 10_000
    result = solve(problem, method, tol=gap, max_iter=max_iter, **{"on_interrupt": "raise"} | options)
    if reason and isinstance(method, NetworkSimplex) and result.status is Status.STALLED:
        result, reason = _certified(problem, result, gap, options), f"{reason} {_NOT_CERTIFIED}"
    if reason:
        result = dataclasses.replace(result, message=f"{result.message} {reason}")
    return result


_NOT_CERTIFIED = "Its answer was not certified to the tolerance, so that the exact method went on from it."


def _certified(problem: OptimalTransport, found: Result, tol: Any, options: dict[str, Any]) -> Result:
    """Return the better of an answer and what the exact method makes of it."""
    kept = {name: value for name, value in options.items() if name not in ("x0", "checkpoint", "resume")}
    kept = {"on_interrupt": "raise"} | kept
    again = solve(problem, ExactTransport(), x0=found.solution, tol=tol, max_iter=100, **kept)
    better = again.success or again.metrics["relative_gap"] < found.metrics["relative_gap"]
    return again if better else found


# what methods are called elsewhere, besides a difference in capitals or underscores
_ALIASES: dict[str, str] = {
    **{name: name for name in ("auto", *METHODS)},
    "network-simplex": "emd", "simplex": "emd", "emd2": "emd",
    "linear-program": "highs", "linprog": "highs", "lp": "highs",
    "sinkhorn-log": "sinkhorn", "sinkhorn2": "sinkhorn", "sinkhorn-knopp": "sinkhorn",
    "sinkhorn-stabilized": "sinkhorn",
    "sinkhorn-epsilon-scaling": "annealed-sinkhorn", "douglas-rachford": "bdrs", "sinkhorn-newton": "newton",
}  # fmt: skip

# what arguments are called in POT, and how that is said here
_ELSEWHERE = {
    "reg": "regularization",
    "epsilon": "regularization",
    "eps": "regularization",
    "M": "cost",
    "C": "cost",
    "numItermax": "max_iter",
    "num_iter_max": "max_iter",
    "max_iterations": "max_iter",
    "stopThr": "tol",
    "stop_thr": "tol",
    "warmstart": "x0",
    "potentials_init": "x0",
    "verbose": "progress",
}
_INSTEAD = {
    "reg_m": "UnbalancedOptimalTransport(a, b, cost, penalty=...) and optlab.solve(problem, BregmanDouglasRachford()); "
    "GeneralizedSinkhorn() with a regularization",
    "mass": "PartialOptimalTransport(a, b, cost, mass=...) and optlab.solve(problem, BregmanDouglasRachford())",
    "log": "result.metrics, result.history and result.solution.potentials, which are always there",
    "center_dual": "result.solution.potentials",
    "check_marginals": "weights whose sums agree to 1e-6, or UnbalancedOptimalTransport",
    "numThreads": "numba.set_num_threads",
}
_INSTEAD |= dict.fromkeys(("unbalanced", "reg_type", "penalty", "divergence", "tau"), _INSTEAD["reg_m"])
_INSTEAD |= {"m": _INSTEAD["mass"], "nb_dummies": _INSTEAD["mass"]}


def _check_options(options: dict[str, Any]) -> None:
    """Raise `TypeError` for an argument that `optlab.solve` does not have, with what is meant or the nearest name."""
    own = ("a", "b", "cost", "method", "regularization", "tol", "max_iter")
    known = [name for name in inspect.signature(solve).parameters if name not in ("problem", "method")]
    for name in options:
        if name not in known:
            near = [_ELSEWHERE[name]] if name in _ELSEWHERE else difflib.get_close_matches(name, [*own, *known], n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            if name in _INSTEAD:
                hint = f"; instead: {_INSTEAD[name]}"
            raise TypeError(f"transport() got an unexpected keyword argument {name!r}{hint}")


def _choose(problem: OptimalTransport) -> tuple[str, str]:
    """Return the name of the method for "auto", and the reason as a sentence."""
    cost = problem.active_cost
    n, m = cost.shape
    if problem.regularization > 0.0:
        return "bdrs", (
            "Method: Bregman Douglas-Rachford, chosen because the problem is regularised "
            "(there it is an accelerated Sinkhorn iteration)."
        )
    cloud = isinstance(cost, PointCloudCost)
    if n * m <= (CLOUD_ENTRIES if cloud else DENSE_ENTRIES):
        return "emd", (
            f"Method: the network simplex (POT's emd), chosen because it is the faster exact solver for {n} x {m} "
            f"{'points' if cloud else 'entries'}."
        )
    if not cloud and n * m <= TIED_ENTRIES and _has_few_values(cost):
        return "emd", (
            f"Method: the network simplex (POT's emd), chosen because the {n} x {m} cost has few different values, "
            "and with so many ties it is the faster exact solver."
        )
    reason = "and needs no matrix in memory" if cloud else "and needs no copies of it"
    return "exact", (
        f"Method: exact (scaling, a sparse linear program, pricing of all pairs), chosen because for {n} x {m} "
        f"{'points' if cloud else 'entries'} it is faster than the network simplex on all pairs {reason}."
    )


def _has_few_values(cost: Cost) -> bool:
    """Whether most entries of a sample have an equal."""
    if cost.has_forbidden:
        return False
    n = cost.shape[0]
    sample = cost.submatrix(np.unique(np.linspace(0, n - 1, 16).astype(int))).dense()
    return np.unique(sample).size < 0.5 * sample.size
