"""The cache key of a run: a hash of the code it may call, its parameters and the versions it ran under.

Which code that is follows from the imports, read from the source without running it. Imports inside functions
count. Within optlab the unit is the package: whatever reaches ``optlab.transport`` depends on all files there
(data files included), since packages may resolve names lazily, which no static reading can follow. Theorem
modules, benchmarks and the machinery of this package count one file at a time. Edits anywhere else leave a
cached result valid.

Not covered: code outside optlab and the experiment folder, other than the versions of Python, NumPy and
SciPy.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import platform
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from optlab.reproduce.discovery import PACKAGE

# What every result depends on, whatever its file imports: how verdicts are reached and pictures made.
_ALWAYS: tuple[str, ...] = (
    "plotting",
    "reproduce.figures",
    "reproduce.evidence",
    "reproduce.evidence_plot",
    "reproduce.theorems",
)
_ALWAYS += ("reproduce.worker",)
_FILE_BY_FILE = ("theorems", "benchmarks", "reproduce")


def fingerprint(origin: str, kind: str, id: str, scale: str, seed: int) -> str:
    """Return the key of one run as 64 hexadecimal digits."""
    parts: dict[str, Any] = {
        "kind": kind,
        "id": id,
        "scale": scale,
        "seed": seed,
        "versions": _versions(),
        "code": {str(path): _digest(path, _stamp(path)) for path in sorted(dependencies(origin))},
    }
    # keyed by name within its root, so that a checkout can be moved and keep its results
    parts["code"] = {_short(Path(path), origin): value for path, value in parts["code"].items()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def dependencies(origin: str) -> set[Path]:
    """Return the files that the experiment file or theorem module `origin` depends on, itself included."""
    if origin.endswith(".py"):
        start = Path(origin)
    else:
        spec = importlib.util.find_spec(origin)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no module named {origin!r}")
        start = Path(spec.origin)
    found: set[Path] = set()
    queue = [start, *(_module_file(name) for name in _ALWAYS)]
    while queue:
        path = queue.pop()
        if path is None or path in found or not path.is_file():
            continue
        found.add(path)
        if path.suffix == ".py":
            queue += list(_imports(path, _stamp(path)))
    return found


@cache
def _imports(path: Path, stamp: tuple[int, int]) -> tuple[Path, ...]:
    """Files that the imports in `path` lead to, packages of optlab expanded to all they hold."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError:  # cannot be imported either; its bytes count all the same
        return ()
    names: set[str] = set()
    siblings: set[Path] = set()
    aliases = {"optlab"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.add(alias.name)
                if alias.name == "optlab" and alias.asname:
                    aliases.add(alias.asname)
        elif isinstance(node, ast.ImportFrom):
            base = _resolve(node, path)
            if base is not None:
                names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            elif node.level:
                siblings |= _siblings(node, path)
    for node in ast.walk(tree):
        # optlab.transport.X written out after a bare `import optlab`
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            names.add(f"optlab.{node.attr}")
    files = set(siblings)
    for name in names:
        if name == "optlab" or name.startswith("optlab."):
            files |= _files_of(name)
    return tuple(files)


def _resolve(node: ast.ImportFrom, path: Path) -> str | None:
    """The absolute name of ``from X import``, or None for a relative import between experiment files."""
    if node.level == 0:
        return node.module
    if not path.is_relative_to(PACKAGE) or path.is_relative_to(PACKAGE / "_experiments"):
        return None
    parts = ("optlab", *path.relative_to(PACKAGE).parts)[: -node.level]
    return ".".join([*parts, node.module] if node.module else parts)


def _siblings(node: ast.ImportFrom, path: Path) -> set[Path]:
    folder = path.parents[node.level - 1]
    names = [node.module] if node.module else [alias.name for alias in node.names]
    return {folder.joinpath(*name.split(".")).with_suffix(".py") for name in names}


def _files_of(name: str) -> set[Path]:
    """Files behind a dotted name inside optlab; the last part may be a variable."""
    parts = name.split(".")[1:]
    if not parts:
        return set()  # `optlab/__init__.py` only forwards names
    if parts[0] in _FILE_BY_FILE:
        return {file for n in range(1, len(parts) + 1) if (file := _module_file(".".join(parts[:n]))) is not None}
    if (PACKAGE / parts[0]).is_dir():
        return {
            file
            for file in (PACKAGE / parts[0]).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and file.suffix not in (".pyc", ".nbi", ".nbc")
        }
    module = PACKAGE / f"{parts[0]}.py"
    if module.is_file():
        return {module}
    # a name that optlab/__init__.py forwards: solve, History, Evidence ...
    import optlab

    target = optlab._EXPORTS.get(parts[0]) or ("optlab.core" if parts[0] == "stopping" else "")
    return _files_of(target) if target else set()


def _module_file(name: str) -> Path | None:
    base = PACKAGE.joinpath(*name.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _digest(path: Path, stamp: tuple[int, int]) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _short(path: Path, origin: str) -> str:
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE).as_posix()
    return path.relative_to(Path(origin).parent.parent).as_posix() if origin.endswith(".py") else path.name


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    import numpy
    import scipy

    import optlab

    return {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "optlab": optlab.__version__,
    }
