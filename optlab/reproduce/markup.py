"""Small pieces of HTML and text that the parts of the report share."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Any

MARKS = {
    "held": ("yes", "✔", "held"),
    "partly": ("some", "◐", "what was tested held; some claims were not tested"),
    "untested": ("na", "–", "not tested"),
    "skipped": ("na", "–", "skipped"),
    "pending": ("na", "○", "has not run"),
    "failed": ("no", "✘", "did not hold"),
}


def escape(value: Any) -> str:
    """Return a value as HTML text."""
    return html.escape(str(value), quote=True)


def prose(value: str) -> str:
    """Escaped prose in which `backticks` become code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(value))


def mark(holds: Any) -> str:
    """Return a tick, a cross, or a dash for what was not tested."""
    return standing_mark("untested" if holds is None else ("held" if holds else "failed"))


def standing_mark(standing: str) -> str:
    """Return the mark of a record's standing: only what ran and held has a tick."""
    look, sign, words = MARKS[standing]
    return f'<span class="{look}" title="{words}">{sign}</span>'


def alarm(text: str, look: str) -> str:
    """Return text that calls for attention: ``"no"`` if something failed, ``"some"`` if something is missing."""
    return f'<span class="{look}">{text}</span>'


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


def source_page(name: str, text: str) -> str:
    """Return a source file as an HTML page whose lines can be linked to."""
    lines = "".join(
        f'<li id="L{i}"><code>{escape(line) or " "}</code></li>' for i, line in enumerate(text.split("\n"), 1)
    )
    style = (
        ":root{color-scheme:light dark}body{margin:1.5rem;font:14px/1.45 ui-monospace,Menlo,Consolas,monospace}"
        "ol{padding-left:3.5rem}code{white-space:pre-wrap;font:inherit}li::marker{color:#888}"
        "li:target{background:#f6d87a55}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(name)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style>'
        f"<body><b>{escape(name)}</b><ol>{lines}</ol></body></html>\n"
    )
