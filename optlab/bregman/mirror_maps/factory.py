"""Mirror maps by name, for methods that take a string or an instance."""

from __future__ import annotations

from typing import Any

from optlab.bregman.mirror_maps.base import MirrorMap
from optlab.bregman.mirror_maps.euclidean import EuclideanMap
from optlab.bregman.mirror_maps.negative_entropy import NegativeEntropyMap
from optlab.core.validation import one_of

_PLAIN: dict[str, Any] = {
    "negative-entropy": NegativeEntropyMap,
    "kl": NegativeEntropyMap,
    "euclidean": EuclideanMap,
    "euclidean-full": lambda: EuclideanMap(domain="full"),
}


def mirror_map(name: str | MirrorMap) -> MirrorMap:
    """Return the mirror map of the given name; an instance is returned as it is.

    Parameters
    ----------
    name : str or MirrorMap
        ``"negative-entropy"`` (also ``"kl"``), ``"euclidean"``, ``"euclidean-full"``.

    Examples
    --------
    >>> mirror_map("kl")
    NegativeEntropyMap()
    """
    if isinstance(name, MirrorMap):
        return name
    if not isinstance(name, str):
        raise TypeError(f"mirror_map must be a name or a MirrorMap, got {type(name).__name__}")
    chosen: MirrorMap = _PLAIN[one_of(name, "mirror_map", list(_PLAIN))]()
    return chosen
