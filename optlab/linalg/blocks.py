"""Linear maps put together from blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.linalg.base import Array, LinearMap
from optlab.linalg.matrices import as_linear_map


class Blocks(LinearMap):
    """A grid of linear maps, acting on stacked vectors.

    With one column, the argument has the shape that all blocks take; with one row, the result has the shape that all
    give. Otherwise the parts are raveled and follow each other in one vector (`split_in`, `split_out` take it apart).

    Parameters
    ----------
    rows : sequence of maps, or of rows of maps
        A plain sequence is one column: ``Blocks([A, B])`` maps x to ``(A x, B x)``. A None in a row stands for zero.

    Notes
    -----
    The norm is bounded by that of the matrix of the blocks' norms, which for blocks side by side, below each other and
    on the diagonal are the usual rules: the root of the sum of squares, and the maximum.

    Examples
    --------
    >>> A, B = np.array([[1.0, 2.0]]), np.eye(2)
    >>> Blocks([A, B]).apply(np.array([1.0, 1.0]))
    array([3., 1., 1.])
    >>> Blocks([[A, None], [None, B]]).norm.__round__(6)
    2.236068
    """

    def __init__(self, rows: Sequence[Any]) -> None:
        try:
            given = [list(row) if isinstance(row, (list, tuple)) else [row] for row in rows]
        except TypeError:
            raise TypeError(f"rows must be a sequence of maps or of rows of maps, got {type(rows).__name__}") from None
        if not given or not given[0] or any(len(row) != len(given[0]) for row in given):
            raise ValueError("rows must be one or more rows of the same length")
        self.rows = tuple(tuple(None if block is None else as_linear_map(block) for block in row) for row in given)
        self._out = tuple(_common("row", i, row, "shape_out") for i, row in enumerate(self.rows))
        self._in = tuple(_common("column", j, column, "shape_in") for j, column in enumerate(zip(*self.rows)))
        self.shape_in = self._in[0] if len(self._in) == 1 else (sum(map(math.prod, self._in)),)
        self.shape_out = self._out[0] if len(self._out) == 1 else (sum(map(math.prod, self._out)),)

    def split_in(self, x: Array) -> list[Array]:
        """Return the parts of an argument, each in the shape that its column takes (views)."""
        return _parts(x, self._in)

    def split_out(self, y: Array) -> list[Array]:
        """Return the parts of a result, each in the shape that its row gives (views)."""
        return _parts(y, self._out)

    def apply(self, x: Array) -> Array:
        parts = self.split_in(x)
        return self._stacked(
            [_sum([A.apply(p) for A, p in zip(row, parts) if A is not None]) for row in self.rows], self._out
        )

    def adjoint(self, y: Array) -> Array:
        parts = self.split_out(y)
        return self._stacked(
            [_sum([A.adjoint(p) for A, p in zip(column, parts) if A is not None]) for column in zip(*self.rows)],
            self._in,
        )

    @staticmethod
    def _stacked(parts: list[Array], shapes: tuple[Any, ...]) -> Array:
        return parts[0] if len(shapes) == 1 else np.concatenate([np.ravel(part) for part in parts])

    def _norm_bound(self) -> float:
        norms = np.array([[0.0 if A is None else A.norm for A in row] for row in self.rows])
        return float(np.linalg.norm(norms, 2)) * (1.0 + 1e-15 * norms.size)

    def _tight(self) -> float | None:
        diagonal = all((A is None) == (i != j) for i, row in enumerate(self.rows) for j, A in enumerate(row))
        if not diagonal or len(self._in) != len(self._out):
            return None
        found = {self.rows[i][i].tight for i in range(len(self.rows))}  # type: ignore[union-attr]
        return found.pop() if len(found) == 1 else None


def _common(kind: str, index: int, blocks: Sequence[LinearMap | None], which: str) -> tuple[int, ...]:
    shapes = {getattr(block, which) for block in blocks if block is not None}
    if len(shapes) == 1:
        return shapes.pop()
    if not shapes:
        raise ValueError(f"{kind} {index} has no block, so its shape is unknown; put a zero matrix there")
    raise ValueError(f"the blocks of {kind} {index} must agree in {which}, got {sorted(shapes)}")


def _parts(x: Array, shapes: tuple[tuple[int, ...], ...]) -> list[Array]:
    if len(shapes) == 1:
        return [x]
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(x, ends), shapes)]


def _sum(parts: list[Array]) -> Array:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
