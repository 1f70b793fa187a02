"""Pages made from the library itself, so that they cannot fall behind it.

* ``api/_<package>.rst``: the public names of every package (its ``__all__``) as autosummary tables, written before
  Sphinx reads its sources and included by the page of that package;
* ``.. optlab-theorems:: PAPER``, ``.. optlab-figures:: PAPER``: what the registries hold, with statements, assumptions
  and negative controls;
* ``.. optlab-methods:: PACKAGE``: its methods with their papers;
* ``.. optlab-what-runs:: PACKAGE``: its problems, and what `optlab.applicable` says of an instance of each.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from docutils import nodes
from public_names import PAGES, entries, kind, listing, tasks
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


def write_listings(app: Any, config: Any) -> None:
    """Write ``api/_<page>.rst`` for every page, and have autosummary read them."""
    folder = Path(app.srcdir) / "api"
    for page in PAGES:
        path, text = folder / f"_{page}.rst", listing(page)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    current = {name for page in PAGES for name in entries(page)}
    for stub in folder.glob("generated/*.rst"):
        if stub.stem not in current:
            stub.unlink()  # of a name that is no longer public; on no page, it would be an orphan
    config.autosummary_generate = [f"api/_{page}.rst" for page in PAGES]


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
        for spec in tasks(self.arguments[0], self.wanted, logger.warning):
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
        self.env.note_reread()
        rows = []
        for name, value in entries(self.arguments[0]).items():
            if kind(value) != "Methods":
                continue
            reference = getattr(value, "reference", None)  # of some, the method they wrap: a property
            first = (inspect.getdoc(value) or "").partition("\n")[0].replace("`", "")
            what = nodes.paragraph("", "", nodes.Text(first))
            if isinstance(reference, str):
                what += [nodes.Text(" "), nodes.literal(text=reference)]
            rows.append((nodes.paragraph("", "", _link(name)), what))
        return [_table(("method", "what it is, and the key of its paper"), rows)]


class WhatRuns(SphinxDirective):
    """``.. optlab-what-runs:: PACKAGE``: the methods that run on its problems, by the checker of `optlab.solve`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        from public_names import what_runs

        self.env.note_reread()
        rows = []
        for name, methods in what_runs(self.arguments[0]):
            cell = nodes.paragraph()
            for k, method in enumerate(methods):
                cell += [nodes.Text(", ")] * (k > 0) + [_link(method)]
            rows.append((nodes.paragraph("", "", _link(name)), cell))
        return [_table(("problem", "methods that run"), rows)]


def _link(name: str) -> nodes.Node:
    from sphinx.addnodes import pending_xref

    text = nodes.literal(text=name.rpartition(".")[2])
    return pending_xref("", text, refdomain="py", reftype="obj", reftarget=name, refwarn=False)


def _table(titles: tuple[str, str], rows: list[tuple[nodes.Node, nodes.Node]]) -> nodes.table:
    body = nodes.tbody("", *(nodes.row("", *(nodes.entry("", cell) for cell in row)) for row in rows))
    columns = [nodes.colspec(colwidth=width) for width in (30, 70)]
    head = nodes.row("", *(nodes.entry("", nodes.paragraph(text=title)) for title in titles))
    group = nodes.tgroup("", *columns, nodes.thead("", head), body, cols=2)
    return nodes.table("", group, classes=["colwidths-given"])


def skip_member(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn adds to every estimator: its docstrings point into scikit-learn's own pages."""
    if name == "get_metadata_routing" or (name.startswith("set_") and name.endswith("_request")):
        return True
    return None


# ------------------------------------------------------------------------------------------------ references, formulas


def resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Link a class named without its package, as docstrings do, if only one package has it in public."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target.rpartition(".")[2][:1].isupper():
        return None
    if not hasattr(env, "optlab_names"):
        names: dict[str, list[str]] = {}
        for page in PAGES:
            for name in entries(page):
                names.setdefault(name.rpartition(".")[2], []).append(name)
        env.optlab_names = names
    found = env.optlab_names.get(target.rpartition(".")[2], [])
    if len(found) != 1 or ("." in target and not target.startswith("optlab.")):
        return None
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, content)


def mathml(translator: Any, node: Any, block: bool) -> None:
    """Write a formula as MathML, which browsers draw by themselves: no network, no script."""
    from docutils.utils.math import MathError, latex2mathml

    try:
        text = str(latex2mathml.tex2mathml(node.astext(), as_block=block))
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        text = f"<code>{translator.encode(node.astext())}</code>"
    translator.body.append(f'<div class="formula">{text}</div>' if block else text)
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    app.setup_extension("sphinx.ext.autodoc")  # which knows the second of these events
    app.connect("config-inited", write_listings)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("missing-reference", resolve)
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda translator, node: mathml(translator, node, False), None),
        block_renderers=(lambda translator, node: mathml(translator, node, True), None),
    )
    app.add_directive("optlab-theorems", Theorems)
    app.add_directive("optlab-figures", Figures)
    app.add_directive("optlab-methods", Methods)
    app.add_directive("optlab-what-runs", WhatRuns)
    return {"version": "1", "parallel_read_safe": False}
