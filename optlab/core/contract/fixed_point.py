"""An iteration as a fixed-point map: what wrappers ask of a method, beyond the value that its map moves.

Every `Method` inherits these answers for a map that acts on a plain array in Euclidean space; a method whose variable
lives in another geometry, or whose map changes from step to step, says so by overriding them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


def flattened(value: Any) -> np.ndarray:
    """Return the numbers of a variable as one vector: of an array, or of the fields of a dataclass in their order.

    Raises
    ------
    TypeError
        If `value` is, or holds, something else.

    Examples
    --------
    >>> flattened(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 2., 3., 4.])
    """
    if isinstance(value, (np.ndarray, float, int)):
        return np.ravel(np.asarray(value, dtype=float))
    if isinstance(value, (tuple, list)):
        parts: Any = value
    elif dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        raise TypeError(
            f"a mirror point must be an array or a dataclass of arrays and numbers, got {type(value).__name__}; "
            "give the problem a method local_coordinates(difference, at)"
        )
    return np.concatenate([flattened(part) for part in parts])


@dataclasses.dataclass(frozen=True, eq=False)
class Stacked:
    """Several variables as one: closed under +, - and multiplication by a number, part by part.

    Examples
    --------
    >>> z = Stacked((np.array([1.0, 2.0]), 3.0))
    >>> (2.0 * z - z).parts
    (array([1., 2.]), 3.0)
    """

    parts: tuple[Any, ...]

    def __add__(self, other: Stacked) -> Stacked:
        return Stacked(tuple(a + b for a, b in zip(self.parts, other.parts)))

    def __sub__(self, other: Stacked) -> Stacked:
        return Stacked(tuple(a - b for a, b in zip(self.parts, other.parts)))

    def __rmul__(self, factor: float) -> Stacked:
        return Stacked(tuple(factor * part for part in self.parts))


class FixedPointMap:
    """The map T: variable -> variable of one iteration, seen through the states before and after it."""

    def displacement(self, before: Any, after: Any) -> Any:
        """Return ``T(z) - z`` of the iteration that led from the state `before` to `after`."""
        return self.variable(after) - self.variable(before)  # type: ignore[attr-defined]

    def coordinates(self, problem: Any, difference: Any, after: Any) -> np.ndarray:
        """Return a difference of variables as a vector whose Euclidean norm is its length near the state `after`."""
        return flattened(difference)

    def residual_length(self, problem: Any, before: Any, after: Any) -> float:
        """Return the length of the displacement; one that vanishes at solutions, even where variables diverge."""
        return float(np.linalg.norm(self.coordinates(problem, self.displacement(before, after), after)))

    def same_map(self, before: Any, after: Any) -> bool:
        """Return whether the iteration from `before` to `after` applied the same map as the one before it."""
        return True

    def transported(self, value: Any, first: Any, before: Any, after: Any) -> Any:
        """Return what becomes of an earlier variable `value` where the map has changed between `before` and `after`.

        `first` is the state that the iteration made of `value`.
        """
        return value
