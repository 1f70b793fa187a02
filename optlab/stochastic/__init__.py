"""Stochastic finite sums: problems, the non-negative Gauss-Newton (NGN) step size, and what it is compared with.

    from optlab.stochastic import LogisticRegression, NGN
    problem = LogisticRegression(A, y, l2=1e-4)
    result = optlab.solve(problem, NGN(sigma=1.0, batch_size=32), max_iter=20_000, seed=0)

An iteration is one step; ``oracle_calls`` counts per-sample gradients, and the history has an ``epoch`` column.
"""

from typing import TYPE_CHECKING, Any

from optlab.stochastic.averaging import Averaged
from optlab.stochastic.libsvm import read_libsvm
from optlab.stochastic.loop.method import StochasticMethod as StochasticMethod  # the base of methods, not one of them
from optlab.stochastic.loop.method import StochasticState, trace
from optlab.stochastic.loop.schedules import Decaying, StepDecay
from optlab.stochastic.methods.adagrad import AdaGrad, AdaGradNorm
from optlab.stochastic.methods.adam import Adam, AdamW
from optlab.stochastic.methods.dadaptation import DAdaptation
from optlab.stochastic.methods.line_search import SLS, AdaSLS
from optlab.stochastic.methods.ngn import NGN, NGND, NGNMD
from optlab.stochastic.methods.polyak import ALIG, AdaSPS, DecSPS, PolyakSGD
from optlab.stochastic.methods.prodigy import Prodigy
from optlab.stochastic.methods.proximal_point import StochasticProximalPoint
from optlab.stochastic.methods.schedule_free import ScheduleFree
from optlab.stochastic.methods.sgd import SGD
from optlab.stochastic.methods.variance_reduction import SAGA, SVRG
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.problems.linear import (
    LeastSquares,
    LinearModel,
    LogisticRegression,
    SigmoidLeastSquares,
    TanhLeastSquares,
)
from optlab.stochastic.problems.network import NeuralNetwork
from optlab.stochastic.problems.nonlinear import MatrixFactorization, NonlinearLeastSquares, PhaseRetrieval
from optlab.stochastic.problems.softmax import SoftmaxRegression
from optlab.stochastic.sweeps.sensitivity import sweep
from optlab.stochastic.sweeps.table import Sweep

if TYPE_CHECKING:
    from optlab.stochastic.estimators import NGNClassifier as NGNClassifier
    from optlab.stochastic.estimators import NGNRegressor as NGNRegressor

__all__ = [
    "NGNClassifier",
    "NGNRegressor",
    "ALIG",
    "NGN",
    "NGND",
    "NGNMD",
    "SAGA",
    "SGD",
    "SLS",
    "SVRG",
    "AdaGrad",
    "AdaGradNorm",
    "AdaSLS",
    "AdaSPS",
    "Adam",
    "AdamW",
    "Averaged",
    "DAdaptation",
    "DecSPS",
    "Decaying",
    "FiniteSum",
    "LeastSquares",
    "LinearModel",
    "LogisticRegression",
    "MatrixFactorization",
    "NeuralNetwork",
    "NonlinearLeastSquares",
    "PhaseRetrieval",
    "PolyakSGD",
    "Prodigy",
    "ScheduleFree",
    "SigmoidLeastSquares",
    "SoftmaxRegression",
    "StepDecay",
    "StochasticProximalPoint",
    "StochasticState",
    "Sweep",
    "TanhLeastSquares",
    "read_libsvm",
    "sweep",
    "trace",
]


def __getattr__(name: str) -> Any:
    """Load the scikit-learn estimators on first use: scikit-learn is slow to import."""
    if name in ("NGNClassifier", "NGNRegressor"):
        from optlab.stochastic import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
