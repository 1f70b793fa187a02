"""What a problem, a method or a start *is*: a hash of its data and its code that is the same in every process.

`joblib.hash` does not serve: it pickles, so it refuses lambdas and closures, and knows module-level functions by their
name, whatever their code. Here functions are taken apart instead. What is a cache rather than data is left out by the
usual signs: a `functools.cached_property`, or a ``__getstate__`` that drops it. A class (or a function, by an
attribute) may also answer for itself with a ``fingerprint()``.
"""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import io
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_WRAPPED = (classmethod, staticmethod)
_SLOTS = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_PARTS = 100  # so many parts are kept with an identity, for messages to name


class _Digest(NamedTuple):
    data: bytes
    code: bytes = b""  # byte code of the user's functions: another version of Python compiles them differently
    library: bytes = b""  # byte code of functions made inside a library: its version counts as well


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a value is.

    Attributes
    ----------
    shown : str
        The value in words that are the same in every process.
    data : str
        Hash of all data, the names of functions and classes included.
    code : str
        Hash of the byte code of the user's functions and classes, which depends on the version of Python.
    library : str
        Hash of the byte code of functions made inside a library, which depends on the library's version too.
    parts : dict of str to str
        Short hashes of the parts by their path, as far as they are kept, so that a difference can be named.
    """

    shown: str
    data: str
    code: str = ""
    library: str = ""
    parts: dict[str, str] = dataclasses.field(default_factory=dict, compare=False)


def identify(value: Any, name: str) -> Identity:
    """Return the identity of `value`, which is called `name` in paths.

    Raises
    ------
    TypeError
        If a part has neither data nor a name to tell it by; the message gives its path and the cure.
    """
    walk = _Walk()
    digest = walk.visit(value, name)
    return Identity(stable_repr(value), digest.data.hex(), digest.code.hex(), digest.library.hex(), walk.parts)


def fingerprint(value: Any) -> str:
    """Return a hash of the data and the code of `value`, the same in every process.

    Parameters
    ----------
    value : object
        Walked through attributes (private ones too), containers, arrays, functions with their closures, defaults and
        the globals that they read, and the classes of the user's own. Left out: values of `functools.cached_property`,
        and what a ``__getstate__`` leaves out. An object with a ``fingerprint()`` method answers for itself.

    Raises
    ------
    TypeError
        If a part cannot be identified (an open file, a generator); the message gives its path and the cure.

    Examples
    --------
    >>> from functools import partial
    >>> fingerprint(partial(pow, 2)) == fingerprint(partial(pow, 2))
    True
    >>> fingerprint(lambda x: 2 * x) == fingerprint(lambda x: 3 * x)
    False
    """
    return _mix(_Walk().visit(value, type(value).__name__)).hex()


def stable_repr(value: Any) -> str:
    """Return ``repr(value)`` without the addresses, which differ from process to process; without one, the class name.

    Examples
    --------
    >>> class Rosenbrock:
    ...     pass
    >>> stable_repr(Rosenbrock()), stable_repr([object()])
    ('Rosenbrock()', '[<object object>]')
    """
    kind: Any = type(value)
    return f"{kind.__name__}()" if kind.__repr__ is object.__repr__ else without_addresses(repr(value))


def without_addresses(text: str) -> str:
    """Return the text of a ``repr`` without the addresses in it."""
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", text)


# ---------------------------------------------------------------------- the walk


class _Walk:
    """One walk over a value. A shared part counts like a copy of it, so that only content matters."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.done: dict[int, _Digest] = {}
        self.open: list[int] = []
        self.kept: list[Any] = []  # an id is taken only while its object lives

    def visit(self, value: Any, path: str) -> _Digest:
        plain = type(value) in _PLAIN
        digest = None if plain else self.done.get(id(value))
        if digest is None:
            if not plain and id(value) in self.open:  # a circle
                return _Digest(_mix("up", str(len(self.open) - self.open.index(id(value)))))
            self.open.append(id(value))
            try:
                digest = _combine(self._content(value, path))
            except RecursionError:
                raise _refusal(value, path, "it is nested too deeply") from None
            finally:
                self.open.pop()
            if not plain:
                self.done[id(value)] = digest
                self.kept.append(value)
        if len(self.parts) < _PARTS:
            self.parts[path] = _mix(digest).hex()[:8]
        return digest

    def _named(self, items: Mapping[str, Any], path: str) -> Iterator[str | _Digest]:
        for name in sorted(items):
            yield name
            yield self.visit(items[name], f"{path}.{name}")

    def _content(self, value: Any, path: str) -> Iterator[str | _Digest]:
        cls = type(value)
        if cls in _PLAIN:
            yield from (cls.__name__, f"{value:x}" if cls is int else repr(value))
        elif isinstance(value, type):
            yield from self._class(value, path)
        elif isinstance(value, types.ModuleType):
            yield from ("module", value.__name__)
        elif callable(getattr(value, "fingerprint", None)):
            yield from ("own", cls.__qualname__, self.visit(value.fingerprint(), f"{path}.fingerprint()"))
        elif isinstance(value, enum.Enum):
            yield from ("enum", cls.__qualname__, value.name)
        elif isinstance(value, (np.ndarray, np.generic)):
            yield from self._array(value, path)
        elif cls in (list, tuple):
            yield cls.__name__
            if len(value) > 100 and all(type(item) in (bool, float, str) for item in value):
                yield repr(value)  # fast
            else:
                yield from (self.visit(item, f"{path}[{i}]") for i, item in enumerate(value))
        elif cls in (set, frozenset):
            yield cls.__name__
            yield from sorted(self.visit(item, f"{path}{{}}") for item in value)
        elif cls in (dict, types.MappingProxyType):
            yield "dict"
            for key, item in value.items():
                label = key if type(key) in _PLAIN else stable_repr(key)
                yield from (self.visit(key, f"{path}.key"), self.visit(item, f"{path}[{label!r}]"))
        elif (content := self._foreign(value, path)) is not None or (
            content := self._callable(value, path)
        ) is not None:
            yield from content
        else:
            yield from self._object(value, path)

    # ------------------------------------------------------------------ arrays and what other libraries make

    def _array(self, value: Any, path: str) -> Iterator[str | _Digest]:
        cls = type(value)
        if isinstance(value, np.ma.MaskedArray):
            yield from ("masked", self.visit(np.ma.getmaskarray(value), f"{path}.mask"))
            value = value.filled()
        elif isinstance(value, np.ndarray) and cls not in (np.ndarray, np.memmap):
            yield cls.__qualname__
            yield from self._named(vars(value), path)
        array = np.asarray(value)
        yield from ("array", str(array.dtype.descr if array.dtype.names else array.dtype.str), str(array.shape))
        if array.dtype.hasobject:
            yield self.visit(array.tolist(), path)
        else:
            yield _Digest(_array_bytes(array))

    def _foreign(self, value: Any, path: str) -> Iterable[str | _Digest] | None:
        cls = type(value)
        library = cls.__module__.partition(".")[0]
        if library == "scipy" and hasattr(value, "tocoo"):
            matrix = value.tocoo(copy=True)
            matrix.sum_duplicates()  # whether entries are sorted is a lazily changing detail
            data = (value.format, matrix.shape, matrix.data, matrix.row, matrix.col)
            return ("sparse", self.visit(data, path))
        if hasattr(cls, "__array_namespace__") or library in ("cupy", "jaxlib", "torch"):
            from optlab.core.backend import to_numpy

            value = value.detach().cpu() if hasattr(value, "detach") else value
            return (library, *self._array(to_numpy(value), path))
        if isinstance(value, np.random.Generator):
            return ("generator", self.visit(dict(value.bit_generator.state), path))
        if isinstance(value, np.vectorize):  # the rest is a cache
            parts = (value.pyfunc, value.otypes, sorted(value.excluded, key=str), value.signature)
            return ("vectorize", self.visit(parts, f"{path}.pyfunc"))
        if cls.__module__ == "_thread":  # a lock
            return (cls.__qualname__,)
        return None

    # ------------------------------------------------------------------ functions

    def _callable(self, value: Any, path: str) -> Iterable[str | _Digest] | None:
        if not callable(value) and not isinstance(
            value, (classmethod, staticmethod, property, functools.cached_property)
        ):
            return None
        if (name := _name_in_library(value)) is not None:
            return ("named", name)
        if isinstance(value, types.FunctionType):
            return self._function(value, path)
        if isinstance(value, types.MethodType):
            return ("method", self.visit(value.__func__, path), self.visit(value.__self__, f"{path}.__self__"))
        if isinstance(value, functools.partial):
            parts = (value.args, value.keywords, vars(value))
            return ("partial", self.visit(value.func, f"{path}.func"), self.visit(parts, f"{path}.args"))
        if isinstance(value, (types.BuiltinFunctionType, types.MethodWrapperType)):
            owner = value.__self__
            return ("method", value.__name__, self.visit(owner, f"{path}.__self__"))
        if isinstance(
            value, (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
        ):
            return ("method", value.__name__, self.visit(value.__objclass__, path))
        if isinstance(value, _WRAPPED):
            return (type(value).__name__, self.visit(value.__func__, path))
        if isinstance(value, property):
            return ("property", self.visit((value.fget, value.fset, value.fdel), path))
        if isinstance(value, functools.cached_property):
            return ("property", self.visit(value.func, path))
        if isinstance(value, np.ufunc):
            raise _refusal(value, path, "it is a ufunc made at run time, which does not show its function")
        if hasattr(value, "py_func"):  # compiled by Numba
            options = getattr(value, "targetoptions", {})
            return ("compiled", self.visit(value.py_func, path), stable_repr(options))
        if not isinstance(value, type) and "__wrapped__" in getattr(
            value, "__dict__", ()
        ):  # functools.lru_cache and the like
            return ("wrapper", type(value).__qualname__, self.visit(value.__wrapped__, path))
        return None

    def _function(self, function: types.FunctionType, path: str) -> Iterator[str | _Digest]:
        code = function.__code__
        inside = _is_library(function.__module__ or "")
        yield from ("function", function.__qualname__)
        yield _Digest(b"", library=_code(code)) if inside else _Digest(b"", code=_code(code))
        yield self.visit((function.__defaults__, function.__kwdefaults__), f"{path} (defaults)")
        reads, assigns = _reads_and_assigns(code)
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            if name not in assigns:  # what the function itself assigns is a counter or the like
                try:
                    yield from (name, self.visit(cell.cell_contents, f"{path} (its variable {name!r})"))
                except ValueError:  # not assigned yet
                    yield from (name, "empty")
        if not inside:
            for names in sorted(reads - {(name,) for name in assigns}):
                yield from self._global(function.__globals__, names, path)
        yield from self._named(vars(function), path)

    def _global(self, scope: Mapping[str, Any], names: tuple[str, ...], path: str) -> Iterator[str | _Digest]:
        """What a function reads from its module; of other modules by name, unless they are the user's."""
        if names[0] not in scope:
            return  # a builtin, or not there yet
        value, dotted = scope[names[0]], names[0]
        for attribute in names[1:]:
            if not isinstance(value, types.ModuleType) or _is_library(value.__name__) or not hasattr(value, attribute):
                break
            value, dotted = getattr(value, attribute), f"{dotted}.{attribute}"
        if isinstance(value, types.ModuleType):
            yield from (".".join(names), value.__name__)
        else:
            yield from (dotted, self.visit(value, f"{path} (the global {dotted!r})"))

    # ------------------------------------------------------------------ classes and objects

    def _class(self, cls: type, path: str) -> Iterator[str | _Digest]:
        for base in cls.__mro__:
            yield base.__qualname__
            if _is_library(base.__module__):
                yield base.__module__
            elif issubclass(base, enum.Enum):
                yield self.visit({member.name: member.value for member in base}, f"{path} (its members)")
            else:
                items = {name: item for name, item in vars(base).items() if _is_content(name, item)}
                yield from self._named(items, f"{path} (class {base.__qualname__})")

    def _object(self, value: Any, path: str) -> Iterator[str | _Digest]:
        """What pickle would write of an object, cached properties excepted."""
        cls = type(value)
        if isinstance(value, (Iterator, io.IOBase)):
            raise _refusal(value, path, "it changes as it is used")
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            if not hasattr(value, "__dict__"):
                raise _refusal(value, path, str(error)) from None
            reduced = (cls, (), vars(value))
        if isinstance(reduced, str):
            yield from ("global", cls.__module__, reduced)
            return
        make, args, state, items, pairs = (*reduced, None, None, None)[:5]
        yield self.visit(make, f"{path} (how it is made)")
        yield self.visit(args, f"{path} (of class {cls.__qualname__})")
        both = state if isinstance(state, tuple) and len(state) == 2 else (state,)  # __dict__ and __slots__
        for part in both:
            if isinstance(part, dict) and all(isinstance(name, str) for name in part):
                data = {name: item for name, item in part.items() if not _is_cached(cls, name)}
                yield from self._named(data, path)
            else:
                yield self.visit(part, f"{path} (state)")
        yield self.visit(list(items or ()), f"{path} (items)")
        yield self.visit([list(pair) for pair in pairs or ()], f"{path} (items)")


def _refusal(value: Any, path: str, reason: str) -> TypeError:
    cls = type(value)
    return TypeError(
        f"{path} cannot be identified, so that a checkpoint could not tell this run from another: it is a "
        f"{cls.__module__}.{cls.__qualname__} ({reason}). Keep it out of the problem and the method, or give the "
        "object that holds it a method fingerprint() that returns what identifies it (numbers, strings, arrays)"
    )


# ---------------------------------------------------------------------- hashing


def _blake(*items: str | bytes) -> Any:
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        data = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item
        digest.update(b"%d:" % len(data))
        digest.update(data)
    return digest


def _mix(*items: Any) -> bytes:
    flat = [part for item in items for part in (item if isinstance(item, tuple) else (item,))]
    digest: bytes = _blake(*flat).digest()
    return digest


def _combine(content: Iterable[str | _Digest]) -> _Digest:
    items = list(content)
    digests = [item for item in items if isinstance(item, _Digest)]
    return _Digest(
        _mix(*(item.data if isinstance(item, _Digest) else item for item in items)),
        _mix(*(d.code for d in digests)) if any(d.code for d in digests) else b"",
        _mix(*(d.library for d in digests)) if any(d.library for d in digests) else b"",
    )


def _array_bytes(array: np.ndarray) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    if array.flags.c_contiguous or not array.ndim:
        blocks: Iterable[np.ndarray] = (array.reshape(-1),)
    else:  # in the same order, without a copy of the whole
        blocks = (array[i : i + 256] for i in range(0, len(array), 256))
    for block in blocks:
        if block.size:
            digest.update(np.ascontiguousarray(block).view(np.uint8).data)
    return digest.digest()


def _code(code: types.CodeType) -> bytes:
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return _mix(
        code.co_code, code.co_exceptiontable, repr(counts), repr(names), *(_constant(c) for c in code.co_consts)
    )


def _constant(value: Any) -> bytes:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, tuple):
        return _mix("tuple", *(_constant(item) for item in value))
    if isinstance(value, frozenset):
        return _mix("set", *sorted(_constant(item) for item in value))
    return _mix(type(value).__name__, f"{value:x}" if isinstance(value, int) else repr(value))


def _reads_and_assigns(code: types.CodeType) -> tuple[set[tuple[str, ...]], set[str]]:
    """Globals that the code reads, with the attributes asked of them, and outer variables that it assigns."""
    reads: set[tuple[str, ...]] = set()
    assigns: set[str] = set()
    chain: tuple[str, ...] = ()
    for instruction in dis.get_instructions(code):
        if chain and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain = (*chain, instruction.argval)
            continue
        if chain:
            reads.add(chain)
        chain = (instruction.argval,) if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") else ()
        if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") or (
            instruction.opname == "STORE_DEREF" and instruction.argval in code.co_freevars
        ):
            assigns.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            more, also = _reads_and_assigns(constant)
            reads |= more
            assigns |= also - set(code.co_cellvars)
    return reads, assigns


# ---------------------------------------------------------------------- whose code it is


@functools.cache
def _is_library(module: str) -> bool:
    """Return whether a module belongs to Python, to optlab or to an installed package: known by name and version."""
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__"):  # whose file is pytest's or Jupyter's where these run the user's code
        return False
    if top == "optlab" or top in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _name_in_library(value: Any) -> str | None:
    """Return the name by which a function of a library can be found again, if it has one."""
    qualified = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    module = getattr(value, "__module__", None)
    places = [module] if module else ["numpy", "scipy.special"] if isinstance(value, np.ufunc) else ["builtins"]
    for place in places:
        if isinstance(qualified, str) and isinstance(place, str) and _is_library(place):
            found: Any = sys.modules.get(place)
            for part in qualified.split("."):
                found = getattr(found, part, None)
            if found is value:
                return f"{place}.{qualified}"
    return None


def _is_content(name: str, item: Any) -> bool:
    """Return whether an entry of a class counts: its functions and data, not what Python keeps there."""
    if isinstance(item, (types.MemberDescriptorType, types.GetSetDescriptorType)) or name in ("__repr__", "__str__"):
        return False
    own = isinstance(item, (types.FunctionType, classmethod, staticmethod, property))
    return name != "_abc_impl" and (own or not (name.startswith("__") and name.endswith("__")))


def _is_cached(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), functools.cached_property)
