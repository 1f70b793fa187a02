"""Where a game is played, and how a method moves there: whole space, simplices with projections or with the entropy.

A method keeps a mirror point and asks for two things: the point behind it, and the mirror point after a step along a
direction, ``argmin_u <d, u> + D(u, z)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.projections import project_simplex

Array = Any


class WholeSpace:
    """No constraint; mirror points are points."""

    def mirror(self, x: Array) -> Array:
        """Return the mirror point of x."""
        return np.array(x, dtype=float)

    def primal(self, mirror: Array) -> Array:
        """Return the point."""
        return mirror

    def moved(self, mirror: Array, direction: Array) -> Array:
        """Return the point after a step."""
        return mirror - direction


class Simplices:
    """A product of simplices, Euclidean: projections."""

    def __init__(self, *sizes: int) -> None:
        self.edges = np.cumsum((0, *sizes))

    def blocks(self, x: Array) -> list[Array]:
        """Return the blocks of a vector, as views."""
        return [x[a:b] for a, b in zip(self.edges[:-1], self.edges[1:])]

    def mirror(self, x: Array) -> Array:
        """Return the projection of x."""
        return np.concatenate([project_simplex(block) for block in self.blocks(np.asarray(x, dtype=float))])

    def primal(self, mirror: Array) -> Array:
        """Return the point."""
        return mirror

    def moved(self, mirror: Array, direction: Array) -> Array:
        """Return the projection of the point after a step."""
        return self.mirror(mirror - direction)


class EntropicSimplices(Simplices):
    """A product of simplices with the entropy: mirror points are logarithms, normalised in each block."""

    def mirror(self, x: Array) -> Array:
        """Return the logarithms of x, -inf where it is 0."""
        with np.errstate(divide="ignore"):
            return self._normalized(np.log(np.asarray(x, dtype=float)))

    def _normalized(self, logits: Array) -> Array:
        parts = []
        for block in self.blocks(logits):
            top = block.max()
            parts.append(block - (top + np.log(np.sum(np.exp(block - top)))))
        return np.concatenate(parts)

    def primal(self, mirror: Array) -> Array:
        """Return the probabilities."""
        return np.exp(mirror)

    def moved(self, mirror: Array, direction: Array) -> Array:
        """Return the logarithms after a multiplicative step."""
        return self._normalized(mirror - direction)
