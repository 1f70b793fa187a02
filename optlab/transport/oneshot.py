"""Optimal transport in one call: two histograms and a cost in, a certified plan out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from optlab.core import Result, solve
from optlab.core.validation import as_number, one_of
from optlab.splitting import AlternatingExponentialMultipliers, BregmanADMM, BregmanDouglasRachford
from optlab.transport.costs import DenseCost
from optlab.transport.dense import EuclideanDouglasRachford, WangBanerjeeADMM
from optlab.transport.ipot import IPOT
from optlab.transport.problem import OptimalTransport
from optlab.transport.sinkhorn import AnnealedSinkhorn, Sinkhorn
from optlab.transport.solvers import LinearProgram, NetworkSimplex, PeerSinkhorn

METHODS: dict[str, Callable[[], Any]] = {
    "bdrs": BregmanDouglasRachford,
    "admm": BregmanADMM,
    "ademm": AlternatingExponentialMultipliers,
    "sinkhorn": Sinkhorn,
    "overrelaxed-sinkhorn": lambda: Sinkhorn(overrelaxation="adaptive"),
    "annealed-sinkhorn": AnnealedSinkhorn,
    "ipot": IPOT,
    "drot": EuclideanDouglasRachford,
    "badmm": WangBanerjeeADMM,
    "emd": NetworkSimplex,
    "highs": LinearProgram,
    "pot-sinkhorn": PeerSinkhorn,
}

# entries up to which the network simplex is faster than any first-order method on a CPU (see `optlab bench`) and its
# copies of the cost fit anywhere
EXACT_ENTRIES = 9_000_000


def transport(
    a: Any,
    b: Any,
    cost: Any,
    method: Any = "auto",
    *,
    regularization: float = 0.0,
    tol: float | None = 1e-3,
    max_iter: int | None = None,
    **options: Any,
) -> Result:
    """Solve an optimal transport problem.

    Parameters
    ----------
    a : array_like, shape (n,)
        Source weights.
    b : array_like, shape (m,)
        Target weights, of the same sum.
    cost : array_like of shape (n, m), `DenseCost` or `PointCloudCost`
    method : str or Method
        ``"auto"``, one of ``"bdrs"``, ``"admm"``, ``"ademm"``, ``"sinkhorn"``, ``"overrelaxed-sinkhorn"``,
        ``"annealed-sinkhorn"``, ``"ipot"``, ``"drot"``, ``"badmm"``, ``"emd"``, ``"highs"``, ``"pot-sinkhorn"``, or a
        method object. "auto" takes Bregman Douglas-Rachford for a regularised problem and for large ones (more than
        9 million entries), otherwise the network simplex, which is exact and faster there; the result's message
        says which and why.
    regularization : float
        Weight of the entropy ``sum X (log X - 1)``.
    tol : float or None
        Certified relative gap to stop at; None runs to `max_iter`.
    max_iter : int, optional
        Default: 10_000 (1 for solvers that do everything at once).
    **options
        Further arguments of `optlab.solve`.

    Returns
    -------
    Result
        ``result.solution`` is a `TransportPlan`, ``result.metrics`` has its cost and certificate.

    Raises
    ------
    ValueError, TypeError
        As in `OptimalTransport`; for an unknown method, with the nearest name.

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
    problem = OptimalTransport(a, b, cost, regularization=regularization)
    if tol is not None:
        tol = as_number(tol, "tol", above=0.0)
    reason = ""
    if isinstance(method, str):
        name = one_of(method, "method", ("auto", *METHODS))
        if name == "auto":
            name, reason = _choose(problem)
        method = METHODS[name]()
    if max_iter is None:
        at_once = isinstance(method, (NetworkSimplex, LinearProgram, PeerSinkhorn))
        max_iter = 1 if at_once else 10_000
    result = solve(problem, method, tol=tol, max_iter=max_iter, **options)
    if reason:
        result = dataclasses.replace(result, message=f"{result.message} {reason}")
    return result


def _choose(problem: OptimalTransport) -> tuple[str, str]:
    """Return the name of the method for "auto", and the reason as a sentence."""
    n, m = problem.active_cost.shape
    if problem.regularization > 0.0:
        return "bdrs", (
            "Method: Bregman Douglas-Rachford, chosen because the problem is regularised "
            "(there it is an accelerated Sinkhorn iteration)."
        )
    if n * m <= EXACT_ENTRIES:
        return "emd", f"Method: the network simplex (POT's emd), chosen because {n} x {m} is small enough to be exact."
    stored = "" if isinstance(problem.active_cost, DenseCost) else " and needs no matrix in memory"
    return "bdrs", (
        f"Method: Bregman Douglas-Rachford, chosen because {n} x {m} entries are many for an exact solver; "
        f"it stops at a certified gap{stored}."
    )
