"""Stochastic finite sums: problems, the non-negative Gauss-Newton (NGN) step size, and what it is compared with.

    from optlab.stochastic import LogisticRegression, NGN
    problem = LogisticRegression(A, y, l2=1e-4)
    result = optlab.solve(problem, NGN(sigma=1.0, batch_size=32), max_iter=20_000, seed=0)

An iteration is one step; ``oracle_calls`` counts per-sample gradients, and the history has an ``epoch`` column.
"""

from optlab.stochastic.averaging import Averaged
from optlab.stochastic.linear import (
    LeastSquares,
    LinearModel,
    LogisticRegression,
    SigmoidLeastSquares,
    TanhLeastSquares,
)
from optlab.stochastic.method import StochasticMethod, StochasticState, trace
from optlab.stochastic.ngn import NGN, NGND, NGNMD
from optlab.stochastic.polyak import PolyakSGD
from optlab.stochastic.problem import FiniteSum
from optlab.stochastic.schedules import Decaying, StepDecay
from optlab.stochastic.sgd import SGD

__all__ = [
    "NGN",
    "NGND",
    "NGNMD",
    "SGD",
    "Averaged",
    "Decaying",
    "FiniteSum",
    "LeastSquares",
    "LinearModel",
    "LogisticRegression",
    "PolyakSGD",
    "SigmoidLeastSquares",
    "StepDecay",
    "StochasticMethod",
    "StochasticState",
    "TanhLeastSquares",
    "trace",
]
