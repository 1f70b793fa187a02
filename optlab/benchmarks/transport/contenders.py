"""Transport problems of growing size and the solvers that are compared on them; benches and figures share them.

A contender solves a problem once or, where accuracy hangs on a regularization, a few times with smaller and smaller
ones, and answers with attempts: seconds, and the certified relative gap of what came out. Every answer, a peer's too,
gets optlab's own certificate (its plan rounded to exact marginals, its potentials made feasible), outside the seconds.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import optlab
from optlab.core import Result

_PIVOTS = 10**9
_GAP = 1e-9
# regularizations that entropic peers are given, in parts of the cost's range
_REGULARIZATIONS = (1e-2, 1e-3, 1e-4, 1e-5)

# what the kinds of problem are called in figures
KINDS = {
    "2-D": "plane, squared Euclidean",
    "2-D Euclidean": "plane, Euclidean",
    "3-D": "three dimensions, squared",
    "10-D": "ten dimensions, squared",
    "grid": "images on a grid",
    "random": "random costs",
}
_CLOUDS = {
    "2-D": (2, "sqeuclidean"),
    "2-D Euclidean": (2, "euclidean"),
    "3-D": (3, "sqeuclidean"),
    "10-D": (10, "sqeuclidean"),
}


def make_problem(kind: str, n: int, seed: int) -> Any:
    """Return a problem with uneven weights on one side: points in a cube, images on a grid, or random costs.

    Parameters
    ----------
    kind : str
        One of `KINDS`. A grid has the nearest square number of pixels, and uneven weights on both sides.
    n : int
    seed : int

    Returns
    -------
    OptimalTransport
    """
    from optlab.core.validation import one_of
    from optlab.transport import OptimalTransport, PointCloudCost

    one_of(kind, "kind", tuple(KINDS))
    rng = np.random.default_rng(seed)
    if kind == "random":
        a, b = _weights(n, rng)
        return OptimalTransport(a, b, rng.random((n, n)))
    if kind == "grid":
        side = round(n**0.5)
        grid = np.stack(np.meshgrid(*[np.arange(side) / side] * 2), axis=-1).reshape(-1, 2)
        a, b = (w / w.sum() for w in rng.random((2, side * side)) + 1e-3)
        return OptimalTransport(a, b, PointCloudCost(grid, grid))
    dimension, metric = _CLOUDS[kind]
    x, y = rng.random((n, dimension)), rng.random((n, dimension))
    a, b = _weights(n, rng)
    return OptimalTransport(a, b, PointCloudCost(x, y, metric))


def _weights(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    b = rng.random(n) + 0.1
    return np.full(n, 1.0 / n), b / b.sum()


# ------------------------------------------------------------------------------------------------ exact solvers


def exact_transport(problem: Any, time_limit: float | None = None) -> tuple[float, Result]:
    """Return the seconds of `ExactTransport` to a certified relative gap of 1e-9, and its result."""
    from optlab.transport import ExactTransport

    return _clock(
        lambda: optlab.solve(
            problem, ExactTransport(), tol=_GAP, max_iter=100, time_limit=time_limit, record="all", progress=False
        )
    )


def network_simplex(problem: Any) -> tuple[float, Any]:
    """Return the seconds of ``ot.emd`` and its plan; on point clouds making the matrix is part of it."""
    import ot

    seconds, (plan, log) = _clock(lambda: ot.emd(problem.a, problem.b, _matrix(problem), numItermax=_PIVOTS, log=True))
    from scipy.sparse import csr_array

    return seconds, problem.plan(csr_array(plan), (log["u"], log["v"]))


def lazy_network_simplex(problem: Any) -> tuple[float, Any]:
    """Return the seconds of ``ot.lp.emd2_lazy``, which needs no matrix, and its plan; point clouds only."""
    import ot

    cost = problem.cost
    seconds, (_, log) = _clock(
        lambda: ot.lp.emd2_lazy(cost.x, cost.y, problem.a, problem.b, metric=cost.metric, numItermax=_PIVOTS, log=True)
    )
    return seconds, problem.plan(log["G"].tocsr(), (log["u"], log["v"]))


def seconds_to(history: Any, tol: float) -> float:
    """Return the seconds of solver time after which a run's relative gap was first certified to be `tol`, or NaN."""
    places = np.flatnonzero(history["relative_gap"] <= tol)
    return float(history["time"][places[0]]) if places.size else float("nan")


def exponent(sizes: Any, seconds: Any) -> float:
    """Return the slope of log(seconds) over log(size) where it says something of growth, or NaN.

    Only sizes whose time exceeds ten times the shortest count, and there must be three of them: below that a slope is
    that of the overhead (a solver that reads n points does not take n^0.4).

    Examples
    --------
    >>> exponent([500, 1000, 2000], [2.4, 1.9, 4.2])
    nan
    >>> round(exponent([10, 1000, 2000, 4000], [0.001, 1.0, 4.0, 16.0]), 6)
    2.0
    """
    sizes, seconds = np.asarray(sizes, dtype=float), np.asarray(seconds, dtype=float)
    grown = seconds > 10.0 * seconds.min()
    if grown.sum() < 3:
        return float("nan")
    return float(np.polyfit(np.log(sizes[grown]), np.log(seconds[grown]), 1)[0])


def _matrix(problem: Any) -> np.ndarray:
    import ot

    cost = problem.cost
    return cost.array if hasattr(cost, "array") else ot.dist(cost.x, cost.y, metric=cost.metric)


def _clock(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = call()
    return time.perf_counter() - began, answer


# ------------------------------------------------------------------------------------------------ contenders


@dataclass(frozen=True)
class Attempt:
    """One solve: its seconds, the certified relative gap (computed when asked for), and what to say of it."""

    seconds: float
    certificate: Callable[[], float]
    note: str = ""


@dataclass(frozen=True)
class Contender:
    """A solver: ``solve(problem, seconds allowed)`` answers with attempts.

    Parameters
    ----------
    solve : callable
    package : str
        What has to be installed.
    points : bool
        Whether it needs points, not a matrix.
    at_once : bool
        Whether it has an answer only at its end: it cannot keep to a time, and is ended when it takes too long.
    largest : int
        Largest n at which it is tried.
    warm : int
        Size of the problem solved before the clock.
    """

    solve: Callable[[Any, float], list[Attempt]]
    package: str = ""
    points: bool = False
    at_once: bool = False
    largest: float = math.inf
    warm: int = 64

    def refusal(self, kind: str, n: int) -> str:
        """Return why it is not tried, or nothing."""
        if self.package and importlib.util.find_spec(self.package) is None:
            return "not installed"
        if self.points and kind == "random":
            return "for points only"
        return f"not tried above n = {self.largest:g}" if n > self.largest else ""


def certify(attempts: list[Attempt]) -> list[tuple[float, float, str]]:
    """Return seconds, certified relative gap and note of each attempt."""
    return [(attempt.seconds, attempt.certificate(), attempt.note) for attempt in attempts]


def _of_history(result: Result, note: str = "") -> list[Attempt]:
    """Return the records of a run as attempts, the start (not a solve) left out."""
    seconds, gaps = result.history["time"].tolist(), result.history["relative_gap"].tolist()
    return [Attempt(s, lambda gap=gap: gap, note) for s, gap in zip(seconds[1:], gaps[1:])]  # type: ignore[misc]


def _of_plan(answer: tuple[float, Any]) -> list[Attempt]:
    seconds, plan = answer
    return [Attempt(seconds, lambda: float(plan.relative_gap))]


def _exact(problem: Any, limit: float) -> list[Attempt]:
    return _of_history(exact_transport(problem, limit)[1])


def _auto(problem: Any, limit: float) -> list[Attempt]:
    from optlab.transport import transport

    options: dict[str, Any] = {"time_limit": limit, "record": "all", "progress": False}
    result = transport(problem.a, problem.b, problem.cost, tol=_GAP, **options)
    return _of_history(result, f"took {type(result.method).__name__}")


def _bdrs(problem: Any, limit: float) -> list[Attempt]:
    from optlab.splitting import BregmanDouglasRachford

    method = BregmanDouglasRachford()
    return _of_history(
        optlab.solve(problem, method, tol=_GAP, max_iter=10**6, time_limit=limit, record=10, progress=False)
    )


def _highs(problem: Any, limit: float) -> list[Attempt]:
    from optlab.transport import LinearProgram

    return _of_history(optlab.solve(problem, LinearProgram(), max_iter=1, progress=False))


# seconds, iterations, and the potentials (f, g) of the plan exp((f + g - C) / regularization)
_Solve = Callable[[float, int], tuple[float, int, np.ndarray, np.ndarray]]


def _entropic(problem: Any, limit: float, solve: _Solve, least: int = 20) -> Iterator[Attempt]:
    """Run an entropic solver with smaller and smaller regularizations, each from a cold start, while time is left.

    `solve` takes a regularization and a largest number of iterations. What the attempts before took is not charged to
    an attempt: so each is as if its user had known which regularization to take.
    """
    from optlab.transport.plans.potentials import MirrorPlan

    largest = _REGULARIZATIONS[0] * problem.cost_range
    solve(largest, least)  # loads
    rate, left = 0.0, limit
    for part in _REGULARIZATIONS:
        eps = part * problem.cost_range
        # an iteration can take longer where the regularization is smaller
        seconds, done = solve(eps, least)[:2]
        rate = max(rate, seconds / done)
        iterations = int(left / rate)
        if iterations < least:
            return
        seconds, done, f, g = solve(eps, iterations)
        rate, left = seconds / done, left - seconds
        mirror = MirrorPlan(f / eps, g / eps, 1.0 / eps)
        yield Attempt(
            seconds,
            lambda mirror=mirror: float(problem.primal(mirror).relative_gap),  # type: ignore[misc]
            f"regularization {part:g} of the range, {done} iterations",
        )


def _threshold(eps: float, problem: Any) -> float:
    """Marginal error (L1) at which an entropic solve ends: small beside what the regularization costs."""
    return 1e-2 * eps / problem.cost_range


def _sinkhorn_log(problem: Any, limit: float) -> list[Attempt]:
    import ot

    n = problem.a.size

    def solve(eps: float, iterations: int) -> tuple[float, int, np.ndarray, np.ndarray]:
        # its error is the Euclidean norm of one marginal's
        options = {"numItermax": iterations, "stopThr": _threshold(eps, problem) / n**0.5}
        with np.errstate(over="ignore"):  # it returns the scalings too, whatever their size
            seconds, (_, log) = _clock(
                lambda: ot.sinkhorn(
                    problem.a, problem.b, _matrix(problem), eps, method="sinkhorn_log", log=True, warn=False, **options
                )
            )
        return seconds, log["niter"] + 1, eps * np.asarray(log["log_u"]), eps * np.asarray(log["log_v"])

    return list(_entropic(problem, limit, solve))


def _ott(problem: Any, limit: float) -> list[Attempt]:
    import jax
    from ott.geometry import costs, geometry, pointcloud
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import acceleration, sinkhorn

    jax.config.update("jax_enable_x64", True)
    cost = problem.cost
    data = (cost.array,) if hasattr(cost, "array") else (cost.x, cost.y)
    arrays = [jax.numpy.asarray(v) for v in (problem.a, problem.b, *data)]

    @functools.cache
    def compiled(iterations: int) -> Any:
        def run(eps: Any, threshold: Any, a: Any, b: Any, *data: Any) -> Any:
            if len(data) == 1:
                geom = geometry.Geometry(cost_matrix=data[0], epsilon=eps)
            else:
                metric = costs.Euclidean() if cost.metric == "euclidean" else costs.SqEuclidean()
                geom = pointcloud.PointCloud(*data, cost_fn=metric, epsilon=eps)
            # momentum served it best here, before plain iterations and a decaying regularization
            momentum = acceleration.Momentum(start=200)
            solver = sinkhorn.Sinkhorn(threshold=threshold, max_iterations=iterations, momentum=momentum)
            answer = solver(linear_problem.LinearProblem(geom, a=a, b=b))
            return answer.n_iters, answer.f, answer.g

        return jax.jit(run).lower(1.0, 1.0, *arrays).compile()  # compiling is not counted

    def solve(eps: float, iterations: int) -> tuple[float, int, np.ndarray, np.ndarray]:
        run = compiled(iterations)
        seconds, (done, f, g) = _clock(lambda: jax.block_until_ready(run(eps, _threshold(eps, problem), *arrays)))
        return seconds, int(done), np.asarray(f), np.asarray(g)

    return list(_entropic(problem, limit, solve))


def _geomloss(problem: Any, limit: float) -> list[Attempt]:
    import torch
    from geomloss import ot as geomloss

    cost = problem.cost
    a, b = torch.from_numpy(problem.a), torch.from_numpy(problem.b)

    def solve(eps: float, iterations: int) -> tuple[float, int, np.ndarray, np.ndarray]:
        # it cools over the iterations given and has no test of convergence: what is left of the marginal error falls
        # with their number, which therefore grows as the regularization falls
        iterations = min(iterations, round(problem.cost_range / eps))

        def run() -> Any:
            if getattr(cost, "metric", "") == "sqeuclidean":
                x, y = torch.from_numpy(cost.x), torch.from_numpy(cost.y)
                answer = geomloss.solve_sample(x, y, a=a, b=b, reg=eps, max_iter=iterations)
            else:
                matrix = torch.from_numpy(_matrix(problem))
                answer = geomloss.solve(matrix, a=a, b=b, reg=eps, max_iter=iterations)
            return answer.potential_a, answer.potential_b

        seconds, (f, g) = _clock(run)
        # its plan is relative to the product of the marginals
        return seconds, iterations, f.numpy() + eps * problem.log_a, g.numpy() + eps * problem.log_b

    return list(_entropic(problem, limit, solve))


CONTENDERS: dict[str, Contender] = {
    "ExactTransport": Contender(_exact, at_once=True, warm=1500),
    "transport (auto)": Contender(_auto, at_once=True, warm=1500),
    "BregmanDouglasRachford": Contender(_bdrs),
    "ot.emd": Contender(lambda problem, limit: _of_plan(network_simplex(problem)), at_once=True),
    "ot.lp.emd2_lazy": Contender(
        lambda problem, limit: _of_plan(lazy_network_simplex(problem)), points=True, at_once=True
    ),
    "HiGHS": Contender(_highs, at_once=True, largest=256),
    "ot.bregman.sinkhorn_log": Contender(_sinkhorn_log),
    "OTT-JAX": Contender(_ott, package="ott"),
    "GeomLoss": Contender(_geomloss, package="geomloss"),
}
