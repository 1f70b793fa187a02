"""All public methods of the library, found by walking what its packages export. A new method needs no list."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any

from optlab.core.contract.protocols import Method


def method_classes(packages: Iterable[str] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield (package, class) of every public method, of these packages of optlab only if named.

    The packages are imported by name, when asked: this floor knows none of them.
    """
    import optlab

    for package in optlab.METHOD_PACKAGES:
        if packages is None or package in packages:
            module = importlib.import_module(f"optlab.{package}")
            found = [value for name in module.__all__ if _is_method(value := getattr(module, name))]
            for cls in found:
                # a base class for methods of one's own is none itself: it is no dataclass, and others derive from it
                if dataclasses.is_dataclass(cls) or not any(issubclass(o, cls) for o in found if o is not cls):
                    yield package, cls


def module_names(path: Iterable[str], package: str) -> list[str]:
    """Return the dotted names of the modules of a package, its folders included, sorted; none is imported.

    Names that start with ``_`` are left out.
    """
    names: list[str] = []
    for module in pkgutil.iter_modules(path):
        name = f"{package}.{module.name}"
        if module.name.startswith("_"):
            continue
        if module.ispkg:
            names += module_names([f"{folder}/{module.name}" for folder in path], name)
        else:
            names.append(name)
    return sorted(names)


def _is_method(value: Any) -> bool:
    return inspect.isclass(value) and Method in value.__mro__[1:]
