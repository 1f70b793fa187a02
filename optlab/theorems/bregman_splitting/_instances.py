"""What the theorem checks of the Bregman splitting paper share: instances, independent oracles, small summaries.

The checks run the library's own solvers through `optlab.iterate` and `optlab.solve`. What is coded here a second time,
in the plainest way, is what they are compared with: the textbook iteration on dense matrices, the linear program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

import optlab
from optlab.bregman import FermiDirac, Hellinger, ShannonEntropy, SquaredEuclidean
from optlab.datasets import transport_family
from optlab.reproduce.evidence_strength import nearness
from optlab.transport import OptimalTransport

PAPER = "bregman-splitting"
DERIVED = "derived here, verified numerically"
KERNELS = (ShannonEntropy(), FermiDirac(), Hellinger(), SquaredEuclidean())

Array = Any


def states(problem: Any, method: Any, n: int, x0: Any = None) -> Iterator[Any]:
    """Yield the states after 1, ..., n iterations; ``state.x``, ``state.y`` are then x_0, y_0, x_1, ..."""
    return islice(optlab.iterate(problem, method, x0=x0), 1, n + 1)


def worst_of(runs: Iterable[tuple[Any, Any]], slack: float) -> tuple[Array, Array]:
    """Return observed values and bound of the run that comes nearest to its bound, or goes furthest beyond it.

    `slack` is to be that of the evidence: if any run violates its bound, so does the one returned, see `nearness`.
    """
    arrays = [(np.asarray(observed, dtype=float), np.asarray(bound, dtype=float)) for observed, bound in runs]
    return max(arrays, key=lambda run: float(np.max(nearness(run[0], run[1], slack))))


def distance(first: Array, second: Array) -> float:
    """Return the largest absolute difference of two arrays."""
    return float(np.max(np.abs(first - second)))


# ---------------------------------------------------------------------------------------------- optimal transport


def instance(family: str, size: tuple[int, int], seed: int) -> tuple[Array, Array, Array]:
    """Return marginals and cost of an instance of the family with the shape `size`."""
    return transport_family(family, size[0], size[1], seed=seed)


def log_plan(mirror: Any, cost: Array) -> Array:
    """Return ``log X`` of a mirror point ``log X_ij = row_i + column_j - inverse_temperature C_ij``."""
    return mirror.row[:, None] + mirror.column[None, :] - mirror.inverse_temperature * cost


def dense_splitting(
    a: Array, b: Array, cost: Array, gamma: float, theta: float, relaxation: float, n: int, mistake: str = ""
) -> list[tuple[Array, Array, Array]]:
    """Return (x_k, y_k, z_{k+1}) of the textbook iteration on dense matrices, from the matrix of ones.

    ``X = rows(Z e^{-g (1-theta) C})``, ``Y = columns((X*X/Z) e^{-g theta C})``, ``Z+ = Z (Y/X)^relaxation``. With
    ``mistake="columns"`` the column factors are taken from X instead of the reflected point X*X/Z.
    """
    Z, points = np.ones_like(cost), []
    for _ in range(n):
        X = Z * np.exp(-gamma * (1 - theta) * cost)
        X *= (a / X.sum(axis=1))[:, None]
        W = X * X / Z * np.exp(-gamma * theta * cost)
        source = X * np.exp(-gamma * cost) if mistake == "columns" else W
        Y = W * (b / source.sum(axis=0))
        Z = Z * (Y / X) ** relaxation
        points.append((X, Y, Z))
    return points


class Vertex(NamedTuple):
    """An optimal transport problem solved as a linear program."""

    plan: Array
    f: Array
    g: Array
    value: float

    def reduced(self, cost: Array) -> Array:
        """Return the reduced costs ``C - f - g``, with the rounding on the support removed."""
        slack = cost - self.f[:, None] - self.g[None, :]
        return np.where(self.plan > 0, 0.0, np.maximum(slack, 0.0))


def linear_program(a: Array, b: Array, cost: Array) -> Vertex:
    """Solve an optimal transport problem exactly: the basis from HiGHS, its values by solving two linear systems.

    The dual potentials are those of the basis. A degenerate basis is completed by the least-squares solution.
    """
    from scipy.optimize import linprog

    n, m = cost.shape
    rows = np.kron(np.eye(n), np.ones((1, m)))
    columns = np.kron(np.ones((1, n)), np.eye(m))
    constraints, sums = np.vstack([rows, columns]), np.concatenate([a, b])
    answer = linprog(cost.ravel(), A_eq=constraints, b_eq=sums, method="highs-ds")
    support = answer.x > 1e-9 * a.sum()
    plan = np.zeros(n * m)
    plan[support] = np.linalg.lstsq(constraints[:, support], sums, rcond=None)[0]
    duals = np.linalg.lstsq(constraints[:, support].T, cost.ravel()[support], rcond=None)[0]
    if np.count_nonzero(support) < n + m - 1:  # several components: the solver's own duals tie them together
        duals = answer.eqlin.marginals
    plan = plan.reshape(n, m)
    return Vertex(plan, duals[:n], duals[n:], float(np.sum(cost * plan)))


def singular_values(plan: Array) -> Array:
    """Return the singular values of ``diag(a)^{-1/2} X diag(b)^{-1/2}``, a and b the marginals of X; the first is 1."""
    a, b = plan.sum(axis=1), plan.sum(axis=0)
    return np.linalg.svd(plan / np.sqrt(np.outer(a, b)), compute_uv=False)


def gauged(a: Array, b: Array, cost: Array, vertex: Vertex, **options: Any) -> OptimalTransport:
    """Return the problem with the reduced costs of its solution as cost: same plans, bounded potentials."""
    return OptimalTransport(a, b, vertex.reduced(cost), **options)


def nondegenerate(n: int, m: int, seed: int) -> tuple[Array, Array, Array, Vertex]:
    """Return a random instance with a unique solution whose support is a tree, and the solution.

    Seeds at which the solution is (nearly) degenerate are passed over.
    """
    for attempt in range(100):
        a, b, cost = instance("rand", (n, m), 1000 * seed + attempt)
        vertex = linear_program(a, b, cost)
        slack = vertex.reduced(cost)[vertex.plan == 0]
        if (
            np.count_nonzero(vertex.plan) == n + m - 1
            and slack.min() > 1e-3
            and vertex.plan[vertex.plan > 0].min() > 1e-3
        ):
            return a, b, cost, vertex
    raise RuntimeError("no nondegenerate instance among 100 seeds")  # pragma: no cover
