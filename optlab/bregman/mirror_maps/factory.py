"""Mirror maps by name, for methods that take a string or an instance."""

from __future__ import annotations

from collections.abc import Callable

from optlab.bregman.mirror_maps.base import MirrorMap
from optlab.bregman.mirror_maps.euclidean import EuclideanMap
from optlab.bregman.mirror_maps.negative_entropy import NegativeEntropyMap
from optlab.bregman.mirror_maps.potential import HyperbolicMap
from optlab.bregman.mirror_maps.tsallis import TsallisMap
from optlab.core.validation import one_of

_PLAIN: dict[str, Callable[[], MirrorMap]] = {
    "negative-entropy": NegativeEntropyMap,
    "kl": NegativeEntropyMap,
    "euclidean": EuclideanMap,
    "euclidean-full": lambda: EuclideanMap(domain="full"),
}
_WITH_NUMBER: dict[str, Callable[..., MirrorMap]] = {"tsallis": TsallisMap, "hyperbolic": HyperbolicMap}


def mirror_map(name: str | MirrorMap) -> MirrorMap:
    """Return the mirror map of the given name; an instance is returned as it is.

    Parameters
    ----------
    name : str or MirrorMap
        ``"negative-entropy"`` (also ``"kl"``), ``"euclidean"``, ``"euclidean-full"``, ``"tsallis:0.5"``,
        ``"hyperbolic:0.1"``; the last two without a number have the default parameter.

    Raises
    ------
    ValueError
        If there is no map of that name, or the number after the colon is not one that the map takes.

    Examples
    --------
    >>> mirror_map("kl"), mirror_map("tsallis:1.5")
    (NegativeEntropyMap(), TsallisMap(q=1.5))
    """
    if isinstance(name, MirrorMap):
        return name
    if not isinstance(name, str):
        raise TypeError(f"mirror_map must be a name or a MirrorMap, got {type(name).__name__}")
    family, colon, parameter = name.partition(":")
    if family in _WITH_NUMBER:
        if not colon:
            return _WITH_NUMBER[family]()
        try:
            number = float(parameter)
        except ValueError:
            raise ValueError(f"mirror_map {name!r} must have a number after the colon, got {parameter!r}") from None
        return _WITH_NUMBER[family](number)
    return _PLAIN[one_of(name, "mirror_map", [*_PLAIN, *_WITH_NUMBER])]()
