"""Calls of every public name with hostile arguments: what comes back is a result or an error that a person can act on.

A *clear* error is one that the library raised on purpose: its last frame is the library's own, and its type is one that
callers expect (ValueError, TypeError and what derives from them, ImportError, OSError, RuntimeError). Python's own
complaint about a call that does not fit a signature is clear too. Everything else (an IndexError, an AttributeError, a
message of NumPy's from deep inside) is *raw*.

    python tests/fuzz/fuzzer.py 20000 --seed 1     prints the rate, and the names with raw errors, worst first
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib
import inspect
import io
import os
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

PACKAGES = (
    "optlab",
    "optlab.core",
    "optlab.bregman",
    "optlab.bregman.functions",
    "optlab.bregman.mirror_maps",
    "optlab.datasets",
    "optlab.wrappers",
    "optlab.splitting",
    "optlab.splitting.problems",
    "optlab.transport",
    "optlab.stochastic",
    "optlab.policy",
    "optlab.policy.environments",
    "optlab.multiview",
)
# what starts long work, processes or drawing by design, or reads files only
LEFT_OUT = {"reproduce", "verify", "compare", "figure", "theorem", "sweep", "Figure", "Evidence", "State", "Problem"}
CLEAR = (ValueError, TypeError, ImportError, OSError, RuntimeError, NotImplementedError)
SECONDS = 5
LIBRARY = str(Path(importlib.import_module("optlab").__file__ or "").parent)


class TooLong(BaseException):
    """Past the time for one call; not an Exception, so that nothing swallows it."""


@dataclass
class Report:
    """Counts of calls by outcome, and the raw errors by name."""

    counts: collections.Counter = field(default_factory=collections.Counter)
    raw: dict[str, list[str]] = field(default_factory=lambda: collections.defaultdict(list))

    @property
    def calls(self) -> int:
        return sum(self.counts.values())

    @property
    def rate(self) -> float:
        return self.counts["raw"] / max(self.calls, 1)


def targets() -> Iterator[tuple[str, Callable[..., Any]]]:
    """All public classes and functions, once each."""
    seen = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in sorted(module.__all__):
            value = getattr(module, name)
            if not callable(value) or name in LEFT_OUT or id(value) in seen or getattr(value, "_is_protocol", False):
                continue
            if inspect.isclass(value) and (issubclass(value, (BaseException, Enum)) or inspect.isabstract(value)):
                continue
            seen.add(id(value))
            yield f"{package}.{name}", value


def pools(rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    """Plausible and hostile arguments."""
    a = rng.random(4)
    plausible = [
        1.0,
        0.5,
        2,
        3,
        a,
        a / a.sum(),
        rng.standard_normal((4, 4)),
        rng.random((4, 3)),
        np.sign(rng.standard_normal(4)),
        np.arange(4),
        [0.25, 0.75],
        "adaptive",
        None,
        True,
        0,
        (2, 3),
        lambda *args: 1.0,
        sp.csr_matrix(np.eye(4)),
    ]
    hostile = [
        np.nan,
        np.inf,
        -np.inf,
        -1,
        10**400,
        1e308,
        -1e-320,
        "",
        "nonsense",
        b"bytes",
        [],
        (),
        {},
        {"a": 1},
        {1, 2},
        np.array([]),
        np.array(1.0),
        np.array([np.nan, 1.0, 2.0, 3.0]),
        np.array([1 + 2j, 0]),
        np.array(["a", "b"]),
        np.array([None, 1.0], dtype=object),
        np.ma.masked_array([1.0, 2.0], mask=[True, False]),
        np.zeros((0, 3)),
        np.ones((2, 2, 2)),
        [[1.0, 2.0], [3.0]],
        float,
        object(),
        sp.csr_matrix((2, 0)),
        np.random.default_rng(0),
        range(5),
        slice(1, 2),
        -(2**63),
        np.float32(1e30),
        Path("nowhere"),
    ]
    return plausible, hostile


def arguments(signature: inspect.Signature, rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    """A call: required parameters and some of the optional ones, half of the values hostile."""
    plausible, hostile = pools(rng)
    positional, keywords = [], {}
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is not parameter.empty and rng.random() < 0.7:
            continue
        pool = plausible if rng.random() < 0.5 else hostile
        value = pool[rng.integers(len(pool))]
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        else:
            keywords[parameter.name] = value
    return positional, keywords


def outcome(call: Callable[[], Any]) -> tuple[str, str]:
    """Make a call; return "result", "clear", "raw" or "slow", and what a raw error says."""

    def too_long(signum: int, frame: Any) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            call()
        return "result", ""
    except TooLong:
        return "slow", ""
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        inside = frames[-1].filename.startswith(LIBRARY)
        signature = isinstance(error, TypeError) and len(frames) == 2  # raised by the call itself
        if isinstance(error, CLEAR) and (inside or signature):
            return "clear", ""
        place = next((f for f in reversed(frames) if f.filename.startswith(LIBRARY)), frames[-1])
        return "raw", f"{type(error).__name__}: {error!s:.120} ({Path(place.filename).name}:{place.lineno})"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(calls: int, seed: int = 0, only: str = "") -> Report:
    """Make about `calls` calls, spread evenly over the public names (those that contain `only`)."""
    found = [(name, value) for name, value in targets() if only in name]
    report = Report()
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # paths among the arguments lead nowhere else
        try:
            for name, value in found:
                try:
                    signature = inspect.signature(value)
                except (TypeError, ValueError):
                    continue
                rng = np.random.default_rng([seed, *name.encode()])
                for _ in range(max(1, calls // len(found))):
                    positional, keywords = arguments(signature, rng)
                    kind, text = outcome(lambda: value(*positional, **keywords))  # noqa: B023
                    report.counts[kind] += 1
                    if kind == "raw":
                        report.raw[name].append(text)
        finally:
            os.chdir(here)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", type=int, nargs="?", default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names that contain this")
    options = parser.parse_args()
    report = fuzz(options.calls, options.seed, options.only)
    for name, texts in sorted(report.raw.items(), key=lambda item: -len(item[1])):
        for text, n in collections.Counter(texts).most_common(3):
            print(f"{n:4d}  {name}  {text}")
    print(f"{report.calls} calls: {dict(report.counts)}; raw {report.rate:.2%}")


if __name__ == "__main__":
    main()
