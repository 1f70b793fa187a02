"""States to plain data and back, without pickle: a JSON tree that refers to named arrays.

A state may hold arrays, numbers, strings, booleans, None, `numpy.random.Generator`, and tuples, lists, dicts and
dataclasses of these. Classes are never imported by name from a file: a dataclass is rebuilt only if the running
program already has it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from optlab.core.identity import fingerprint

__all__ = ["dataclass_types", "fingerprint", "pack", "unpack"]

_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def pack(
    value: Any, arrays: dict[str, np.ndarray], where: str = "state", more: Callable[[Any, str], Any] | None = None
) -> Any:
    """Return `value` as a JSON tree, putting its arrays into `arrays`.

    `more` is asked of whatever is neither number, text nor array: it returns a tree with a key of its own, or None.

    Raises
    ------
    TypeError
        If a part cannot be written; the message names the field.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        key = f"array:{len(arrays)}"
        arrays[key] = np.asarray(value)
        return {"scalar": key}
    if more is not None and (tree := more(value, where)) is not None:
        return tree
    if isinstance(value, np.ndarray) and value.dtype.kind in "buifcSU":
        key = f"array:{len(arrays)}"
        arrays[key] = value
        return {"array": key}
    if isinstance(value, np.random.Generator):
        name = type(value.bit_generator).__name__
        if name not in _BIT_GENERATORS:
            raise TypeError(f"{where}: a {name} random generator cannot be written; use {', '.join(_BIT_GENERATORS)}")
        return {"generator": name, "state": pack(dict(value.bit_generator.state), arrays, where)}
    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [pack(v, arrays, f"{where}[{i}]", more) for i, v in enumerate(value)]}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"{where}: only dicts with string keys can be written")
        return {"dict": {key: pack(v, arrays, f"{where}[{key!r}]", more) for key, v in value.items()}}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: pack(getattr(value, f.name), arrays, f"{where}.{f.name}", more) for f in dataclasses.fields(value)
        }
        return {"dataclass": _class_name(type(value)), "fields": fields}
    raise TypeError(
        f"{where}: {type(value).__module__}.{type(value).__qualname__} cannot be written to a file, which may "
        "hold arrays, numbers, strings, None, random generators, and tuples, lists, dicts and dataclasses of these"
    )


def unpack(
    tree: Any,
    arrays: Mapping[str, np.ndarray],
    classes: Mapping[str, type],
    more: Mapping[str, Callable[[dict[str, Any]], Any]] = MappingProxyType({}),
) -> Any:
    """Rebuild what `pack` wrote. `classes` maps names to dataclasses (`dataclass_types`), `more` keys to readers."""
    if not isinstance(tree, dict):
        return tree
    for key, read in more.items():
        if key in tree:
            return read(tree)
    if "scalar" in tree:
        return arrays[tree["scalar"]][()]
    if "array" in tree:
        return arrays[tree["array"]]
    if "generator" in tree:
        if tree["generator"] not in _BIT_GENERATORS:
            raise ValueError(f"unknown random generator {tree['generator']!r}")
        bits = getattr(np.random, tree["generator"])()
        bits.state = unpack(tree["state"], arrays, classes)
        return np.random.Generator(bits)
    if "tuple" in tree:
        return tuple(unpack(v, arrays, classes, more) for v in tree["tuple"])
    if "list" in tree:
        return [unpack(v, arrays, classes, more) for v in tree["list"]]
    if "dict" in tree:
        return {key: unpack(v, arrays, classes, more) for key, v in tree["dict"].items()}
    name = tree["dataclass"]
    cls = classes.get(name) or _already_imported(name)
    if cls is None:
        raise ValueError(f"the class {name} is not loaded; import its module before resuming")
    names = {f.name for f in dataclasses.fields(cls)}
    if names != set(tree["fields"]):
        raise ValueError(f"the fields of {name} have changed since the file was written")
    value: Any = object.__new__(cls)
    for key, packed in tree["fields"].items():
        object.__setattr__(value, key, unpack(packed, arrays, classes, more))
    return value


def dataclass_types(value: Any) -> dict[str, type]:
    """Return the dataclasses that occur in `value`, by name: what a file about such a value may refer to."""
    found: dict[str, type] = {}
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, (tuple, list)):
            stack.extend(item)
        elif isinstance(item, Mapping):
            stack.extend(item.values())
        elif dataclasses.is_dataclass(item) and not isinstance(item, type):
            found[_class_name(type(item))] = type(item)
            stack.extend(getattr(item, f.name) for f in dataclasses.fields(item))
    return found


def _class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _already_imported(name: str) -> type | None:
    module_name, _, qualified = name.partition(":")
    item: Any = sys.modules.get(module_name)
    for part in qualified.split("."):
        item = getattr(item, part, None)
    return item if isinstance(item, type) and dataclasses.is_dataclass(item) else None
