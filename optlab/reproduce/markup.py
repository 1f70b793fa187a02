"""Small pieces of HTML and text that the parts of the report share."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any


def escape(value: Any) -> str:
    """Return a value as HTML text."""
    return html.escape(str(value), quote=True)


def prose(value: str) -> str:
    """Escaped prose in which `backticks` become code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(value))


def mark(holds: Any) -> str:
    """Return a tick, a cross, or a dash for what was not tested."""
    if holds is None:
        return '<span class="na" title="not tested">–</span>'
    return '<span class="yes">✔</span>' if holds else '<span class="no">✘</span>'


def tally(values: list[Any]) -> str:
    """Return how many of those tested hold."""
    if not values:
        return "–"
    tested = [v for v in values if v is not None]
    text = f"{sum(tested)} / {len(tested)}"
    return f'<span class="no">{text}</span>' if False in values else text


def alarm(n: int) -> str:
    """Return a number that should be zero."""
    return f'<span class="no">{n}</span>' if n else "0"


def number(value: Any) -> str:
    """Return a number to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else escape(value)


def duration(value: float) -> str:
    """Return seconds in a unit that suits them."""
    if value >= 90:
        return f"{value / 60:.1f} min"
    if value >= 1:
        return f"{value:.1f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def human(name: str) -> str:
    """Return an id as words."""
    words = name.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def count(n: int, word: str) -> str:
    """Return a number of things, in the plural unless it is one."""
    return f"{n} {word}" + ("" if n == 1 else "s")


def join(words: Iterable[str]) -> str:
    """Return words with "and" between them."""
    return " and ".join(words)
