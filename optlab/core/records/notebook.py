"""What notebooks show of results, histories, studies and methods: status, metrics, a sparkline, the certificate.

Colours follow the text, so that a dark notebook stays readable; nothing is loaded and nothing is scripted.
"""

from __future__ import annotations

import dataclasses
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.identity import stable_repr

if TYPE_CHECKING:
    from optlab.core.records.history import History
    from optlab.core.records.result import Result
    from optlab.core.studies.runs import Study

_MARKS = {"CONVERGED": "✔", "DIVERGED": "✘", "INFEASIBLE": "✔", "UNBOUNDED": "✔"}


def sparkline(x: Any, y: Any, width: int = 180, height: int = 36) -> str:
    """Return a curve as inline SVG; the height is logarithmic if all values are positive.

    Examples
    --------
    >>> sparkline([0, 1, 2], [1.0, 0.1, 0.01]).count(",")
    3
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    if len(x) < 2:
        return ""
    if (y > 0).all():
        y = np.log(y)
    if x[-1] > 300 * max(1.0, x[0]):
        x = np.log1p(x)  # as `compare` draws long runs
    across = 2 + (width - 4) * (x - x[0]) / ((x[-1] - x[0]) or 1.0)
    down = 2 + (height - 4) * (y.max() - y) / ((y.max() - y.min()) or 1.0)
    step = max(1, len(x) // 200)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across[::step], down[::step]))
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="its course"><polyline points="{points}" '
        'fill="none" stroke="currentColor" stroke-width="1.4"/></svg>'
    )


def result_html(result: Result) -> str:
    """Return what a notebook shows of a result."""
    history = result.history
    name = history.primary_metric
    rows = [
        ("method", _shortened(result.method)),
        ("problem", _shortened(result.problem)),
        ("iterations", str(result.n_iter)),
        ("solve time", f"{result.solve_time:.3g} s (and {result.setup_time:.3g} s to set up)"),
        *((metric, f"{value:.6g}") for metric, value in result.metrics.items()),
    ]
    if result.certificate is not None:
        rows.append(("certificate", _shortened(result.certificate)))
    status = result.status.name
    head = f"<b>{_MARKS.get(status, '•')} {status}</b> {escape(result.message)}"
    return f"<div>{head}{_curve(history, name)}{_rows(rows)}</div>"


def history_html(history: History) -> str:
    """Return what a notebook shows of a history."""
    last = history.last
    rows = [(name, f"{value:.6g}") for name, value in last.items()]
    head = f"<b>History</b> of {len(history)} records; the last one:"
    return f"<div>{head}{_curve(history, history.primary_metric)}{_rows(rows)}</div>"


def method_html(method: Any) -> str:
    """Return what a notebook shows of a method: its hyperparameters, what it needs of a problem, its paper."""
    name = type(method).__name__
    if not dataclasses.is_dataclass(method):
        return f"<b>{escape(name)}</b>"
    rows = [(f.name, _shortened(getattr(method, f.name))) for f in dataclasses.fields(method) if f.repr]
    for word, value in (("needs", ", ".join(getattr(method, "requires", ()))), ("paper", _paper(method))):
        rows += [(word, value)] if value else []
    return f"<div><b>{escape(name)}</b>{_rows(rows)}</div>"


def _paper(method: Any) -> str:
    reference = getattr(method, "reference", None)
    return f"{reference}: optlab.cite(method)" if isinstance(reference, str) else ""


def study_html(study: Study) -> str:
    """Return what a notebook shows of a study: the summary, and each method's first run as a sparkline."""
    parts = [f"<b>{escape(study._head())}</b>"]
    if study.runs and all(run.result.history.primary_metric for run in study):
        parts.append(study.summary()._repr_html_())
        cells = []
        for method, results in study.results.items():
            history = results[0].history
            name = str(history.primary_metric)
            if "iteration" in history and name in history:
                cells.append(f"<td>{escape(method)}<br>{sparkline(history['iteration'], history[name])}</td>")
        parts.append(f"<table><tr>{''.join(cells)}</tr></table>" if cells else "")
    for (problem, method), why in study.incompatible.items():
        parts.append(f"<div>left out: {escape(method)} on {escape(problem)}: {escape(why)}</div>")
    return f"<div>{''.join(parts)}</div>"


def _curve(history: History, name: str | None) -> str:
    if name is None or name not in history or "iteration" not in history:
        return ""
    drawn = sparkline(history["iteration"], history[name])
    return f'<div title="{escape(name)} over iterations">{drawn} {escape(name)}</div>' if drawn else ""


def _rows(rows: list[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><td style="text-align:left">{escape(name)}</td><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def _shortened(value: Any, limit: int = 160) -> str:
    text = " ".join(stable_repr(value).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


__all__ = ["history_html", "method_html", "result_html", "sparkline", "study_html"]
