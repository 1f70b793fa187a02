"""Quadratically regularised and sparsity-constrained transport against ``ot.smooth``."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from typing import Any

import numpy as np

from optlab.benchmarks import Row, benchmark


def _pot(name: str, a: Any, b: Any, C: Any, gamma: float, count: int, **options: Any) -> tuple[float, np.ndarray, Any]:
    """Return seconds, plan and log of one of POT's two solvers, run to SciPy's own limits."""
    import ot

    # it warns of SciPy's options, and prints shapes
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        solver = getattr(ot.smooth, name)
        plan, log = solver(a, b, C, gamma, stopThr=1e-15, numItermax=count, log=True, **options)
        return time.perf_counter() - start, np.asarray(plan), log


def _certified(problem: Any, plan: np.ndarray, f: np.ndarray) -> dict[str, float]:
    g = np.zeros(problem.shape[1])
    return dict(problem.measure(problem.plan(plan, (f, g))))


@benchmark(id="transport-quadratic", title="Quadratically regularised transport, to the accuracy of ot.smooth")
def quadratic(scale: str, seed: int) -> list[Row]:
    """POT runs until SciPy's L-BFGS-B stops; ours until its certified relative gap is as small as POT's (at most 1e-3).

    gamma is given as gamma times the mean mass over the range of the cost. Seconds of solver time.
    """
    import optlab
    from optlab.datasets import transport_family
    from optlab.transport import QuadraticOptimalTransport, SemiDualLBFGS, SemismoothNewton

    n = 40 if scale == "smoke" else 400
    count = 30 if scale == "smoke" else 2000
    rows: list[Row] = []
    for family in ("l2", "gauss2d"):
        a, b, C = transport_family(family, n, seed=seed)
        for strength in (1.0, 0.01):
            gamma = strength * n * float(np.ptp(C))
            problem = QuadraticOptimalTransport(a, b, C, gamma)
            for method in (SemismoothNewton(), SemiDualLBFGS()):
                optlab.solve(problem, method, max_iter=1, progress=False)  # compiles
            seconds, plan, log = _pot("smooth_ot_semi_dual", a, b, C, gamma, count, reg_type="l2")
            goal = min(_certified(problem, plan, np.asarray(log["alpha"]))["relative_gap"], 1e-3)
            for method in (SemismoothNewton(), SemiDualLBFGS()):
                run = optlab.solve(problem, method, tol=goal, max_iter=5000, time_limit=20.0, record=2, progress=False)
                row: Row = {
                    "name": f"{family}, n = {n}, strength {strength:g}: {type(method).__name__}",
                    "seconds": run.solve_time,
                    "peer": "ot.smooth.smooth_ot_semi_dual",
                    "peer_seconds": seconds,
                    "note": f"gap: ours {run.metrics['relative_gap']:.0e}, peer {goal:.0e}; {run.n_iter} iterations",
                }
                if run.success:
                    row |= {"ratio": seconds / max(run.solve_time, 1e-9), "ratio_is": "peer / ours"}
                rows.append(row)
    return rows


@benchmark(id="transport-sparsity", title="At most k non-zeros in every column: bound and plan against ot.smooth")
def sparsity(scale: str, seed: int) -> list[Row]:
    """Dual bounds after each has stopped, and whether the plan is one: POT's has exact columns, and rows with an error.

    Seconds: ours of the relaxation to the certified gap in the note, and of the search for a plan within the limit.
    """
    import optlab
    from optlab.datasets import transport_family
    from optlab.transport import QuadraticOptimalTransport, SemismoothNewton

    n, m = (20, 30) if scale == "smoke" else (150, 200)
    count = 30 if scale == "smoke" else 2000
    a, _, C = transport_family("l2", n, m, seed=seed)
    b = np.full(m, 1.0 / m)
    rows: list[Row] = []
    for limit in (2, 4):
        for strength in (1.0, 0.01):
            gamma = strength * n * float(np.ptp(C))
            problem = QuadraticOptimalTransport(a, b, C, gamma, max_nonzeros=limit)
            optlab.solve(problem, SemismoothNewton(), max_iter=1, progress=False)  # compiles
            seconds, plan, log = _pot(
                "smooth_ot_semi_dual", a, b, C, gamma, count, reg_type="sparsity_constrained", max_nz=limit
            )
            theirs = problem.semidual(np.asarray(log["alpha"])).value
            error = float(np.abs(plan.sum(axis=1) - a).sum())
            run = optlab.solve(problem, SemismoothNewton(), tol=1e-4, max_iter=200, record=4, progress=False)
            start = time.perf_counter()
            found = run.solution.limited()
            search = time.perf_counter() - start
            best = max(theirs, run.metrics["dual_objective"])
            gap = "none found" if found is None else f"gap {found.relative_gap:.1e}, in {search:.2f} s"
            row: Row = {
                "name": f"l2, {n} x {m}, k = {limit}, strength {strength:g}",
                "seconds": run.solve_time,
                "peer": "ot.smooth.smooth_ot_semi_dual",
                "peer_seconds": seconds,
                "ratio": seconds / max(run.solve_time, 1e-9),
                "ratio_is": "peer / ours",
                "note": (
                    f"bound below the better one: ours {(best - run.metrics['dual_objective']) / best:.0e}, "
                    f"peer {(best - theirs) / best:.0e}; relaxation gap {run.metrics['relative_relaxation_gap']:.0e}; "
                    f"plan within the limit: {gap}; peer's rows off by {error:.0e}"
                ),
            }
            rows.append(row)
    return rows
