"""What the conformance tests run: every public method, on a small instance of every public problem.

Methods and problem classes are found by walking what the packages export. A new method is picked up by itself; a new
problem class needs an instance here, and `test_every_public_problem_has_an_instance` says so until it has one.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from optlab.core.contract.catalogue import method_classes
from optlab.wrappers import (
    Anderson,
    Averaged,
    DiLoCo,
    ExponentialAveraging,
    Halpern,
    LatestWeightAveraging,
    Lookahead,
    PrimalAveraging,
    Restarted,
    ScheduleFree,
    has_variable,
)

PROBLEM_PACKAGES = (
    *("composite", "splitting", "splitting.problems", "transport", "stochastic", "policy", "multiview", "games"),
    "quantization",
)

# it samples from a package that is an extra, and is tested with the methods for it in tests/policy
ELSEWHERE = {"GymnasiumEnvironment"}

# settings under which one iteration is short
SHORT = {"PeerSinkhorn": {"max_iter": 50}}


def methods() -> dict[str, Any]:
    """One method of every public class, by name; the wrappers are in `wrapped`."""
    return {
        cls.__name__: cls(**SHORT[cls.__name__]) if cls.__name__ in SHORT else cls.example()
        for _, cls in method_classes()
        if not cls.wraps or not hasattr(cls, "__dataclass_fields__") or "method" not in cls.__dataclass_fields__
    }


def wrapped(plain: dict[str, Any]) -> dict[str, Any]:
    """Every wrapper around every method that it takes; two representatives of the large stochastic family."""
    found: dict[str, Any] = {}
    for name, method in plain.items():
        if type(method).__module__.startswith("optlab.stochastic") and name not in ("NGN", "SAGA"):
            continue
        found[f"Averaged({name})"] = Averaged(method)
        if has_variable(method):
            for wrapper in (Halpern, Lookahead, PrimalAveraging, Restarted):
                found[f"{wrapper.__name__}({name})"] = wrapper(method)
            if name in ("NGN", "SAGA", "BregmanDouglasRachford"):
                found[f"DiLoCo({name})"] = DiLoCo(method, period=3)
                found[f"ExponentialAveraging({name})"] = ExponentialAveraging(method)
                found[f"LatestWeightAveraging({name})"] = LatestWeightAveraging(method, count=2, period=3)
                found[f"ScheduleFree({name})"] = ScheduleFree(method)
            if name in ("NGN", "SAGA", "GradientDescent"):
                found |= {f"{type(m).__name__}({name})": m for m in quantized(method)}
            if not type(method).__module__.startswith("optlab.stochastic"):
                found[f"Anderson({name})"] = Anderson(method, memory=3)
    return found


def quantized(method: Any) -> Iterator[Any]:
    """Every method of `optlab.quantization` around a method."""
    from optlab import quantization as q

    psi = q.PiecewiseAffine([0.0, 0.5, 1.0], [0.01, 0.02])
    yield from (cls(method, psi) for cls in (q.AggregateProx, q.ProximalSteps, q.RegularizedDualAveraging))
    yield from (q.StraightThrough(method), q.PARQ(method, annealing=q.Annealing(5)), q.BinaryRelax(method, end=5))
    yield q.ProxQuant(method, start=1, end=5)


def problem_classes() -> Iterator[type]:
    """All public problem classes; a base of others that cannot be made from data is none."""
    for package in PROBLEM_PACKAGES:
        module = importlib.import_module(f"optlab.{package}")
        for name in module.__all__:
            value = getattr(module, name)
            is_problem = all(callable(getattr(value, hook, None)) for hook in ("default_start", "measure"))
            if (
                name not in ELSEWHERE
                and inspect.isclass(value)
                and is_problem
                and not getattr(value, "_is_protocol", False)
            ):
                yield value


def _transport() -> Iterator[Any]:
    from optlab.transport import (
        OptimalTransport,
        PartialOptimalTransport,
        PointCloudCost,
        QuadraticOptimalTransport,
        UnbalancedOptimalTransport,
        WassersteinBarycenter,
    )

    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(8))
    yield "matrix", OptimalTransport(a, b, rng.random((6, 8)))
    yield "points", OptimalTransport(a, b, PointCloudCost(rng.random((6, 2)), rng.random((8, 2))))
    a[2] = 0.0
    yield "entropic", OptimalTransport(a / a.sum(), b, rng.random((6, 8)), regularization=0.1)
    yield "", UnbalancedOptimalTransport(np.full(6, 0.2), b, rng.random((6, 8)), regularization=0.1)
    yield "", PartialOptimalTransport(np.full(6, 0.2), b, rng.random((6, 8)), mass=0.5, regularization=0.1)
    yield "", QuadraticOptimalTransport(a / a.sum(), b, rng.random((6, 8)), regularization=1.0)
    cost = rng.random((6, 8))
    yield "sparse", QuadraticOptimalTransport(np.full(6, 1 / 6), np.full(8, 1 / 8), cost, 1.0, max_nonzeros=2)
    yield "", WassersteinBarycenter(np.stack([b, b[::-1]]), rng.random((8, 8)), regularization=0.1)


def _splitting() -> Iterator[Any]:
    from optlab.bregman import ShannonEntropy, SquaredEuclidean
    from optlab.bregman.functions import Box, Hyperplane, L1Norm, LeastSquares, Linear, Simplex, SquaredDistance
    from optlab.datasets.images import GaussianBlur
    from optlab.linalg import FiniteDifferences
    from optlab.splitting import CompositeProblem, LinearlyConstrained, MonotoneInclusion
    from optlab.splitting import problems as p

    rng = np.random.default_rng(1)
    q = rng.standard_normal(5)
    yield "box", CompositeProblem(Box(0.0, 1.0), SquaredDistance(q), SquaredEuclidean())
    yield "simplex", CompositeProblem(Simplex(1.0), Linear(q), ShannonEntropy(), shape=5)
    yield "", MonotoneInclusion(Hyperplane(np.ones(5), 1.0), SquaredDistance(q), SquaredEuclidean())
    own = np.random.default_rng(10)
    loss = LeastSquares(own.standard_normal((8, 5)), own.standard_normal(8))
    yield "gap", CompositeProblem(loss, 0.5 * L1Norm())
    yield "smooth", CompositeProblem(loss)
    yield (
        "terms",
        CompositeProblem(loss, 0.1 * L1Norm(), 0.2 * L1Norm() @ FiniteDifferences(5), kernel=SquaredEuclidean()),
    )
    yield "", CompositeProblem(loss).constrained(lower=-0.2, upper=0.2)
    yield "", CompositeProblem(Box(-0.5, 0.5), SquaredDistance(own.standard_normal(5))).dual()
    signal = SquaredDistance(own.standard_normal(6)) + 0.1 * L1Norm()
    yield "", CompositeProblem(signal, 0.5 * L1Norm() @ FiniteDifferences(6)).lifted()
    M, N = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    u, v = SquaredDistance(rng.standard_normal(4)), SquaredDistance(rng.standard_normal(2))
    yield "equality", LinearlyConstrained(u, v, M, N, np.ones(3), SquaredEuclidean())
    yield "inequality", LinearlyConstrained(u, v, M, N, np.ones(3), ShannonEntropy())
    A, b = rng.standard_normal((8, 5)), rng.standard_normal(8)
    G, d = rng.standard_normal((3, 5)), rng.random(3)
    weights = rng.random(5) + 0.1
    yield "", p.AbsolutePenaltyLeastSquares(A, b, G, d)
    yield "", p.HingePenaltyLeastSquares(A, b, G, d)
    yield "", p.InequalityLeastSquares(A, b, G, d)
    yield "", p.BoxLeastSquares(A, b)
    yield "", p.BoxQuadraticWithEquality(q, np.ones(5), 2.0)
    yield "", p.CappedSimplexProgram(q, np.full(5, 0.4))
    yield "", p.ConvexFeasibility([Box(0.0, 1.0), Hyperplane(np.ones(5), 1.0)], shape=5)
    yield "", p.ItakuraSaitoOnSimplex(weights)
    yield "", p.KullbackLeiblerOnCappedSimplex(weights, np.full(5, 0.4))
    yield "", p.Lasso(A, b, 0.3)
    yield "", p.MatrixGame(rng.standard_normal((4, 5)))
    yield "", p.PoissonDeblurring(rng.poisson(5.0, (8, 8)) + 1.0, GaussianBlur(1.0, radius=2), background=0.1)
    yield "", p.PoissonOnSimplex(weights)
    yield "", p.SimplexProjection(q)
    yield "", p.SparseLogisticRegression(A, np.sign(b), 0.1)


def _stochastic() -> Iterator[Any]:
    from optlab import stochastic as s

    rng = np.random.default_rng(2)
    A = rng.standard_normal((30, 4))
    y = A @ np.ones(4) + 0.1 * rng.standard_normal(30)
    signs, classes = np.sign(A[:, 0] + 0.1), np.argmax(A[:, :3], axis=1)
    yield "", s.LeastSquares(A, y, l2=0.01)
    yield "", s.LogisticRegression(A, signs, l2=0.01)
    yield "", s.SoftmaxRegression(A, classes, l2=0.01)
    yield "", s.SigmoidLeastSquares(A, (signs + 1) / 2)
    yield "", s.TanhLeastSquares(A, signs)
    yield "", s.PhaseRetrieval(A, (A @ np.ones(4)) ** 2)
    yield "", s.MatrixFactorization(rng.random((6, 5)), rank=2)
    yield "", s.NeuralNetwork(A, classes, hidden=(4,), l2=0.01)
    yield "", s.NonlinearLeastSquares(_residuals, _jacobian, n_samples=3, shape=2)


def _quantization() -> Iterator[Any]:
    from optlab.quantization import SEQ, LearnedScales
    from optlab.stochastic import SoftmaxRegression

    A = np.random.default_rng(3).standard_normal((30, 4))
    yield "", LearnedScales(SoftmaxRegression(A, np.argmax(A[:, :3], axis=1)), SEQ(2))


def _residuals(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return x[0] + x[1] * rows - np.array([1.0, 2.0, 2.5])[rows]


def _jacobian(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.stack([np.ones(len(rows)), rows.astype(float)], axis=1)


def _policy() -> Iterator[Any]:
    from optlab.policy.environments import frozen_lake, garnet, lqr

    yield "garnet", garnet(6, 3, 2, discount=0.9, seed=0)
    yield "lake", frozen_lake("4x4")
    yield "", lqr(seed=0)


def _multiview() -> Iterator[Any]:
    from optlab.datasets.multiview import make_linked_views
    from optlab.multiview import LinkedComponents

    views = make_linked_views("S", seed=0).views
    yield "", LinkedComponents([view - view.mean(0) for view in views], lam=1.0, max_rank=3)


def _games() -> Iterator[Any]:
    from optlab.games import FiniteSumInclusion, MatrixGame, OnlineStream, PreferenceGame, SaddlePoint

    rng = np.random.default_rng(20)
    yield "operator", MatrixGame(rng.standard_normal((4, 3)))
    yield "entropic", MatrixGame(rng.standard_normal((4, 3)), geometry="entropy")
    yield "", SaddlePoint(rng.standard_normal((3, 2)), 0.1 * np.eye(3), 0.2 * np.eye(2), rng.standard_normal(3))
    yield "", FiniteSumInclusion(np.array([np.diag(rng.uniform(0.1, 1.0, 3)) for _ in range(9)]), rng.random((9, 3)))
    yield "", OnlineStream(rng.standard_normal((2000, 3)))
    upper = np.triu(rng.random((4, 4)), 1)
    yield "", PreferenceGame(upper + np.tril(1.0 - upper.T, -1) + 0.5 * np.eye(4), rng.random(4) + 0.1, beta=0.4)


PROBLEMS: dict[str, Any] = {
    f"{type(problem).__name__}{'-' + word if word else ''}": problem
    for family in (_splitting, _transport, _stochastic, _quantization, _policy, _multiview, _games)
    for word, problem in family()
}
