"""Results in files: solution, certificate and history in one ``.npz``, without pickle; method and problem as text.

Solutions are more than arrays: transport plans, policies. Objects of optlab's own classes are written attribute by
attribute and made again without running any code but theirs; classes of others are never imported because a file says
so. A solution that refers to the problem it solves takes the problem along, unless the reader has it already.
"""

from __future__ import annotations

import enum
import functools
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from optlab.core.files import check_writable, names_of, read_arrays, write_atomically
from optlab.core.identity import stable_repr
from optlab.core.records.history import History
from optlab.core.serialization import pack, unpack
from optlab.core.validation import one_of

if TYPE_CHECKING:
    from optlab.core.records.result import Result

_FORMAT = 1


class Text(str):
    """What a file says of an object that it does not hold; printed as it is."""

    def __repr__(self) -> str:
        return str(self)


def save_result(result: Result, path: str | os.PathLike[str], *, with_problem: bool = True) -> Path:
    """Write a result; see `Result.save`. Without its problem it can only be read by whoever has that."""
    target = check_writable(path)
    one_of(target.suffix, "the suffix of path", (".npz",))
    write_atomically(target, result_writer(result, with_problem=with_problem))
    return target


def result_writer(result: Result, *, with_problem: bool) -> Callable[[IO[Any]], None]:
    """Return what writes the result to an open binary file; everything that can fail has been done by then."""
    arrays: dict[str, np.ndarray] = {}
    packer = _Packer(arrays, None if with_problem else result.problem)
    history = result.history
    header = {
        "optlab result": _FORMAT,
        "solution": pack(result.solution, arrays, "solution", packer),
        "certificate": pack(result.certificate, arrays, "certificate", packer),
        "metrics": result.metrics,
        "status": result.status.name,
        "message": result.message,
        "n_iter": result.n_iter,
        "solve_time": result.solve_time,
        "setup_time": result.setup_time,
        "method": stable_repr(result.method),
        "problem": stable_repr(result.problem),
        # of a solution that holds its problem: which of the objects written that is
        "problem object": packer.numbers.get(id(result.problem)),
        "primary_metric": history.primary_metric,
        "metadata": history.metadata,
        "columns": list(history.columns),
    }
    text = json.dumps(header)
    for i, name in enumerate(history.columns):
        arrays[f"column:{i}"] = history[name]

    def write(file: IO[Any]) -> None:
        np.savez(file, header=np.array(text), **arrays)  # type: ignore[arg-type]

    return write


def load_result(path: str | os.PathLike[str], *, problem: Any = None, method: Any = None) -> Result:
    """Read a result that `save_result` wrote; see `Result.load`."""
    from optlab.core.records.result import Result, Status

    source = Path(path)
    one_of(source.suffix, "the suffix of path", (".npz",))
    if not source.exists():
        raise FileNotFoundError(f"no result at {str(source)!r}")
    try:
        arrays = read_arrays(source)
        header = json.loads(str(arrays["header"])) if "header" in arrays else None
        if not isinstance(header, dict) or header.get("optlab result") != _FORMAT:
            raise ValueError(f"it is no result of format {_FORMAT}")
        unpacker = _Unpacker(arrays, problem)
        solution = unpack(header["solution"], arrays, {}, unpacker.readers)
        certificate = unpack(header["certificate"], arrays, {}, unpacker.readers)
        columns = {name: arrays[f"column:{i}"] for i, name in enumerate(names_of(header["columns"], "columns"))}
        history = History(columns, primary_metric=header["primary_metric"], metadata=header["metadata"])
        found = unpacker.objects.get(header["problem object"]) if problem is None else problem
        return Result(
            solution=solution,
            metrics={str(name): float(value) for name, value in header["metrics"].items()},
            history=history,
            status=Status[header["status"]],
            message=str(header["message"]),
            n_iter=int(header["n_iter"]),
            solve_time=float(header["solve_time"]),
            setup_time=float(header["setup_time"]),
            method=Text(header["method"]) if method is None else method,
            problem=Text(header["problem"]) if found is None else found,
            certificate=certificate,
        )
    except Exception as error:  # a damaged file makes its reader stumble in many ways
        reason = str(error) if isinstance(error, (ValueError, TypeError, OSError)) else repr(error)
        raise ValueError(f"{str(source)!r} is not a readable optlab result: {reason}") from None


class _Packer:
    """Trees of what `pack` does not know: objects of optlab's classes (each once), enumerations, sparse matrices."""

    def __init__(self, arrays: dict[str, np.ndarray], known: Any) -> None:
        self.arrays = arrays
        self.known = known
        self.numbers: dict[int, int] = {}
        self.seen: dict[int, Any] = {}
        self.kept: list[Any] = []  # an id is taken only while its object lives

    def __call__(self, value: Any, where: str) -> Any:
        if self.known is not None and value is self.known:
            return {"problem": True}
        cls = type(value)
        if cls is np.ndarray and value.dtype.kind in "buifcSU":
            if id(value) not in self.seen:
                key = f"array:{len(self.arrays)}"
                self.arrays[key] = value
                self._keep(value, {"array": key})
            return self.seen[id(value)]
        if isinstance(value, np.dtype) and not value.hasobject:
            return {"dtype": value.str}
        if isinstance(value, enum.Enum) and _is_ours(cls):
            return {"enum": _name(cls), "member": value.name}
        if cls.__module__.startswith("scipy.sparse") and hasattr(value, "tocoo"):
            return self._sparse(value, where)
        if _is_ours(cls) and not isinstance(value, type):
            return self._object(value, where)
        return None

    def _keep(self, value: Any, tree: Any) -> None:
        self.seen[id(value)] = tree
        self.kept.append(value)

    def _sparse(self, value: Any, where: str) -> Any:
        parts = ("data", "indices", "indptr") if value.format in ("csr", "csc") else ("data", "row", "col")
        matrix = value if value.format in ("csr", "csc", "coo") else value.tocoo()
        packed = {name: pack(getattr(matrix, name), self.arrays, f"{where}.{name}", self) for name in parts}
        return {"sparse": type(matrix).__name__, "shape": list(matrix.shape), "parts": packed}

    def _object(self, value: Any, where: str) -> Any:
        if id(value) in self.numbers:
            return {"again": self.numbers[id(value)]}
        number = self.numbers[id(value)] = len(self.numbers)
        self.kept.append(value)
        cls = type(value)
        data: dict[str, Any] = {}
        if isinstance(value, np.ndarray):  # a point with more to it
            data = {"data": pack(np.asarray(value), self.arrays, where, self)}
            state: Any = vars(value)
        else:
            state = value.__getstate__()
        slots: dict[str, Any] = {}
        if isinstance(state, tuple) and len(state) == 2:
            state, slots = state
        if not (state is None or isinstance(state, dict)):
            raise TypeError(f"{where}: {cls.__qualname__} has a state of its own kind, which cannot be written")
        fields = {
            name: pack(item, self.arrays, f"{where}.{name}", self)
            for name, item in {**(state or {}), **slots}.items()
            if not isinstance(getattr(cls, name, None), functools.cached_property)
        }
        return {"object": _name(cls), "number": number, "fields": fields, **data}


class _Unpacker:
    def __init__(self, arrays: dict[str, np.ndarray], problem: Any) -> None:
        self.arrays = arrays
        self.problem = problem
        self.objects: dict[int, Any] = {}
        self.readers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "problem": self._problem,
            "dtype": lambda tree: np.dtype(tree["dtype"]),
            "enum": lambda tree: _class(tree["enum"])[tree["member"]],  # type: ignore[index]
            "sparse": self._sparse,
            "object": self._object,
            "again": lambda tree: self.objects[tree["again"]],
        }

    def _problem(self, tree: dict[str, Any]) -> Any:
        if self.problem is None:
            raise ValueError("its solution refers to the problem, which was not written: give problem=")
        return self.problem

    def _sparse(self, tree: dict[str, Any]) -> Any:
        import scipy.sparse

        name = str(tree["sparse"])
        one_of(name, "sparse", [f"{kind}_{what}" for kind in ("csr", "csc", "coo") for what in ("array", "matrix")])
        parts = {key: unpack(part, self.arrays, {}, self.readers) for key, part in tree["parts"].items()}
        if name.startswith("coo"):
            content: Any = (parts["data"], (parts["row"], parts["col"]))
        else:
            content = (parts["data"], parts["indices"], parts["indptr"])
        matrix = getattr(scipy.sparse, name)(content, shape=tuple(tree["shape"]))
        if not name.startswith("coo"):
            matrix.check_format(full_check=True)
        return matrix

    def _object(self, tree: dict[str, Any]) -> Any:
        cls = _class(tree["object"])
        if issubclass(cls, np.ndarray):
            value: Any = np.asarray(unpack(tree["data"], self.arrays, {}, self.readers)).view(cls)
        else:
            value = object.__new__(cls)
        self.objects[tree["number"]] = value
        fields = {str(name): unpack(part, self.arrays, {}, self.readers) for name, part in tree["fields"].items()}
        own = None if issubclass(cls, np.ndarray) else getattr(cls, "__setstate__", None)
        if own is not None:
            own(value, fields)
        else:
            for name, item in fields.items():
                object.__setattr__(value, name, item)
        return value


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "optlab" and "<locals>" not in cls.__qualname__


def _class(name: Any) -> type:
    """Return a class of optlab by the name in a file; only modules of this package are ever imported for it."""
    module, _, qualified = str(name).partition(":")
    if module.partition(".")[0] != "optlab":
        raise ValueError(f"the class {name} is not one of optlab's")
    item: Any = importlib.import_module(module)
    for part in qualified.split("."):
        item = getattr(item, part, None)
    if not isinstance(item, type) or item.__module__ != module:
        raise ValueError(f"this version of optlab has no class {name}")
    return item


__all__ = ["Text", "load_result", "result_writer", "save_result"]
