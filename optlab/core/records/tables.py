"""A small table of numbers and words that prints as text, HTML, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas


class Table:
    """Columns of equal length, by name.

    Parameters
    ----------
    columns : mapping of str to sequence
        Numbers or strings.
    digits : int, default 3
        Significant digits shown; `to_frame` has all.

    Examples
    --------
    >>> table = Table({"method": ["NGN", "SGD"], "gap": [1.5e-7, 0.25]})
    >>> table
    method      gap
    NGN     1.5e-07
    SGD        0.25
    >>> print(table.to_markdown())
    | method | gap |
    |:--|--:|
    | NGN | 1.5e-07 |
    | SGD | 0.25 |
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]], digits: int = 3) -> None:
        self.columns = {str(name): list(values) for name, values in columns.items()}
        self.digits = digits
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns must have equal lengths, got {lengths}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the rows, as dicts."""
        for row in zip(*self.columns.values()):
            yield dict(zip(self.columns, row))

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return self.columns[name]

    def to_frame(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame (needs pandas)."""
        return frame_of(self.columns, "Table.to_frame")

    def to_markdown(self) -> str:
        """Return the table in Markdown, numbers to the right."""
        rules = ["--:" if numeric else ":--" for numeric in self._numeric()]
        lines = ["| " + " | ".join(self.columns) + " |", "|" + "|".join(rules) + "|"]
        for row in self._cells():
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        return "\n".join(lines)

    def to_latex(self) -> str:
        r"""Return the table as a LaTeX ``tabular`` with the rules of the package booktabs; names are escaped.

        Examples
        --------
        >>> print(Table({"method": ["SGD_1"], "gap": [1.5e-7]}).to_latex())
        \begin{tabular}{lr}
        \toprule
        method & gap \\
        \midrule
        SGD\_1 & $1.5\times 10^{-7}$ \\
        \bottomrule
        \end{tabular}
        """
        layout = "".join("r" if numeric else "l" for numeric in self._numeric())
        head = " & ".join(latex_text(name) for name in self.columns)
        rows = [" & ".join(self._latex(value) for value in row.values()) + r" \\" for row in self]
        begin = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head + r" \\", r"\midrule"]
        return "\n".join([*begin, *rows, r"\bottomrule", r"\end{tabular}"])

    def __repr__(self) -> str:
        cells = [list(self.columns), *self._cells()]
        widths = [max(len(row[j]) for row in cells) for j in range(len(self.columns))]
        numeric = self._numeric()
        lines = []
        for row in cells:
            padded = [c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric)]
            lines.append("  ".join(padded).rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        numeric = self._numeric()
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        rows = [
            "".join(
                f'<td style="text-align:{"right" if right else "left"}">{escape(cell)}</td>'
                for cell, right in zip(row, numeric)
            )
            for row in self._cells()
        ]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _numeric(self) -> list[bool]:
        return [any(_is_number(v) for v in values) for values in self.columns.values()]

    def _cells(self) -> list[list[str]]:
        return [[number_text(value, self.digits) for value in row.values()] for row in self]

    def _latex(self, value: Any) -> str:
        if not _is_number(value):
            return latex_text(str(value))
        text = number_text(value, self.digits)
        mantissa, e, exponent = text.partition("e")
        if e:
            return rf"${mantissa}\times 10^{{{int(exponent)}}}$"
        return {"inf": r"$\infty$", "-inf": r"$-\infty$", "–": "--"}.get(text, f"${text}$" if text[0] == "-" else text)


def number_text(value: Any, digits: int = 3) -> str:
    """Return a number with so many significant digits, whole ones up to 10⁶ in full; anything else as ``str``.

    Examples
    --------
    >>> number_text(12345), number_text(0.123456), number_text(float("nan")), number_text("NGN")
    ('12345', '0.123', '–', 'NGN')
    """
    if not _is_number(value):
        return str(value)
    value = float(value)
    if math.isnan(value):
        return "–"
    if value == round(value, 0) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.{digits}g}"


def latex_text(text: str) -> str:
    r"""Return a text with LaTeX's special characters escaped; what stands between dollar signs is mathematics.

    Examples
    --------
    >>> print(latex_text(r"step_size, 5 %, $\gamma_0$"))
    step\_size, 5 \%, $\gamma_0$
    """
    parts = text.split("$")
    if len(parts) % 2 == 0:  # a single dollar sign is one
        parts = [text.replace("$", r"\$")]
    for i in range(0, len(parts), 2):
        for character in "&%#_":
            parts[i] = parts[i].replace(character, "\\" + character)
    return "$".join(parts)


def frame_of(columns: Mapping[str, Any], what: str) -> pandas.DataFrame:
    """Return a DataFrame, or raise an `ImportError` that names what needs pandas."""
    try:
        import pandas
    except ImportError:
        raise ImportError(f"{what} needs pandas: pip install pandas") from None
    return pandas.DataFrame({name: np.asarray(values) for name, values in columns.items()})


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


__all__ = ["Table", "frame_of", "latex_text", "number_text"]
