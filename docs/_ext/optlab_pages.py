"""Pages made from the library itself, so that they cannot fall behind it.

* ``api/_<package>.rst``: the public names of every package (its ``__all__``) as autosummary tables, written before
  Sphinx reads its sources and included by the page of that package;
* ``.. optlab-theorems:: PAPER``, ``.. optlab-figures:: PAPER``: what the registries hold, with statements, assumptions
  and negative controls;
* ``.. optlab-methods:: PACKAGE``: its methods with their papers.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)

# page -> the modules whose public names it lists
PAGES = {
    "optlab": ("optlab",),
    "core": ("optlab.core", "optlab.core.stopping"),
    "bregman": ("optlab.bregman",),
    "splitting": ("optlab.splitting",),
    "problems": ("optlab.splitting.problems",),
    "transport": ("optlab.transport",),
    "stochastic": ("optlab.stochastic",),
    "multiview": ("optlab.multiview",),
    "datasets": ("optlab.datasets",),
    "reproduce": ("optlab.reproduce", "optlab.benchmarks"),
    "plotting": ("optlab.plotting",),
}

# a constant has no docstring of its own
CONSTANTS = {
    "optlab.__version__": "Version of the package.",
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
    found = {}
    for module_name in PAGES[page]:
        module = importlib.import_module(module_name)
        for name in public_names(module):
            value = getattr(module, name)
            if inspect.ismodule(value) or (name == "__version__" and module is not top):
                continue  # a module has a page of its own
            short = module is top or (name in top.__all__ and getattr(top, name) is value)
            found[f"optlab.{name}" if short else f"{module_name}.{name}"] = value
    return found


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


def write_listings(app: Any, config: Any) -> None:
    """Write ``api/_<page>.rst`` for every page, and have autosummary read them."""
    folder = Path(app.srcdir) / "api"
    for page in PAGES:
        path, text = folder / f"_{page}.rst", listing(page)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    config.autosummary_generate = [f"api/_{page}.rst" for page in PAGES]


# ------------------------------------------------------------------------------------------------ registries


def tasks(paper: str, wanted: str) -> list[Any]:
    """The registered figures or theorems of a paper, in the order of their files."""
    from optlab.reproduce import FIGURES, THEOREMS
    from optlab.reproduce.discovery import discover

    root = Path(__file__).resolve().parents[2] / "experiments"
    found = discover(root if root.is_dir() else None)
    for task in found:
        if task.kind == "file":
            logger.warning("cannot load %s: %s", task.origin, task.error.strip().splitlines()[-1])
    registry: dict[str, Any] = {"figure": FIGURES, "theorem": THEOREMS}[wanted]
    return [registry[task.id] for task in found if task.kind == wanted and task.paper == paper]


def _paragraph(label: str, text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.emphasis(text=f"{label}: "), nodes.Text(text))


class Registered(SphinxDirective):
    """Base of the directives: a definition list of what a registry holds for one paper."""

    required_arguments = 1
    wanted = ""

    def definition(self, spec: Any) -> list[nodes.Node]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # it changes with the library, not with this page
        items = []
        for spec in tasks(self.arguments[0], self.wanted):
            target = nodes.make_id(f"{self.wanted}-{spec.id}")
            term = nodes.term("", "", nodes.literal(text=spec.id), nodes.Text(f"  {spec.title}"), ids=[target])
            items.append(nodes.definition_list_item("", term, nodes.definition("", *self.definition(spec))))
        if not items:
            return [nodes.paragraph(text="None yet.")]
        return [nodes.definition_list("", *items)]


class Theorems(Registered):
    """``.. optlab-theorems:: PAPER``."""

    wanted = "theorem"

    def definition(self, spec: Any) -> list[nodes.Node]:
        body: list[nodes.Node] = [nodes.paragraph(text=spec.statement)]
        if spec.assumptions:
            body.append(_paragraph("Needs", "; ".join(spec.assumptions) + "."))
        if spec.controls:
            broken = "; ".join(control.description for control in spec.controls)
            body.append(_paragraph("Must fail with", broken + "."))
        if spec.expected == "not_applicable":
            body.append(_paragraph("Here", "an assumption is not met; shown is what happens instead."))
        if spec.source:
            body.append(_paragraph("Source", spec.source + "."))
        return body


class Figures(Registered):
    """``.. optlab-figures:: PAPER``."""

    wanted = "figure"

    def definition(self, spec: Any) -> list[nodes.Node]:
        summary = (inspect.getdoc(inspect.getmodule(spec.function)) or "").partition("\n\n")[0]
        return [nodes.paragraph(text=" ".join(summary.split()))]


class Methods(SphinxDirective):
    """``.. optlab-methods:: PACKAGE``: a table of its methods, what each is, and the key of its paper."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from sphinx.addnodes import pending_xref

        self.env.note_reread()
        body = nodes.tbody()
        for name, value in entries(self.arguments[0]).items():
            if kind(value) != "Methods":
                continue
            link = pending_xref(
                "", nodes.literal(text=value.__name__), refdomain="py", reftype="obj", reftarget=name, refwarn=False
            )
            first = (inspect.getdoc(value) or "").partition("\n")[0].replace("`", "")
            cells: list[nodes.Node] = [nodes.paragraph("", "", link), nodes.paragraph(text=first)]
            cells.append(nodes.paragraph("", "", nodes.literal(text=getattr(value, "reference", "") or "–")))
            body += nodes.row("", *(nodes.entry("", cell) for cell in cells))
        head = nodes.row("", *(nodes.entry("", nodes.paragraph(text=t)) for t in ("method", "what it is", "paper")))
        group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in (28, 52, 20)), nodes.thead("", head), body, cols=3)
        return [nodes.table("", group)]


def skip_member(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn adds to every estimator: its docstrings point into scikit-learn's own pages."""
    if name == "get_metadata_routing" or (name.startswith("set_") and name.endswith("_request")):
        return True
    return None


def setup(app: Any) -> dict[str, Any]:
    app.connect("config-inited", write_listings)
    app.connect("autodoc-skip-member", skip_member)
    app.add_directive("optlab-theorems", Theorems)
    app.add_directive("optlab-figures", Figures)
    app.add_directive("optlab-methods", Methods)
    return {"version": "1", "parallel_read_safe": False}
