"""The documentation keeps up with the library: snippets run, every public name is documented, links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import warnings
from pathlib import Path

import matplotlib
import pytest

import optlab
from optlab.reproduce.discovery import discover

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GALLERY = sorted((DOCS / "gallery").glob("plot_*.py"))
MARKDOWN = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
# scripts that take more than a few seconds, each for the sake of its pictures
SLOW = {"plot_1_first_run.py", "plot_3_colour_transfer.py", "plot_4_digits.py", "plot_6_ngn.py"}

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        yield importlib.import_module("public_names")
    finally:
        sys.path.remove(str(DOCS / "_ext"))


def fenced(path: Path, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def rst_blocks(path: Path) -> list[str]:
    found = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", path.read_text(encoding="utf-8"))
    return [inspect.cleandoc("\n" + block) for block in found]


def run(code: str, folder: Path, name: str) -> dict:
    """Execute in `folder`, closing the figures it opens."""
    from matplotlib import pyplot

    namespace: dict = {"__name__": "__main__", "__file__": str(folder / name)}
    try:
        exec(compile(code, name, "exec"), namespace)
    finally:
        pyplot.close("all")
    return namespace


# ------------------------------------------------------------------------------------------------ README


def test_the_script_of_the_readme_has_ten_lines_and_draws_a_figure(tmp_path, monkeypatch, capsys):
    script = fenced(ROOT / "README.md")[0]
    assert len([line for line in script.splitlines() if line.strip()]) <= 10
    assert "max_iter=2000" in script
    monkeypatch.chdir(tmp_path)
    names = run(script.replace("max_iter=2000", "max_iter=60"), tmp_path, "README.md")
    assert (tmp_path / "first_run.png").stat().st_size > 5_000
    assert names["bdrs"].n_iter == names["sinkhorn"].n_iter == 60


@pytest.mark.slow
def test_the_script_of_the_readme_shows_what_its_caption_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = run(fenced(ROOT / "README.md")[0], tmp_path, "README.md")
    assert names["bdrs"].metrics["relative_gap"] < 1e-4 < 1e-2 < names["sinkhorn"].metrics["relative_gap"]


def test_the_other_snippets_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for script in fenced(ROOT / "README.md")[1:]:
        names = run(script, tmp_path, "README.md")
        assert names["result"].success
        assert names["result"].solution == pytest.approx([0.75, 0.25, 0.0], abs=1e-7)


def test_the_first_picture_is_small():
    assert 5_000 < (DOCS / "images" / "first_run.png").stat().st_size < 80_000


# ------------------------------------------------------------------------------------------------ API pages


def test_every_public_package_has_a_page(pages):
    listed = {module for modules in pages.PAGES.values() for module in modules}
    expected = {f"optlab.{name}" for name in optlab._SUBMODULES} - {"optlab.theorems"}  # they are on the papers' pages
    assert expected <= listed
    for page in pages.PAGES:
        text = (DOCS / "api" / f"{page}.rst").read_text(encoding="utf-8")
        assert f".. include:: _{page}.rst" in text
        assert f"   {page}\n" in (DOCS / "api" / "index.rst").read_text(encoding="utf-8")


def test_every_public_name_is_on_a_page(pages):
    listed, objects = set(), []
    for page in pages.PAGES:
        objects += pages.entries(page).values()
        text = pages.listing(page)
        listed |= set(re.findall(r"^   ~(\S+)$", text, re.MULTILINE)) | set(re.findall(r"py:data:: (\S+)", text))
    for modules in pages.PAGES.values():
        for name in modules:
            module = importlib.import_module(name)
            for public in pages.public_names(module):
                value = getattr(module, public)
                if inspect.ismodule(value) or public == "__version__":
                    continue
                there = f"{name}.{public}" in listed or f"optlab.{public}" in listed
                # what has moved is listed once, where it lives
                assert there or any(value is other for other in objects), f"{name}.{public} is on no page"


def test_every_public_object_has_a_docstring(pages):
    for page in pages.PAGES:
        for name, value in pages.entries(page).items():
            if pages.kind(value) == "Constants":
                assert name in pages.CONSTANTS, f"{name} needs a line in docs/_ext/public_names.py"
                continue
            text = (value.__doc__ or "").strip()
            # a dataclass without a docstring gets its signature as one
            assert text, f"{name} has no docstring"
            assert not text.startswith(f"{value.__name__}("), f"{name} has no docstring"


def docstrings(pages):
    """The docstring of every public object and of every public member of a class, by name."""
    for page in pages.PAGES:
        for name, value in pages.entries(page).items():
            if pages.kind(value) == "Constants":
                continue
            yield name, inspect.getdoc(value) or ""
            for member in vars(value).values() if inspect.isclass(value) else ():
                text = getattr(member, "__doc__", None) if callable(member) or isinstance(member, property) else None
                if text and not getattr(member, "__name__", "_").startswith("_"):
                    yield f"{name}.{member.__name__}", inspect.cleandoc(text)


def unknown_sections(text: str) -> list[str]:
    """Headings in a docstring that numpydoc does not know: what stands under them is missing from the pages."""
    known = {"Parameters", "Other Parameters", "Returns", "Yields", "Receives", "Raises", "Warns", "Warnings"}
    known |= {"Attributes", "Methods", "See Also", "Notes", "References", "Examples"}
    headings = re.findall(r"^(\S.*)\n-{3,} *$", text, re.MULTILINE)
    return [heading for heading in headings if heading not in known]


def test_no_section_of_a_docstring_is_lost_on_the_way_to_its_page(pages):
    assert unknown_sections("A line.\n\nOptional methods\n----------------\nhint()") == ["Optional methods"]
    lost = {name: found for name, text in docstrings(pages) if (found := unknown_sections(text))}
    assert lost == {}


def test_what_a_problem_and_a_method_may_have_is_on_their_pages(pages):
    for page, name, words in (
        ("core", "optlab.core.Problem", "hint(method"),
        ("core", "optlab.core.Method", "reference :"),
        ("core", "optlab.core.Method", "verdict(problem"),
        ("splitting", "optlab.splitting.SplitProblem", "default_schedule :"),
        ("splitting", "optlab.splitting.TwoBlockProblem", "minimize_both("),
    ):
        public = {entry.rpartition(".")[2]: value for entry, value in pages.entries(page).items()}
        notes = inspect.getdoc(public[name.rpartition(".")[2]]).partition("Notes\n-----\n")[2]
        assert words in notes, name


def test_a_name_without_docstring_would_be_noticed(pages, monkeypatch):
    monkeypatch.setattr(optlab.solve, "__doc__", None)
    with pytest.raises(AssertionError, match=r"optlab\.solve has no docstring"):
        test_every_public_object_has_a_docstring(pages)


def test_the_registries_are_found(pages):
    assert {"bdrs-admm-dual", "ot-ipot"} <= {spec.id for spec in pages.tasks("bregman-splitting", "theorem")}
    assert "bdrs-counterexample" in {spec.id for spec in pages.tasks("bregman-splitting", "figure")}


# ------------------------------------------------------------------------------------------------ gallery and guides


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.stem)
def test_gallery_scripts_compile_and_have_a_title(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = (ast.get_docstring(tree) or "").splitlines()
    assert len(lines) > 1
    assert set(lines[1]) == {"="}


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] if p.name in SLOW else [], id=p.stem) for p in GALLERY],
)
def test_gallery_scripts_run(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run(path.read_text(encoding="utf-8"), tmp_path, path.name)


def test_the_templates_for_contributors_work(tmp_path):
    from optlab.benchmarks import BENCHMARKS
    from optlab.reproduce import FIGURES, THEOREMS

    blocks = rst_blocks(DOCS / "guide" / "extend.rst")
    assert len(blocks) == 6
    terms, sums, wrapped, theorem, figure, bench = (run(block, tmp_path, "extend.rst") for block in blocks)
    assert terms["ThreeTerms"].offers["gradient"] == ("s",)
    assert [slot.name for slot in sums["slots"]] == ["f", "g"]
    assert {"variable", "with_variable"} <= wrapped.keys()
    try:
        check = theorem["rate"]
        assert check.accepts(check("smoke", 0).verdict)
        assert [check.refutes(control("smoke", 0).verdict) for control in check.controls] == [True]
        drawn = figure["figure"]("smoke", 0)
        assert all(claim.holds for claim in drawn.claims)
        drawn.render()
        assert bench["sorting"]("smoke", 0)[0]["ratio"] > 0
    finally:
        THEOREMS.pop("gradient-descent-rate", None)
        FIGURES.pop("gradient-descent-steps", None)
        BENCHMARKS.pop("sorting", None)


@pytest.mark.parametrize("name", ["quickstart", "convergence"])
def test_the_snippets_of_the_guides_run(name, tmp_path, monkeypatch, capsys):
    import numpy as np

    from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford
    from optlab.transport import OptimalTransport

    pytest.importorskip("pyarrow", reason="one snippet writes a parquet file")
    monkeypatch.chdir(tmp_path)
    problem = OptimalTransport([0.5, 0.5], [0.25, 0.75], np.array([[0.0, 1.0], [1.0, 0.0]]))
    method = BregmanDouglasRachford()
    result = optlab.solve(problem, method, max_iter=20)
    names = {
        "optlab": optlab,
        "problem": problem,
        "method": method,
        "another_method": BregmanPeacemanRachford(),
        "result": result,
        "other": result,
    }
    blocks = rst_blocks(DOCS / "guide" / f"{name}.rst")
    assert blocks
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in blocks:
            exec(compile(block.replace("100_000", "50"), f"{name}.rst", "exec"), names)


# ------------------------------------------------------------------------------------------------ links


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+://|mailto:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path.name} links to {target}"


def test_documents_named_in_the_guides_exist():
    for path in DOCS.rglob("*.rst"):
        if "auto_examples" in path.parts or "generated" in path.parts:
            continue
        for target in re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", path.read_text(encoding="utf-8")):
            base = DOCS / target[1:] if target.startswith("/") else path.parent / target
            if "auto_examples" in target:
                script = DOCS / "gallery" / f"{base.name}.py"
                assert base.name == "index" or script.exists(), f"{path.name} names {target}"
                continue
            assert any(base.with_suffix(s).exists() for s in (".rst", ".md")), f"{path.name} names {target}"


def test_ids_named_in_the_documentation_exist():
    known = set()
    for task in discover(ROOT / "experiments"):
        known |= {task.id, task.paper}
    for path in [*MARKDOWN, *DOCS.glob("guide/*.rst")]:
        for command in re.findall(
            r"optlab (?:verify|reproduce)((?: [a-z][a-z0-9-]+)+)", path.read_text(encoding="utf-8")
        ):
            for name in command.split():
                if "-" in name:  # prose goes on with plain words
                    assert name in known, f"{path.name} names {name}"
