"""Which term of a problem goes where in a method: slots, and the assignment of every term to one of them.

A method for sums of terms says in ``slots`` what it takes: "any number of terms with a gradient, and at most one with a
proximal operator". A problem of several terms has ``terms``, each with a ``name`` and the set ``offers`` of what it can
answer. The assignment is exhaustive: a problem fits a method if *all* its terms find a place. This file knows what the
oracles are called, and not what they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Slot:
    """A place for terms in a method.

    Parameters
    ----------
    name : str
        What the method calls the terms in it.
    oracles : tuple of str
        What each of them must offer, all of it.
    at_most : int, optional
        Default: any number.
    at_least : int, default 0

    Examples
    --------
    >>> Slot("g", ("proximal",), at_most=1).words()
    'at most one term with proximal'
    """

    name: str
    oracles: tuple[str, ...]
    at_most: int | None = None
    at_least: int = 0

    def words(self) -> str:
        """Return what it takes, in words."""
        number = {
            (0, None): "any terms",
            (0, 1): "at most one term",
            (1, 1): "one term",
            (1, None): "at least one term",
            (2, 2): "two terms",
        }.get((self.at_least, self.at_most))
        if number is None:
            number = f"{self.at_least} to {self.at_most if self.at_most is not None else 'any number of'} terms"
        return f"{number} with {' and '.join(self.oracles)}" if self.oracles else number


def assign(terms: Sequence[Any], slots: Sequence[Slot]) -> dict[str, tuple[Any, ...]] | str:
    """Return the terms of every slot, or the reason why they do not all fit.

    A term goes into the first slot, in the order of `slots`, that takes it and leaves the others a place.

    Parameters
    ----------
    terms : sequence
        Objects with ``name`` and ``offers``.
    slots : sequence of Slot

    Returns
    -------
    dict of str to tuple, or str
        By the slot's name, the terms in their own order.

    Examples
    --------
    >>> from types import SimpleNamespace as Term
    >>> f, g = Term(name="loss", offers={"gradient"}), Term(name="norm", offers={"proximal"})
    >>> slots = (Slot("f", ("gradient",)), Slot("g", ("proximal",), at_most=1))
    >>> [[term.name for term in found] for found in assign([g, f], slots).values()]
    [['loss'], ['norm']]
    >>> assign([g, f, g], slots)
    "takes any terms with gradient, at most one term with proximal, but of the terms 'norm' (proximal), 'loss' \
(gradient), 'norm' (proximal) they do not hold all"
    """
    fitting = [[i for i, slot in enumerate(slots) if set(slot.oracles) <= set(term.offers)] for term in terms]
    takes = f"takes {', '.join(slot.words() for slot in slots)}"
    for term, fits in zip(terms, fitting):
        if not fits:
            return f"{takes}; the term {_shown(term)} is none of these, and would be ignored"
    counts = [0] * len(slots)
    places = [0] * len(terms)
    if not _place(0, fitting, slots, counts, places):
        return f"{takes}, but of the terms {', '.join(map(_shown, terms))} they do not hold all"
    return {slot.name: tuple(t for t, place in zip(terms, places) if place == i) for i, slot in enumerate(slots)}


def _place(k: int, fitting: list[list[int]], slots: Sequence[Slot], counts: list[int], places: list[int]) -> bool:
    if k == len(fitting):
        return all(count >= slot.at_least for count, slot in zip(counts, slots))
    for i in fitting[k]:
        most = slots[i].at_most
        if most is not None and counts[i] >= most:
            continue
        counts[i] += 1
        places[k] = i
        if _place(k + 1, fitting, slots, counts, places):
            return True
        counts[i] -= 1
    return False


def _shown(term: Any) -> str:
    return f"{term.name!r} ({', '.join(sorted(term.offers)) or 'no oracle'})"
