"""Quantizing a trained linear layer by its outputs on calibration data, and the exact best point of a grid.

The error of weights Q in place of W, (outputs, inputs), on inputs X is ``||X (W - Q)^T||^2 / n``. Each output is a
problem of its own, and its best levels solve the integer least-squares problem ``min ||X q - X w||``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from optlab.core.validation import as_float_array, as_integer, as_number
from optlab.quantization.maps import as_grid, nearest

Array = Any


def layer_error(weights: Any, quantized: Any, inputs: Any) -> float:
    """Return the mean squared change of the outputs, summed over them: ``||X (W - Q)^T||^2 / n``.

    Parameters
    ----------
    weights, quantized : array_like, shape (outputs, inputs)
    inputs : array_like, shape (n, inputs)

    Examples
    --------
    >>> layer_error([[0.9, 0.2]], [[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]])
    0.025
    """
    W, X = _layer(weights, inputs)
    Q = as_float_array(quantized, "quantized", shape=W.shape)
    return float(np.sum((X @ (W - Q).T) ** 2)) / len(X)


def error_feedback(weights: Any, inputs: Any, grid: Any, damping: float = 0.01) -> Array:
    """Return quantized weights of a layer: column by column, later columns make up for the error of earlier ones.

    Each column is rounded to the nearest levels; the weights that are still free then move to where they leave the
    least error, which the Cholesky factor of the inverse Gram matrix tells (OPTQ, or GPTQ).

    Parameters
    ----------
    weights : array_like, shape (outputs, inputs)
    inputs : array_like, shape (n, inputs)
        Calibration data.
    grid : array_like, shape (K,), or (outputs, K)
        One for all outputs, or one for each.
    damping : float, default 0.01
        What is added to the diagonal of ``X^T X / n``, times its mean; above 0.

    References
    ----------
    Frantar, Ashkboos, Hoefler, Alistarh (2023), OPTQ: accurate quantization for generative pre-trained transformers.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(50, 1)) + 0.3 * np.random.default_rng(1).normal(size=(50, 4))
    >>> W, grid = np.array([[0.4, 0.4, 0.4, 0.4]]), [-1.0, 0.0, 1.0]
    >>> Q = error_feedback(W, X, grid)
    >>> Q, layer_error(W, Q, X) < 0.5 * layer_error(W, nearest(W, grid), X)
    (array([[0., 1., 0., 1.]]), True)
    """
    W, X = _layer(weights, inputs)
    damping = as_number(damping, "damping", above=0)
    grids = np.asarray(grid, dtype=float)
    if grids.ndim == 2 and len(grids) != len(W):
        raise ValueError(f"grid must be one for all outputs or one for each of {len(W)}, got {len(grids)}")
    rows = [as_grid(g) for g in grids] if grids.ndim == 2 else None
    levels = None if rows is not None else as_grid(grid)
    gram = X.T @ X / len(X)
    size = float(np.mean(np.diag(gram)))
    gram[np.diag_indices_from(gram)] += damping * (size if size > 0 else 1.0)
    factor = np.linalg.cholesky(np.linalg.inv(gram)).T
    rest, Q = W.copy(), np.empty_like(W)
    for j in range(W.shape[1]):
        if rows is None:
            Q[:, j] = nearest(rest[:, j], levels)
        else:
            Q[:, j] = [nearest(rest[i : i + 1, j], g)[0] for i, g in enumerate(rows)]
        rest[:, j + 1 :] -= np.outer((rest[:, j] - Q[:, j]) / factor[j, j], factor[j, j + 1 :])
    return Q


def best_on_grid(A: Any, b: Any, grid: Any, *, max_nodes: int = 1_000_000) -> Array:
    """Return a minimiser of ``||A x - b||`` over all x with entries on the grid, exactly, by branch and bound.

    Depth first over the triangular factor, from the last coordinate, levels by their distance from the free optimum
    (Schnorr and Euchner); a branch ends where the part of the error that is fixed exceeds the best found.

    Parameters
    ----------
    A : array_like, shape (n, d)
        n at least d, of full column rank.
    b : array_like, shape (n,)
    grid : array_like, shape (K,)
    max_nodes : int, default 1_000_000
        How many partial assignments are looked at before giving up.

    Raises
    ------
    RuntimeError
        If more would be needed: the problem is NP-hard, and meant for a few dozen unknowns at most.

    References
    ----------
    Schnorr, Euchner (1994), Lattice basis reduction: improved practical algorithms and solving subset sum problems.

    Examples
    --------
    >>> best_on_grid([[1.0, 0.9], [0.0, 0.1]], [0.8, 0.04], [-1.0, 0.0, 1.0])
    array([0., 1.])
    """
    A = as_float_array(A, "A", ndim=2)
    b = as_float_array(b, "b", shape=(A.shape[0],))
    levels, limit = as_grid(grid), as_integer(max_nodes, "max_nodes", minimum=1)
    n, d = A.shape
    order = np.argsort(np.sum(A**2, axis=0), kind="stable")  # long columns are decided first
    Q, R = np.linalg.qr(A[:, order])
    scale = np.abs(np.diag(R)).max(initial=0.0)
    if n < d or np.any(np.abs(np.diag(R)) <= 1e-12 * scale):
        raise ValueError(f"A must have full column rank: {d} columns, {n} rows")
    y = Q.T @ b
    free = solve_triangular(R, y)
    x, best, least = np.zeros(d), nearest(free, levels), math.inf
    least = float(np.sum((R @ best - y) ** 2)) * (1.0 + 1e-12)
    nodes = 0

    def descend(i: int, so_far: float) -> None:
        nonlocal best, least, nodes
        centre = (y[i] - R[i, i + 1 :] @ x[i + 1 :]) / R[i, i]
        off = np.abs(levels - centre)
        for j in np.argsort(off, kind="stable"):
            cost = so_far + float(R[i, i] * off[j]) ** 2
            if cost >= least:
                return
            nodes += 1
            if nodes > limit:
                raise RuntimeError(f"best_on_grid looked at {limit} partial assignments (max_nodes) without an end")
            x[i] = levels[j]
            if i == 0:
                best, least = x.copy(), cost
            else:
                descend(i - 1, cost)

    descend(d - 1, 0.0)
    answer = np.empty(d)
    answer[order] = best
    return answer


def _layer(weights: Any, inputs: Any) -> tuple[Array, Array]:
    W = as_float_array(weights, "weights", ndim=2).astype(float)
    X = as_float_array(inputs, "inputs", ndim=2).astype(float)
    if X.shape[1] != W.shape[1] or not len(X):
        raise ValueError(f"inputs must have {W.shape[1]} columns, one per weight of an output, got shape {X.shape}")
    return W, X
