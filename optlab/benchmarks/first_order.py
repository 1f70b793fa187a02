"""First-order methods against pyproximal, scikit-learn, cvxpy with Clarabel, skglm and celer, on one lasso in one run.

* A step: FISTA against pyproximal's and against the bare NumPy statements, many iterations in one call.
* To accuracy: the time to a duality gap, of the optimum's size. Peers get the loosest of their own tolerances that
  reaches it, and the gap is the problem's own certificate at their answer. Ours excludes measuring.
"""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import optlab
from optlab.benchmarks import Row, benchmark, compare_row, interleave

Array = Any


def lasso(m: int, n: int, seed: int, share: float = 0.05) -> tuple[Array, Array, float]:
    """Return a Gaussian matrix, the data of a sparse vector, and a weight of `share` times the largest useful one."""
    rng = np.random.default_rng(seed)
    A, x = rng.standard_normal((m, n)), np.zeros(n)
    x[rng.choice(n, max(1, n // 40), replace=False)] = 1.0
    b = A @ x + 0.1 * rng.standard_normal(m)
    return A, b, share * float(np.max(np.abs(A.T @ b)))


def bare_fista(A: Array, b: Array, lam: float, L: float, n: int) -> Array:
    """Run the statements of the box, n times."""
    step, t = 1.0 / L, 1.0
    x = y = np.zeros(A.shape[1])
    for _ in range(n):
        z = y - step * (A.T @ (A @ y - b))
        new = z - np.clip(z, -step * lam, step * lam)
        t_new = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * t * t))
        y, x, t = new + (t - 1.0) / t_new * (new - x), new, t_new
    return x


@benchmark(id="first-order-step", title="A step of FISTA against bare NumPy and pyproximal")
def first_order_step(scale: str, seed: int) -> list[Row]:
    """Time many iterations of FISTA in one call, set-up included."""
    return [row for m, n, steps in ((20, 30, 500), (300, 1000, 200)) for row in _steps(m, n, steps, seed)]


def _steps(m: int, n: int, steps: int, seed: int) -> list[Row]:
    from optlab.bregman.functions import L1Norm, LeastSquares
    from optlab.composite import CompositeProblem
    from optlab.firstorder import FISTA

    A, b, lam = lasso(m, n, seed)
    problem = CompositeProblem(LeastSquares(A, b), lam * L1Norm())
    L = float(np.linalg.norm(A, 2)) ** 2
    optlab.solve(problem, FISTA(), max_iter=2, progress=False)
    times: dict[str, Callable[[], Any]] = {
        "FISTA": lambda: optlab.solve(problem, FISTA(), max_iter=steps, record=steps, progress=False),
        "bare": lambda: bare_fista(A, b, lam, L, steps),
    }
    peer = _pyproximal(A, b, lam, L, steps)
    if peer is not None:
        times["pyproximal"] = peer
    found = interleave(times, repeats=5, budget=20.0)
    name, note = f"{m} x {n}", f"{steps} iterations"
    pairs = [(f"FISTA by NumPy, {name}", "bare", "<= 1.3"), (f"FISTA, {name}", "pyproximal", "<= 1.0")]
    return [
        compare_row(title, found, ours="FISTA", peer=against, ratio="cost", bar=bar, note=note)
        for title, against, bar in pairs
        if against in found
    ]


def _pyproximal(A: Array, b: Array, lam: float, L: float, steps: int) -> Callable[[], Any] | None:
    try:
        import pylops
        import pyproximal
        from pyproximal.optimization.primal import ProximalGradient
    except ImportError:
        return None
    loss = pyproximal.L2(Op=pylops.MatrixMult(A), b=b)
    norm = pyproximal.L1(sigma=lam)
    zero = np.zeros(A.shape[1])
    return lambda: ProximalGradient(loss, norm, x0=zero, tau=1.0 / L, niter=steps, acceleration="fista")


def _peers(A: Array, b: Array, lam: float) -> dict[str, Callable[[float], Array]]:
    """Return what solves the lasso to a tolerance of its own, of the packages that are there."""
    from sklearn.linear_model import Lasso

    m = len(b)

    def quiet(fit: Callable[[], Array]) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fit()

    def clarabel(tol: float) -> Array:
        import cvxpy as cp

        x = cp.Variable(A.shape[1])
        problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(A @ x - b) + lam * cp.norm1(x)))
        problem.solve(solver="CLARABEL", tol_gap_rel=tol, tol_gap_abs=tol, tol_feas=tol)
        return x.value

    def sklearn(tol: float) -> Array:
        model = Lasso(alpha=lam / m, tol=tol, fit_intercept=False, max_iter=100_000)
        return quiet(lambda: model.fit(A, b).coef_)

    found: dict[str, Any] = {"scikit-learn": sklearn, "cvxpy, Clarabel": clarabel}
    for name in ("celer", "skglm"):
        try:
            peer = __import__(name).Lasso
        except ImportError:
            continue
        found[name] = functools.partial(_of_peer, quiet, peer, lam / m, np.asfortranarray(A), b)
    return found


def _of_peer(quiet: Any, peer: Any, alpha: float, A: Array, b: Array, tol: float) -> Array:
    return quiet(lambda: peer(alpha=alpha, tol=tol, fit_intercept=False).fit(A, b).coef_)


@benchmark(id="first-order-accuracy", title="Time to a certified gap on a lasso")
def first_order_accuracy(scale: str, seed: int) -> list[Row]:
    """Time a lasso to relative duality gaps of 1e-3, 1e-6 and 1e-9; no bar, as coordinate descent must win."""
    from optlab.bregman.functions import L1Norm, LeastSquares
    from optlab.composite import CompositeProblem
    from optlab.firstorder import FISTA, PANOC, AdaptiveProximalGradient, Backtracking

    A, b, lam = lasso(*((100, 300) if scale == "smoke" else (300, 2000)), seed)
    problem = CompositeProblem(LeastSquares(A, b), lam * L1Norm())
    methods = {
        "FISTA, restarted": FISTA(restart="gradient"),
        "FISTA, restarted, L falling": FISTA(restart="gradient", backtracking=Backtracking(decrease=0.9)),
        "adaPGM": AdaptiveProximalGradient(),
        "PANOC": PANOC(),
    }
    rows: list[Row] = []
    peers = _peers(A, b, lam)
    for tol in (1e-3, 1e-6, 1e-9):
        for name, method in methods.items():
            result = optlab.solve(problem, method, tol={"relative_gap": tol}, max_iter=20_000, record=5, progress=False)
            seconds = result.solve_time if result.success else None
            note = f"{result.n_iter} iterations"
            rows.append(
                {"name": f"{name} to {tol:g}", "seconds": seconds, "gap": result.metrics["relative_gap"], "note": note}
            )
        for name, peer in peers.items():
            for own in 10.0 ** -np.arange(1, 14):
                start = time.perf_counter()
                x = peer(float(own))
                seconds = time.perf_counter() - start
                gap = problem.measure(np.asarray(x, dtype=float))["relative_gap"]
                if gap <= tol:
                    break
            rows.append({"name": f"{name} to {tol:g}", "seconds": seconds if gap <= tol else None, "gap": gap})
    return rows
