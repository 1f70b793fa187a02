"""From what a caller has to a `Cost`."""

from __future__ import annotations

from typing import Any

from optlab.core.backend import is_foreign
from optlab.transport.costs.base import Cost
from optlab.transport.costs.dense import DenseCost
from optlab.transport.costs.sparse import SparseCost


def as_cost(cost: Any) -> Cost:
    """Return `cost` as a `Cost`; arrays become a `DenseCost`, SciPy sparse ones a `SparseCost`.

    Arrays of other libraries become a `NamespaceCost`.

    Examples
    --------
    >>> as_cost([[1.0, float("nan")]])
    Traceback (most recent call last):
        ...
    ValueError: cost must be finite, got nan at index [0, 1] (+inf would forbid the pair)
    """
    if isinstance(cost, Cost):
        return cost
    if hasattr(cost, "tocsr"):
        return SparseCost(cost)
    if is_foreign(cost):
        from optlab.transport.costs.foreign import NamespaceCost

        return NamespaceCost(cost)
    return DenseCost(cost)
