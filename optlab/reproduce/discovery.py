"""Finding what can be run: experiment files on disk, theorem modules of a package.

Experiment files are not a package: they are found as ``experiments/<paper>/<figure>.py`` and loaded by path,
under a module name that depends only on the path, so that a worker process loads the same file under the same
name. Files starting with ``_`` are helpers; an experiment imports its neighbour with ``from ._helper import
...``.

The first of these folders that holds experiments is used: ``./experiments`` of the working directory, the one
beside the package (a source checkout), the copy inside the installed package (``optlab/_experiments``).
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

from optlab.reproduce.figures import FIGURES
from optlab.reproduce.theorems import THEOREMS

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Task:
    """One thing to run, in a form that travels to a worker: where it is defined and its id, not the function."""

    kind: str  # "figure" | "theorem" | "file" (could not be loaded)
    id: str
    paper: str
    title: str
    origin: str  # a path, or a dotted module name
    error: str = ""  # why the file could not be loaded


class UnknownId(KeyError):
    """No figure, theorem or paper is called `name`."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name

    def __str__(self) -> str:
        return str(self.args[0])


def experiments_root() -> Path | None:
    """Return the folder of experiment files, or None if there is none."""
    for root in (Path.cwd() / "experiments", PACKAGE.parent / "experiments", PACKAGE / "_experiments"):
        if next(_files(root), None) is not None:
            return root.resolve()
    return None


def discover(root: Path | None = None, theorem_modules: Sequence[str] | None = None) -> list[Task]:
    """Load every experiment file and theorem module; return what they registered, by paper.

    A file that cannot be loaded becomes a task of kind ``"file"`` carrying the traceback: it is reported as
    failed, and the others are not held up by it.

    Parameters
    ----------
    root : Path, optional
        Folder of experiment files. Default: `experiments_root`.
    theorem_modules : sequence of str, optional
        Dotted names. Default: the modules of `optlab.theorems`.
    """
    root = experiments_root() if root is None else Path(root).resolve()
    if theorem_modules is None:
        theorem_modules = importlib.import_module("optlab.theorems").modules()
    origins = [*(str(path) for path in _files(root)), *theorem_modules] if root else list(theorem_modules)
    if root:
        _forget(root)
    tasks: list[Task] = []
    for origin in origins:
        before = set(FIGURES) | {f"theorem:{id}" for id in THEOREMS}
        try:
            module = load(origin)
        except (Exception, SystemExit):
            for id in [id for id in FIGURES if id not in before]:
                del FIGURES[id]
            for id in [id for id in THEOREMS if f"theorem:{id}" not in before]:
                del THEOREMS[id]
            tasks.append(_broken(origin))
            continue
        source = module.__file__
        for kind, registry in (("figure", FIGURES), ("theorem", THEOREMS)):
            tasks += [
                Task(kind, spec.id, spec.paper, spec.title, origin) for spec in registry.values() if spec.file == source
            ]
    return sorted(tasks, key=lambda task: (task.paper, task.kind, origins.index(task.origin)))


def load(origin: str) -> ModuleType:
    """Import a theorem module by name, or an experiment file by path."""
    if not origin.endswith(".py"):
        return importlib.import_module(origin)
    path = Path(origin)
    top = _top_name(path.parent.parent)
    package = f"{top}.{_identifier(path.parent.name)}"
    for name, folder in ((top, path.parent.parent), (package, path.parent)):
        if name not in sys.modules:
            module = ModuleType(name, "Experiment files, loaded by path.")
            module.__path__ = [str(folder)]
            sys.modules[name] = module
    name = f"{package}.{_identifier(path.stem)}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_SourceLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def select(tasks: Iterable[Task], wanted: Sequence[str]) -> list[Task]:
    """Return the tasks whose id or paper is named in `wanted`, or whose id fits a pattern in it; all if it is empty.

    Raises
    ------
    UnknownId
        If a name is neither an id nor a paper nor a pattern that fits one; the message offers the nearest.
    """
    tasks = list(tasks)
    if not wanted:
        return tasks
    chosen: set[Task] = set()
    for name in wanted:
        found = {task for task in tasks if name in (task.id, task.paper) or fnmatchcase(task.id, name)}
        if not found:
            names = {task.id for task in tasks} | {task.paper for task in tasks}
            near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.4)
            pattern = any(c in name for c in "*?[")
            hint = f"; did you mean {near[0]!r}?" if near and not pattern else ""
            raise UnknownId(f"nothing is called {name!r}{hint} (`optlab list` shows every id)", name)
        chosen |= found
    return [task for task in tasks if task in chosen]


def find(kind: str, id: str, origin: str) -> Any:
    """Return the registered object of a task, loading its file as it is now."""
    if origin.endswith(".py"):
        _forget(Path(origin).parent.parent, only=Path(origin))
    load(origin)
    registry = FIGURES if kind == "figure" else THEOREMS
    if id not in registry:
        raise LookupError(f"{origin} no longer defines the {kind} {id!r}")
    return registry[id]


def _broken(origin: str) -> Task:
    """The task that stands for a file which cannot be loaded, with the traceback being handled."""
    if origin.endswith(".py"):
        paper, name = Path(origin).parent.name, Path(origin).stem
    else:
        paper, name = (part.replace("_", "-") for part in origin.split(".")[-2:])
    return Task("file", f"{paper}/{name}", paper, f"{paper}/{name}", origin, trace())


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source each time: cached bytecode is checked by whole seconds, and edits come faster than
    that.
    """

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _files(root: Path | None) -> Iterator[Path]:
    if root is None or not root.is_dir():
        return iter(())
    return (path for path in sorted(root.glob("*/*.py")) if not path.name.startswith("_"))


def _forget(root: Path, only: Path | None = None) -> None:
    """Unload what was loaded from `root` (or one file and the helpers), so that edited files are read anew."""
    top = _top_name(root)
    for name in [name for name in sys.modules if name == top or name.startswith(top + ".")]:
        file = getattr(sys.modules[name], "__file__", None)
        if only is None or (file and (Path(file) == only or Path(file).name.startswith("_"))):
            del sys.modules[name]
    registries: tuple[dict[str, Any], ...] = (FIGURES, THEOREMS)
    for registry in registries:
        for id, spec in list(registry.items()):
            if Path(spec.file) == only if only else _inside(spec.file, root):
                del registry[id]


def _inside(path: str, root: Path) -> bool:
    return Path(path).is_relative_to(root)


def _top_name(root: Path) -> str:
    return "optlab_experiments_" + hashlib.sha256(str(root).encode()).hexdigest()[:8]


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def trace() -> str:
    """Return the current traceback from the first frame outside this package on: what the file's author needs
    to see.
    """
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_next is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(kind, error, trace)).rstrip()


def _is_machinery(filename: str) -> bool:
    return filename.startswith(("<frozen", str(PACKAGE / "reproduce"))) or "/importlib/" in filename
