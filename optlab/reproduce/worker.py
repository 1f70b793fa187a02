"""What happens in a worker process: run one figure or theorem check, and pack the outcome.

The outcome is a *record* (plain JSON values: what the report shows) and *files* (name to bytes: pictures,
data). The parent process does all writing, so a worker needs no access to the results folder.

Statuses: ``done``; ``skipped`` (with the reason: something it needs is missing here); ``error`` (with the
traceback). An error is an outcome like any other: the run goes on.
"""

from __future__ import annotations

import csv
import inspect
import io
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from optlab.reproduce.discovery import Task, find, trace
from optlab.reproduce.evidence import Evidence
from optlab.reproduce.figures import Figure, number_text

Outcome = tuple[dict[str, Any], dict[str, bytes]]


def execute(task: Task, scale: str, seed: int, threads: int | None = None) -> Outcome:
    """Run `task` and return its record and files; never raises for an error in the task itself."""
    record: dict[str, Any] = {
        "kind": task.kind,
        "id": task.id,
        "paper": task.paper,
        "title": task.title,
        "origin": task.origin,
        "scale": scale,
        "seed": seed,
        "status": "done",
        "warnings": [],
        "files": [],
    }
    if task.error:
        return record | {"status": "error", "traceback": task.error, "seconds": 0.0}, {}
    start = time.perf_counter()
    try:
        with _limited(threads), _collected_warnings(record["warnings"]):
            spec = find(task.kind, task.id, task.origin)
            record["code"] = {"file": spec.file, "line": _first_line(spec)}
            more, files = (_run_figure if task.kind == "figure" else _run_theorem)(spec, scale, seed)
    except (Exception, SystemExit):
        more, files = {"status": "error", "traceback": trace()}, {}
    record |= more
    record["files"] = sorted(files)
    record["seconds"] = time.perf_counter() - start
    return record, files


def _run_figure(spec: Any, scale: str, seed: int) -> Outcome:
    figure: Figure = spec(scale, seed)
    record: dict[str, Any] = {
        "title": spec.title,
        "caption": figure.caption,
        "claims": [
            {"sentence": claim.sentence, "holds": claim.holds, "number": claim.text, "reason": claim.reason}
            for claim in figure.claims
        ],
        "numbers": [{"sentence": sentence, "number": number_text(number)} for sentence, number in figure.numbers],
    }
    if figure.skipped:
        return record | {"status": "skipped", "reason": figure.skipped}, {}
    files = {name: data for table, values in figure.tables().items() for name, data in _packed(table, values)}
    canvas = figure.render()
    # vector graphics and fine pixels are for papers; at the smallest scale they would cost as much as the run itself
    smoke = scale == "smoke"
    files |= _pictures(canvas, "figure", ("png",) if smoke else ("png", "pdf"), dpi=100 if smoke else 200)
    width, height = canvas.get_size_inches()
    return record | {"aspect": float(width / height)}, files


def _run_theorem(spec: Any, scale: str, seed: int) -> Outcome:
    files: dict[str, bytes] = {}
    evidence = spec(scale, seed)
    files |= _pack_evidence(evidence, "check")
    controls, defects = [], []
    for i, control in enumerate(spec.controls, 1):
        # a control that raises makes the whole check an error: a crash is not the violation it should show
        shown = control(scale, seed)
        files |= _pack_evidence(shown, f"control-{i}", drawn=scale != "smoke")  # drawing takes most of that time
        refuted = spec.refutes(shown.verdict)
        controls.append({"description": control.description, "passed": refuted, **shown.summary()})
        if not refuted:
            defects.append(f"The control “{control.description}” came out as “{_words(shown.verdict)}”.")
    if not spec.controls:
        defects.append("There is no negative control: nothing shows that this check can fail.")
    expected = spec.accepts(evidence.verdict)
    record = {
        "title": spec.title,
        "statement": spec.statement,
        "assumptions": list(spec.assumptions),
        "source": spec.source,
        "expected": spec.expected,
        "proved": spec.proved,
        "evidence": evidence.summary(),
        "controls": controls,
        "defects": defects,
        "passed": expected and not defects,
    }
    return record, files


def _first_line(spec: Any) -> int:
    """Where a function stands in its file, or what registered it; decorated and partial ones are looked through."""
    function = inspect.unwrap(spec.function)
    code = getattr(getattr(function, "func", function), "__code__", None)
    if code is not None and code.co_filename == spec.file:
        return int(code.co_firstlineno)
    return int(getattr(spec, "line", 1))


def _pack_evidence(evidence: Evidence, name: str, drawn: bool = True) -> dict[str, bytes]:
    columns = {f"{name}.csv": _csv(evidence.columns())}
    if not drawn:
        return columns
    from matplotlib.figure import Figure as Canvas

    from optlab.plotting import house_style

    with house_style():
        # many small pictures of one kind: fixed margins cost half of what a layout engine would
        canvas = Canvas(figsize=(3.7, 2.6))
        evidence.plot(canvas.subplots(gridspec_kw={"left": 0.19, "right": 0.97, "bottom": 0.17, "top": 0.93}))
        pictures = _pictures(canvas, name, ("svg",))
    return columns | pictures


def _pictures(canvas: Any, name: str, formats: tuple[str, ...], dpi: int = 200) -> dict[str, bytes]:
    from optlab.plotting import to_bytes

    files = {}
    for suffix in formats:
        files[f"{name}.{suffix}"] = to_bytes(canvas, suffix, dpi)
        canvas.set_layout_engine("none")  # settled by the first; the others are the same picture
    return files


def _packed(name: str, values: Any) -> Iterator[tuple[str, bytes]]:
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in name)
    if isinstance(values, dict):
        yield f"{name}.csv", _csv(values)
    else:
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        yield f"{name}.npy", buffer.getvalue()


def _csv(columns: dict[str, np.ndarray]) -> bytes:
    """Columns as CSV; floats in the shortest form that reads back to the same bits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values())))
    return buffer.getvalue().encode()


@contextmanager
def _limited(threads: int | None) -> Iterator[None]:
    """Keep BLAS, OpenMP and Numba to `threads` threads, so that workers side by side do not fight over the
    cores.
    """
    if threads is None:
        yield
        return
    import sys

    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads):
        # joblib has set NUMBA_NUM_THREADS for a fresh worker; one that had loaded Numba before must be told
        numba = sys.modules.get("numba")
        if numba is not None:
            numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        yield


@contextmanager
def _collected_warnings(messages: list[str]) -> Iterator[None]:
    """Show warnings as usual, and note each distinct one for the report."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        show = warnings.showwarning

        def note(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
            text = f"{category.__name__}: {message} ({filename.rpartition('/')[2]}:{lineno})"
            if text not in messages:
                messages.append(text)
            show(message, category, filename, lineno, file, line)

        warnings.showwarning = note
        yield


def _words(verdict: str) -> str:
    return verdict.replace("_", " ")
