"""Figures: what an experiment returns, and the registry of the functions that return one.

An experiment file ``experiments/<paper>/<figure>.py`` decorates a function with `figure`: it gets a scale and a seed,
runs what there is to run, and answers with `Runs`. Beside it stand how they are drawn, and whether each claim of the
paper is borne out by them:

    @optlab.figure(id=..., paper=..., title=..., panels=(1, 2))
    def figure(scale, seed):
        return Runs({"gaps": {...}}, results=...)

    @figure.draw
    def _(axes, runs): ...

    @figure.claims
    def _(runs):
        yield "The gap halves.", holds, number

Or the function answers with a whole `Figure`. Running, caching and reporting are elsewhere.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from optlab.core.interrupts import raising

SCALES = ("smoke", "cpu", "paper")

Part = TypeVar("Part", bound=Callable[..., Any])


def at_scale(scale: str, smoke: Any, cpu: Any, paper: Any = None) -> Any:
    """Return the value that belongs to a scale; `paper` defaults to that of ``cpu``.

    Examples
    --------
    >>> at_scale("smoke", 10, 1000), at_scale("paper", 10, 1000)
    (10, 1000)
    """
    return {"smoke": smoke, "cpu": cpu, "paper": cpu if paper is None else paper}[scale]


class _Claim(NamedTuple):
    sentence: str
    holds: bool | None
    number: Any = None


class Claim(_Claim):
    """One sentence of the paper, whether the figure bears it out, and the number that says so.

    `holds` None means: not tested here, for the `reason` given (shown, and neither passed nor failed). A comparison
    that could not have come out otherwise is not a test either.
    """

    reason: str = ""

    @property
    def text(self) -> str:
        """The number as the report prints it: four digits, or whatever string it is."""
        return number_text(self.number)


@dataclass(eq=False)
class Figure:
    """A drawn result: data, drawing and claims.

    Parameters
    ----------
    data : mapping
        Either one table ``{"column": values, ...}`` (columns of equal length; single numbers are repeated) or
        several ``{"table": {"column": values, ...}, ...}``. A value that is an array of two or more
        dimensions (an image, a matrix) may stand in place of a table. Tables are written as CSV, arrays as
        ``.npy``.
    draw : callable
        ``draw(ax)`` with one Axes; with `panels` other than (1, 1) it gets the array of Axes, one-dimensional
        if there is a single row or column.
    claims : sequence of (sentence, bool, number) or (sentence, bool, number, reason)
        What the paper says, whether the figure shows it, and the number behind the verdict (a float, or a
        string where one number does not tell it). None instead of the bool: not tested; `reason` says why in a few
        words, and is shown only then; default "not tested at this scale".
    numbers : sequence of (sentence, number)
        What was measured beside the claims and is reported, not judged.
    caption : str
        Sentences for the reader of the report.
    panels : (int, int), default (1, 1)
        Rows and columns of Axes.
    figsize : (float, float), optional
        Inches; default 5.2 x 3.6 for one panel, 4.2 x 3.2 each for more.
    sharex, sharey : bool
        Whether panels share their axes.

    Examples
    --------
    >>> fig = Figure({"k": [1, 2], "gap": [0.5, 0.25]}, lambda ax: ax.plot([1, 2], [0.5, 0.25]),
    ...              claims=[("The gap halves.", True, 0.5)])
    >>> fig.claims[0].text, sorted(fig.tables())
    ('0.5', ['data'])
    """

    data: Mapping[str, Any]
    draw: Callable[[Any], Any]
    claims: Sequence[Any] = ()
    caption: str = ""
    panels: tuple[int, int] = (1, 1)
    figsize: tuple[float, float] | None = None
    sharex: bool = False
    sharey: bool = False
    numbers: Sequence[tuple[str, Any]] = ()
    skipped: str = field(default="", init=False)

    def __post_init__(self) -> None:
        if not callable(self.draw):
            raise TypeError(f"draw must be callable as draw(ax), got {type(self.draw).__name__}")
        self.claims = [_as_claim(claim, i) for i, claim in enumerate(self.claims)]
        rows, columns = self.panels
        if rows < 1 or columns < 1:
            raise ValueError(f"panels must be two positive numbers (rows, columns), got {self.panels!r}")
        self.tables()  # a malformed table is an error where it was made, not later in the runner

    @classmethod
    def skip(cls, reason: str, claims: Sequence[str] = ()) -> Figure:
        """Return the figure that stands for one that cannot be made here.

        Parameters
        ----------
        reason : str
            What is missing, in a few words: ``"needs gymnasium: pip install 'optlab[rl]'"``.
        claims : sequence of str
            The sentences that are left untested by it.

        Examples
        --------
        >>> fig = Figure.skip("needs gymnasium", ["The pole stays up."])
        >>> fig.skipped, fig.claims[0].holds, fig.claims[0].reason
        ('needs gymnasium', None, 'needs gymnasium')
        """
        made = cls({}, lambda axes: None, claims=[(sentence, None, None, reason) for sentence in claims])
        made.skipped = reason
        return made

    def tables(self) -> dict[str, dict[str, np.ndarray] | np.ndarray]:
        """Return the data as named tables and arrays; a single table is called ``data``."""
        if not isinstance(self.data, Mapping):
            raise TypeError(f"data must be a mapping of columns or of tables, got {type(self.data).__name__}")
        nested = [name for name, value in self.data.items() if isinstance(value, Mapping) or np.ndim(value) > 1]
        if not nested:
            return {"data": _as_table(self.data, "data")} if self.data else {}
        if len(nested) != len(self.data):
            flat = next(name for name in self.data if name not in nested)
            raise ValueError(
                f"data mixes tables ({nested[0]!r}) and bare columns ({flat!r}); put the columns in a table"
            )
        return {
            str(name): _as_table(value, name) if isinstance(value, Mapping) else np.asarray(value)
            for name, value in self.data.items()
        }

    def render(self) -> Any:
        """Draw in the house style and return the matplotlib Figure (no backend, no window, no pyplot state)."""
        from matplotlib.figure import Figure as Canvas

        from optlab.plotting import house_style

        rows, columns = self.panels
        size = self.figsize or ((5.2, 3.6) if rows * columns == 1 else (4.2 * columns, 3.2 * rows))
        with house_style():
            canvas = Canvas(figsize=size, layout="constrained")
            axes = canvas.subplots(rows, columns, sharex=self.sharex, sharey=self.sharey)
            self.draw(axes)
        return canvas


class Runs(SimpleNamespace):
    """What the runs of a figure gave: tables to be written, and whatever else drawing, claims and caption read.

    Parameters
    ----------
    tables : mapping
        As `data` of `Figure`.
    **more
        Attributes.

    Examples
    --------
    >>> runs = Runs({"k": [1, 2], "gap": [0.5, 0.25]}, enough=True)
    >>> runs.tables["gap"], runs.enough
    ([0.5, 0.25], True)
    """

    def __init__(self, tables: Mapping[str, Any], **more: Any) -> None:
        super().__init__(tables=tables, **more)


@dataclass(frozen=True)
class FigureSpec:
    """A registered experiment: callable, with what `optlab list` shows of it.

    `draw`, `claims`, `caption` and `numbers` are decorators for the functions that make the figure of its `Runs`.
    """

    id: str
    paper: str
    title: str
    function: Callable[[str, int], Figure | Runs] = field(repr=False)
    file: str = field(default="", repr=False)
    layout: Mapping[str, Any] = field(default_factory=dict, repr=False)
    parts: dict[str, Callable[..., Any]] = field(default_factory=dict, repr=False)

    @raising()
    def __call__(self, scale: str = "cpu", seed: int = 0) -> Figure:
        result = self.function(scale, seed)
        if isinstance(result, Runs):
            return self._made(result)
        if not isinstance(result, Figure):
            raise TypeError(f"figure {self.id!r} must return an optlab.Figure or Runs, got {type(result).__name__}")
        return result

    def draw(self, function: Part) -> Part:
        """Register ``draw(axes, runs)``; `axes` as in `Figure`."""
        return self._part("draw", function)

    def claims(self, function: Part) -> Part:
        """Register ``claims(runs)``, which yields claims as in `Figure`."""
        return self._part("claims", function)

    def caption(self, function: Part) -> Part:
        """Register ``caption(runs)``, which returns the caption."""
        return self._part("caption", function)

    def numbers(self, function: Part) -> Part:
        """Register ``numbers(runs)``, which yields what is reported without being judged."""
        return self._part("numbers", function)

    def _part(self, name: str, function: Part) -> Part:
        if not callable(function):
            raise TypeError(f"@figure.{name} decorates a function, got {type(function).__name__}")
        self.parts[name] = function
        return function

    def _made(self, runs: Runs) -> Figure:
        if "draw" not in self.parts:
            raise TypeError(f"figure {self.id!r} has runs but no function under @figure.draw")
        draw = self.parts["draw"]
        asked = {name: part(runs) for name, part in self.parts.items() if name != "draw"}
        return Figure(
            runs.tables,
            lambda axes: draw(axes, runs),
            claims=list(asked.get("claims", ())),
            caption=asked.get("caption", ""),
            numbers=list(asked.get("numbers", ())),
            **self.layout,
        )


FIGURES: dict[str, FigureSpec] = {}


def figure(
    *, id: str, paper: str, title: str, **layout: Any
) -> Callable[[Callable[[str, int], Figure | Runs]], FigureSpec]:
    """Register ``fn(scale, seed)``, which returns `Runs` or a whole `Figure`, as an experiment.

    Parameters
    ----------
    id : str
        What a user types after ``optlab reproduce``; lower case words joined by hyphens.
    paper : str
        Key of the paper; a section of the report.
    title : str
        Heading of the figure in the report.
    **layout
        ``panels``, ``figsize``, ``sharex``, ``sharey`` of the `Figure` made of the runs.

    Examples
    --------
    >>> @figure(id="doc-halving", paper="doc", title="Halving")
    ... def halving(scale, seed):
    ...     return Runs({"k": [1, 2, 3], "gap": [0.5, 0.25, 0.125]})
    >>> @halving.draw
    ... def _(ax, runs):
    ...     ax.plot(runs.tables["k"], runs.tables["gap"])
    >>> @halving.claims
    ... def _(runs):
    ...     yield "The gap halves.", runs.tables["gap"][1] == runs.tables["gap"][0] / 2, runs.tables["gap"][1]
    >>> halving("smoke", 0).claims[0].holds
    True
    >>> del FIGURES["doc-halving"]
    """
    unknown = set(layout) - {"panels", "figsize", "sharex", "sharey"}
    if unknown:
        raise TypeError(f"figure takes panels, figsize, sharex and sharey beside its names, got {sorted(unknown)}")

    def register(function: Callable[[str, int], Figure | Runs]) -> FigureSpec:
        file, _ = place_of_registration()
        spec = FigureSpec(check_id(id), check_id(paper, "paper"), title, function, file, layout)
        add_unique(FIGURES, spec.id, spec, "figure")
        return spec

    return register


def check_id(value: Any, name: str = "id") -> str:
    """Return `value` if it can name files and be typed on a command line."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", value):
        raise ValueError(f"{name} must be lower-case letters, digits, '-', '_' or '.', got {value!r}")
    return value


def place_of_registration() -> tuple[str, int]:
    """Return the file and line that a decorator is called from; files beginning with ``_`` are looked through.

    A table of checks registered by a loop belongs to the file with the table, by which it is found.
    """
    frame = sys._getframe(2)
    while os.path.basename(frame.f_code.co_filename).startswith("_") and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def add_unique(registry: dict[str, Any], id: str, spec: Any, what: str) -> None:
    """Register `spec`; a file loaded again (or a notebook cell) replaces its own, another file may not."""
    old = registry.get(id)
    if old is not None and old.file != spec.file and os.path.isfile(old.file) and os.path.isfile(spec.file):
        raise ValueError(f"{what} id {id!r} is used twice: in {old.file} and in {spec.file}")
    registry[id] = spec


def number_text(number: Any) -> str:
    if number is None:
        return ""
    if isinstance(number, (bool, np.bool_)):
        return "yes" if number else "no"
    if isinstance(number, (int, np.integer)):
        return f"{int(number):,}".replace(",", " ")
    if isinstance(number, (float, np.floating)):
        return f"{float(number):.4g}"
    if isinstance(number, (tuple, list, np.ndarray)):
        return ", ".join(map(number_text, number.ravel().tolist() if isinstance(number, np.ndarray) else number))
    return str(number)


def _as_claim(value: Any, i: int) -> Claim:
    try:
        sentence, holds, *rest = value
    except (TypeError, ValueError):
        raise TypeError(f"claims[{i}] must be (sentence, bool, number), got {value!r}") from None
    if not isinstance(sentence, str) or len(rest) > 2 or any(not isinstance(reason, str) for reason in rest[1:]):
        raise TypeError(f"claims[{i}] must be (sentence, bool, number), got {value!r}")
    if not (holds is None or isinstance(holds, (bool, np.bool_))):
        raise TypeError(f"claims[{i}]: whether it holds must be True, False or None, got {holds!r}")
    claim = Claim(sentence, None if holds is None else bool(holds), rest[0] if rest else None)
    if holds is None:
        claim.reason = rest[1] if len(rest) > 1 and rest[1] else "not tested at this scale"
    return claim


def _as_table(columns: Mapping[str, Any], name: str) -> dict[str, np.ndarray]:
    table = {str(key): np.asarray(value) for key, value in columns.items()}
    for key, column in table.items():
        if column.ndim > 1:
            raise ValueError(f"column {key!r} of table {name!r} must be one-dimensional, got shape {column.shape}")
        if column.dtype == object:
            raise TypeError(f"column {key!r} of table {name!r} must hold numbers or strings of one kind")
    lengths = {key: column.size for key, column in table.items() if column.ndim == 1}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns of table {name!r} must have equal lengths, got {lengths}")
    n = next(iter(lengths.values()), 1)
    return {key: np.broadcast_to(column, (n,)) for key, column in table.items()}
