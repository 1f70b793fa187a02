"""
My own problem and my own method
================================

A problem says what is to be solved and how good an iterate is. A method is hyperparameters and one step. Neither
inherits from anything that it does not want to: `optlab.solve` brings recording, stopping, timing, checkpoints,
interruption and plots.

The problem here is non-negative least squares, the method projected gradient descent with Nesterov's momentum.
"""

from dataclasses import dataclass

import numpy as np

import optlab
from optlab.core import Method, State


class NonNegativeLeastSquares:
    """Minimise ``|A x - b|^2 / 2`` over ``x >= 0``."""

    primary_metric = "gap"

    def __init__(self, A, b):
        self.A, self.b, self.lipschitz = A, b, np.linalg.norm(A, 2) ** 2

    def default_start(self, rng):
        return np.zeros(self.A.shape[1])

    def measure(self, x):
        residual = self.A @ x - self.b
        # dual feasible: the residual shifted until A^T dual >= 0 (possible since the column sums are positive)
        shift = max(0.0, np.max(-(self.A.T @ residual) / self.A.T.sum(1)))
        dual = residual + shift
        gap = 0.5 * residual @ residual + 0.5 * dual @ dual + self.b @ dual
        return {"gap": gap, "zeros": float(np.sum(x == 0))}


@dataclass
class Momentum(State):
    x: np.ndarray
    previous: np.ndarray


@dataclass(frozen=True)
class ProjectedGradient(Method):
    momentum: bool = True

    def init(self, problem, x0, rng):
        return Momentum(0, x0, x0)

    def step(self, problem, state):
        beta = state.k / (state.k + 3) if self.momentum else 0.0
        y = state.x + beta * (state.x - state.previous)
        gradient = problem.A.T @ (problem.A @ y - problem.b)
        return Momentum(state.k + 1, np.maximum(y - gradient / problem.lipschitz, 0), state.x)

    def iterate(self, problem, state):
        return state.x


# %%
# That is all. Run it with and without momentum, to a certified gap of 1e-3, and compare.

rng = np.random.default_rng(0)
A = rng.random((200, 80))
problem = NonNegativeLeastSquares(A, A @ np.maximum(rng.standard_normal(80), 0) + 0.1 * rng.standard_normal(200))

runs = {
    "with momentum": optlab.solve(problem, ProjectedGradient(), max_iter=20_000, tol=1e-3),
    "plain": optlab.solve(problem, ProjectedGradient(momentum=False), max_iter=20_000, tol=1e-3),
}
print(runs["with momentum"])
ax = optlab.compare(runs)

# %%
# The gap is a certificate: with ``y = A x - b`` shifted so that ``A^T y >= 0``, weak duality bounds the distance to the
# optimum without knowing it. An independent solver agrees:

from scipy.optimize import nnls

reference = nnls(A, problem.b)[0]
print("distance to scipy.optimize.nnls:", np.abs(runs["with momentum"].solution - reference).max())

# %%
# A run can be stopped and gone on with: ``optlab.solve(problem, method, x0=result)`` continues the momentum as if the
# run had never stopped, and ``checkpoint="run.npz", resume=True`` does the same across processes.

more = optlab.solve(problem, ProjectedGradient(), x0=runs["with momentum"], max_iter=10)
print(more.message)
