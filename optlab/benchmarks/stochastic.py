"""Stochastic methods against scikit-learn: time per epoch at the same step, and time to a certified accuracy. And the
cost of averages and of other wrappers inside the compiled loops, against the step alone.

* Per epoch: `SGDClassifier` does the like-for-like step (one sample, logistic loss, constant step size, ridge term kept
  by scaling, shuffled passes, no intercept). Several epochs in one call on both sides, set-up included.
* To accuracy: the same ridge logistic problem; a run counts if f(x) less a certified lower bound of the minimum is
  below the tolerance. Peers get the loosest of their own tolerances that reaches it. NGN with a constant sigma closes
  no gap: sigma decays, and the iterates after the first epoch are averaged. Its time excludes measuring.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import optlab
from optlab.benchmarks import Row, benchmark, compare_row, interleave

EPOCHS = 20
RIDGE = 1e-4


def sparse_data(n: int, d: int, per_row: int, seed: int) -> tuple[Any, np.ndarray]:
    """Return a stand-in for text data: unit rows of half-normal values, and labels of a noisy linear model."""
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    columns = np.sort(rng.integers(0, d, (n, per_row)), axis=1).astype(np.int32)
    values = np.abs(rng.standard_normal((n, per_row)))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    A = sp.csr_matrix((values.ravel(), columns.ravel(), np.arange(0, n * per_row + 1, per_row)), shape=(n, d))
    A.sum_duplicates()
    margins = A @ rng.standard_normal(d)
    return A, np.where(margins + 0.3 * rng.standard_normal(n) > 0, 1.0, -1.0)


def dense_data(n: int, d: int, seed: int, condition: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian rows, about of unit length, and labels of a noisy linear model."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, d)) * np.logspace(0, -0.5 * np.log10(condition), d)
    A /= np.sqrt(np.mean(np.sum(A * A, axis=1)))
    margins = A @ rng.standard_normal(d) * np.sqrt(d)
    return A, np.where(margins + rng.standard_normal(n) > 0, 1.0, -1.0)


def _per_epoch(A: Any, y: np.ndarray, name: str) -> list[Row]:
    from sklearn.linear_model import SGDClassifier

    from optlab.stochastic import NGN, SGD, LogisticRegression

    problem = LogisticRegression(A, y, l2=RIDGE, f_star=None)
    steps = EPOCHS * problem.n_samples

    def ours(method: Any) -> Callable[[], Any]:
        return lambda: optlab.solve(problem, method, max_iter=steps, record=steps, progress=False, seed=0)

    def theirs() -> Any:
        peer = SGDClassifier(
            loss="log_loss", alpha=RIDGE, learning_rate="constant", eta0=1.0, max_iter=EPOCHS, tol=None,
            fit_intercept=False, random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return peer.fit(A, y)

    times = interleave(
        {
            "NGN": ours(NGN(sigma=1.0, sampling="shuffle")),
            "SGDClassifier": theirs,
            "SGD": ours(SGD(1.0, sampling="shuffle")),
        },
        repeats=7,
        budget=60.0,
    )
    note = f"{EPOCHS} epochs"
    return [
        compare_row(f"NGN, {name}", times, ours="NGN", peer="SGDClassifier", ratio="cost", bar="<= 1.0", note=note),
        compare_row(f"SGD, {name}", times, ours="SGD", peer="SGDClassifier", ratio="cost", bar="<= 1.0", note=note),
        compare_row(f"NGN by SGD, {name}", times, ours="NGN", peer="SGD", ratio="cost", bar="<= 1.15", note=note),
    ]


@benchmark(id="stochastic-epoch", title="NGN and SGD: time per epoch against scikit-learn's SGDClassifier")
def stochastic_epoch(scale: str, seed: int) -> list[Row]:
    """Time epochs of logistic regression on sparse and on dense data."""
    if scale == "smoke":
        sparse, dense = (2000, 5000, 75), (10_000, 50)
    else:
        sparse, dense = (20_000, 50_000, 75), (100_000, 50)
    rows = _per_epoch(*sparse_data(*sparse, seed), f"sparse {sparse[0]} x {sparse[1]}, {sparse[2]} a row")
    return rows + _per_epoch(*dense_data(*dense, seed), f"dense {dense[0]} x {dense[1]}")


def _wide_data(scale: str, seed: int) -> tuple[Any, np.ndarray]:
    n, d = (500, 5000) if scale == "smoke" else (2000, 20_000)
    return sparse_data(n, d, 10, seed)


def _beside_the_base(
    problem: Any, base: Any, wrappers: dict[str, tuple[Any, str | None]], steps: int, name: str
) -> list[Row]:
    """Time `steps` steps of a method alone and inside wrappers, in one call each."""
    contenders = {"base": base} | {label: wrapper for label, (wrapper, _) in wrappers.items()}

    def run(method: Any) -> Callable[[], Any]:
        state = method.init(problem, problem.default_start(np.random.default_rng(0)), np.random.default_rng(0))
        method.advance(problem, state, 10)  # compile
        return lambda: method.advance(problem, state, steps)

    times = interleave({label: run(method) for label, method in contenders.items()}, repeats=25, budget=20.0)
    return [
        compare_row(f"{label}, {name}", times, ours=label, peer="base", ratio="cost", bar=bar, note=f"{steps} steps")
        for label, (_, bar) in wrappers.items()
    ]


@benchmark(
    id="stochastic-wrappers", title="Averages and slow weights inside the compiled loops, against the plain step"
)
def stochastic_wrappers(scale: str, seed: int) -> list[Row]:
    """Time averages on wide sparse data, and primal averages and DiLoCo on dense data, beside the method inside."""
    from optlab.stochastic import (
        NGN,
        SAGA,
        SGD,
        Adam,
        LogisticRegression,
        SoftmaxRegression,
        StochasticProximalPoint,
    )
    from optlab.wrappers import Averaged, DiLoCo, PrimalAveraging, ScheduleFree

    A, y = _wide_data(scale, seed)
    wide = LogisticRegression(A, y, l2=RIDGE, f_star=None)
    rows: list[Row] = []
    lazy = {
        "SGD": SGD(0.1),
        "NGN": NGN(1.0),
        "StochasticProximalPoint": StochasticProximalPoint(0.1),
        "SAGA": SAGA(0.01),
    }
    for name, method in lazy.items():
        wrappers: dict[str, tuple[Any, str | None]] = {"Averaged": (Averaged(method), "<= 1.3")}
        if name in ("SGD", "NGN"):
            wrappers |= {"PrimalAveraging": (PrimalAveraging(method), None)}
        rows += _beside_the_base(wide, method, wrappers, 4000, f"{name}, sparse {A.shape[0]} x {A.shape[1]}")
    B, labels = dense_data(2000 if scale == "smoke" else 20_000, 200, seed)
    dense = LogisticRegression(B, labels, l2=RIDGE, f_star=None)
    classes = SoftmaxRegression(B, (labels > 0).astype(int) + (B[:, 0] > 0), l2=RIDGE, f_star=None)
    cases: list[tuple[str, Any, Any, int]] = [
        ("SGD", dense, SGD(0.1), 4000),
        ("NGN", dense, NGN(1.0), 4000),
        ("Adam", dense, Adam(0.01), 2000),
    ]
    cases.append(("NGN, batches of 32, softmax", classes, NGN(1.0, batch_size=32), 200))
    for name, problem, method, steps in cases:
        around = {
            "PrimalAveraging": PrimalAveraging(method),
            "ScheduleFree": ScheduleFree(method),
            "DiLoCo": DiLoCo(method),
        }
        rows += _beside_the_base(
            problem, method, {label: (wrapper, "<= 1.15") for label, wrapper in around.items()}, steps, f"{name}, dense"
        )
    return rows


def _first_success(run: Callable[[float], np.ndarray], gap: Callable[[np.ndarray], float], tol: float) -> Any:
    """Run a peer with ever tighter tolerances of its own; return (seconds, gap) of the first that is good enough."""
    for own in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        start = time.perf_counter()
        x = run(own)
        seconds = time.perf_counter() - start
        if gap(x) <= tol:
            return seconds, gap(x)
    return None, gap(x)


@benchmark(id="stochastic-accuracy", title="Time to a certified gap: NGN against SAGA, LIBLINEAR and L-BFGS")
def stochastic_accuracy(scale: str, seed: int) -> list[Row]:
    """Time logistic regression to duality gaps; no bar, as constant-rate methods must win in the end."""
    from sklearn.linear_model import LogisticRegression as Peer

    from optlab.stochastic import NGN, Averaged, Decaying, LogisticRegression

    n, d = (2000, 20) if scale == "smoke" else (20_000, 100)
    A, y = dense_data(n, d, seed, condition=100.0)
    l2 = 1.0 / n
    problem = LogisticRegression(A, y, l2=l2, f_star="compute")

    def peer(solver: str) -> Callable[[float], np.ndarray]:
        def run(own: float) -> np.ndarray:
            model = Peer(C=1.0 / (l2 * n), solver=solver, tol=own, max_iter=2000, fit_intercept=False, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return model.fit(A, y).coef_.ravel()

        return run

    def gap(x: np.ndarray) -> float:
        return problem.measure(x)["gap"]

    optlab.solve(problem, Averaged(NGN()), max_iter=10, seed=0)  # compile
    rows: list[Row] = []
    for tol in (1e-2, 1e-3, 1e-4, 1e-5):
        best: Row = {"name": f"NGN to gap {tol:g}", "seconds": None, "gap": None}
        for start in (1.0, 3.0, 10.0):
            method = Averaged(NGN(sigma=Decaying(start, period=n / 4, power=1.0), sampling="shuffle"), start=n)
            result = optlab.solve(problem, method, max_iter=60 * n, record=n // 4, tol=tol, progress=False, seed=seed)
            if result.success and (best["seconds"] is None or result.solve_time < best["seconds"]):
                note = f"sigma_0 = {start:g}, the best of 1, 3, 10; {result.metrics['epoch']:.4g} epochs"
                best |= {"seconds": result.solve_time, "gap": result.metrics["gap"], "note": note}
        rows.append(best)
        for solver in ("saga", "liblinear", "lbfgs"):
            seconds, reached = _first_success(peer(solver), gap, tol)
            rows.append({"name": f"{solver} to gap {tol:g}", "seconds": seconds, "gap": reached})
    return rows
