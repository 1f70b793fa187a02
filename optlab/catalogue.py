"""Everything that has a name: figures, theorems, methods, problems, benchmarks. What `optlab list` and `show` print.

Only the kinds asked for are loaded.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

KINDS = ("figure", "theorem", "method", "problem", "benchmark")
_NO_FAMILIES = {"core", "bregman", "linalg", "datasets", "reproduce", "theorems", "benchmarks"}


@dataclass(frozen=True)
class Entry:
    """One named thing. `paper` is the key of a paper, or the package or family it belongs to."""

    kind: str  # one of `KINDS`, or "broken": what could not be loaded, with the reason as its title
    id: str
    paper: str
    title: str
    item: Any = field(default=None, repr=False, compare=False)


def entries(kinds: Sequence[str] = KINDS) -> list[Entry]:
    """Return everything of the given kinds, in the order of `KINDS`; what cannot be loaded comes last."""
    found: list[Entry] = []
    if {"figure", "theorem"} & set(kinds):
        found += _registered()
    if {"method", "problem"} & set(kinds):
        found += _classes()
    if "benchmark" in kinds:
        from optlab import benchmarks

        found += [Entry("benchmark", s.id, s.family, s.title, s) for s in benchmarks.discover().values()]
    order = (*KINDS, "broken")
    return sorted((e for e in found if e.kind in (*kinds, "broken")), key=lambda e: order.index(e.kind))


def matching(found: Sequence[Entry], word: str = "", paper: str = "") -> list[Entry]:
    """Return the entries that have `word` in id, paper or title, or whose id matches it as a pattern (``bdrs-*``)."""
    word = word.lower()

    def fits(entry: Entry) -> bool:
        text = f"{entry.id} {entry.paper} {entry.title}".lower()
        return (word in text or fnmatchcase(entry.id.lower(), word)) and paper in ("", entry.paper)

    return [entry for entry in found if fits(entry)]


def facts(entry: Entry) -> list[tuple[str, str]]:
    """Return what there is to say of one entry, as (label, text): statement, source, controls, code, how to run."""
    item = entry.item
    said = [("", entry.title), (entry.kind, entry.id), ("of", entry.paper)]
    if entry.kind == "broken":
        return said
    if entry.kind == "theorem":
        said += [("states", item.statement), *(("needs", text) for text in item.assumptions), ("source", item.source)]
        said += [("must fail", control.description) for control in item.controls]
        said += [("expected", item.expected.replace("_", " "))] if item.expected != "holds" else []
    elif entry.kind == "figure":
        said.append(("about", " ".join((inspect.getdoc(inspect.getmodule(item.function)) or "").split())))
    elif entry.kind in ("method", "problem"):
        said = [("", f"optlab.{entry.id}"), ("", inspect.getdoc(item) or "")]
    else:
        said.append(("about", " ".join((inspect.getdoc(item.function) or "").split())))
    code = inspect.unwrap(getattr(item, "function", item))
    with suppress(OSError, TypeError):  # of what was typed into a session there is no file
        said.append(("code", f"{inspect.getsourcefile(code)}:{inspect.getsourcelines(code)[1]}"))
    return [(label, text) for label, text in said if text]


def command(entry: Entry) -> str:
    """Return what runs an entry, or how to import it."""
    verb = {"figure": "reproduce", "theorem": "verify", "benchmark": "bench"}.get(entry.kind)
    if verb:
        return f"optlab {verb} {entry.id}"
    package, _, name = entry.id.rpartition(".")
    return f"from optlab.{package} import {name}"


def _registered() -> list[Entry]:
    from optlab.reproduce import FIGURES, THEOREMS
    from optlab.reproduce.discovery import discover

    registries: dict[str, dict[str, Any]] = {"figure": FIGURES, "theorem": THEOREMS}
    return [
        Entry("broken", task.id, task.paper, task.error.strip().splitlines()[-1])
        if task.kind == "file"
        else Entry(task.kind, task.id, task.paper, task.title, registries[task.kind][task.id])
        for task in discover()
    ]


def _classes() -> list[Entry]:
    """Methods and problems that the solver families export, each with the first line of its docstring."""
    import optlab

    found = []
    seen: set[type] = set()  # a class that two floors export is listed once
    for module in pkgutil.iter_modules(optlab.__path__):
        if not module.ispkg or module.name in _NO_FAMILIES or module.name.startswith("_"):
            continue
        try:
            package = importlib.import_module(f"optlab.{module.name}")
            members = [getattr(package, name) for name in getattr(package, "__all__", ())]
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            found.append(Entry("broken", f"optlab.{module.name}", module.name, reason))
            continue
        for member in members:
            if not inspect.isclass(member) or getattr(member, "_is_protocol", False) or member in seen:
                continue
            seen.add(member)
            first = (inspect.getdoc(member) or "").partition("\n")[0]
            if hasattr(member, "init") and hasattr(member, "iterate"):
                found.append(Entry("method", f"{module.name}.{member.__name__}", module.name, first, member))
            elif hasattr(member, "measure") and hasattr(member, "default_start"):
                found.append(Entry("problem", f"{module.name}.{member.__name__}", module.name, first, member))
    return sorted(found, key=lambda entry: entry.id)
