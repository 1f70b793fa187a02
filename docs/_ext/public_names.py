"""What the pages made from the library list: public names by page, and what the registries hold. Needs no Sphinx."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

# page -> the modules whose public names it lists
PAGES = {
    "optlab": ("optlab",),
    "core": ("optlab.core", "optlab.core.stopping", "optlab.core.studies", "optlab.core.records.tables"),
    "bregman": ("optlab.bregman",),
    "linalg": ("optlab.linalg",),
    "composite": ("optlab.composite",),
    "wrappers": ("optlab.wrappers",),
    "splitting": ("optlab.splitting",),
    "firstorder": ("optlab.firstorder",),
    "problems": ("optlab.splitting.problems",),
    "transport": ("optlab.transport",),
    "stochastic": ("optlab.stochastic",),
    "policy": ("optlab.policy",),
    "quantization": ("optlab.quantization",),
    "games": ("optlab.games", "optlab.compression"),
    "multiview": ("optlab.multiview",),
    "datasets": ("optlab.datasets",),
    "theory": ("optlab.theory",),
    "reproduce": ("optlab.reproduce", "optlab.benchmarks"),
    "plotting": ("optlab.plotting",),
}

# a constant has no docstring of its own
CONSTANTS = {
    "optlab.__version__": "Version of the package.",
    "optlab.composite.ORACLES": "What a term may offer to a method, by name, and what it means.",
    "optlab.benchmarks.BENCHMARKS": "The registered benchmarks, by id.",
    "optlab.reproduce.FIGURES": "The registered figures, by id.",
    "optlab.reproduce.THEOREMS": "The registered theorem checks, by id.",
    "optlab.reproduce.SCALES": 'The scales: ``"smoke"``, ``"cpu"``, ``"paper"``.',
    "optlab.plotting.PALETTE": "The colours of the house style, dark and light in turn.",
    "optlab.plotting.LINESTYLES": "The line styles that go with the palette.",
    "optlab.plotting.MARKERS": "The markers that go with the palette.",
    "optlab.plotting.THEORY_COLOR": "Colour of what a theorem says.",
    "optlab.plotting.GRID_COLOR": "Colour of the grid.",
    "optlab.plotting.INK": "Colour of text.",
}


def public_names(module: ModuleType) -> list[str]:
    """The names in ``__all__``; without one, what the module itself defines in public."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and (getattr(value, "__module__", None) == module.__name__ or name.isupper())
    ]


def entries(page: str) -> dict[str, Any]:
    """The objects that a page documents, by the name a user imports: ``optlab.solve``, not ``optlab.core.solve``."""
    top = importlib.import_module("optlab")

    def short_name(name: str, value: Any) -> bool:
        return module is top or (name in top.__all__ and getattr(top, name) is value)

    found = {}
    for module_name in PAGES[page]:
        module = importlib.import_module(module_name)
        for name in public_names(module):
            value = getattr(module, name)
            if inspect.ismodule(value) or (name == "__version__" and module is not top):
                continue  # a module has a page of its own
            if not short_name(name, value) and not at_home(module_name, value):
                continue  # an old name of what has moved: listed where it lives
            found[f"optlab.{name}" if short_name(name, value) else f"{module_name}.{name}"] = value
    return found


def at_home(module_name: str, value: Any) -> bool:
    """Whether no other listed module, one that the object comes from, has it too."""
    origin = getattr(value, "__module__", None) or ""
    others = [m for modules in PAGES.values() for m in modules if m != module_name and m != "optlab"]
    homes = [m for m in others if origin == m or origin.startswith(f"{m}.")]
    homes = [m for m in homes if not module_name.startswith(m)]
    return not any(value is other for m in homes for other in vars(importlib.import_module(m)).values())


def kind(value: Any) -> str:
    """The heading under which an object is listed."""
    if inspect.isclass(value):
        if issubclass(value, BaseException):
            return "Errors and warnings"
        if getattr(value, "_is_protocol", False):
            return "Protocols"
        if hasattr(value, "init") and hasattr(value, "iterate"):
            return "Methods"
        if hasattr(value, "measure") and hasattr(value, "default_start"):
            return "Problems"
        return "Classes"
    return "Functions" if callable(value) else "Constants"


def listing(page: str) -> str:
    """The reStructuredText that lists a page's objects, one table for each kind."""
    groups: dict[str, list[str]] = {}
    for name, value in entries(page).items():
        groups.setdefault(kind(value), []).append(name)
    lines = []
    for heading in ("Problems", "Methods", "Classes", "Protocols", "Functions", "Errors and warnings", "Constants"):
        names = groups.get(heading, [])
        if not names:
            continue
        lines += [f".. rubric:: {heading}", ""]
        if heading == "Constants":
            for name in names:
                lines += [f".. py:data:: {name}", "", f"   {CONSTANTS.get(name, 'A constant.')}", ""]
        else:
            lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
            lines += [*(f"   ~{name}" for name in names), ""]
    return "\n".join(lines)


def what_runs(package: str) -> list[tuple[str, list[str]]]:
    """The public problems of a package, and the methods that run on the conformance tests' instances of each."""
    import runpy

    import optlab

    tests = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tests" / "conformance" / "cases.py"))
    homes = {value: name for page in PAGES for name, value in entries(page).items() if inspect.isclass(value)}
    found: dict[str, list[str]] = {}
    for problem in tests["PROBLEMS"].values():
        name = homes[type(problem)]
        if name.startswith(f"optlab.{package}."):
            known = found.setdefault(name, [])
            rows = (row for row in optlab.applicable(problem) if row.runs)
            known += [
                f"optlab.{row.package}.{row.method}"
                for row in rows
                if f"optlab.{row.package}.{row.method}" not in known
            ]
    return sorted(found.items())


def tasks(paper: str, wanted: str, report: Callable[[str], Any] = print) -> list[Any]:
    """The registered figures or theorems of a paper, in the order of their files; `report` is told of broken ones."""
    from optlab.reproduce import FIGURES, THEOREMS
    from optlab.reproduce.discovery import discover

    root = Path(__file__).resolve().parents[2] / "experiments"
    found = discover(root if root.is_dir() else None)
    for task in found:
        if task.kind == "file":
            report(f"cannot load {task.origin}: {task.error.strip().splitlines()[-1]}")
    registry: dict[str, Any] = {"figure": FIGURES, "theorem": THEOREMS}[wanted]
    return [registry[task.id] for task in found if task.kind == wanted and task.paper == paper]
