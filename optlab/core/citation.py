"""The BibTeX entry of the paper that a method or a theorem comes from."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any


@lru_cache(maxsize=1)
def bibliography() -> dict[str, str]:
    """Return every entry of ``optlab/references.bib`` by key."""
    text = resources.files("optlab").joinpath("references.bib").read_text(encoding="utf-8")
    entries = re.split(r"^(?=@)", text, flags=re.MULTILINE)
    found = {}
    for entry in entries:
        match = re.match(r"@\w+\{([^,\s]+),", entry)
        if match:
            found[match.group(1)] = entry.strip()
    return found


def cite(item: Any) -> str:
    """Return the BibTeX entry of the paper that `item` comes from.

    Parameters
    ----------
    item : object or str
        A method, problem or theorem (an object or class with a ``reference`` attribute), or a key of the bibliography.

    Raises
    ------
    ValueError
        If the item names no paper, or one that the bibliography does not have.

    Examples
    --------
    >>> import optlab
    >>> print(optlab.cite("ma2025bregman").splitlines()[1].strip())
    title   = {Bregman {Douglas-Rachford} Splitting Method},
    """
    key = item if isinstance(item, str) else getattr(item, "reference", None)
    if not isinstance(key, str):
        raise ValueError(f"{type(item).__name__} names no paper: it has no `reference` attribute")
    entries = bibliography()
    if key not in entries:
        raise ValueError(f"no bibliography entry {key!r}; there are {', '.join(sorted(entries))}")
    return entries[key]
