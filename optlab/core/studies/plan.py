"""What a study is to run: named methods times named problems times seeds, and which pairs do not fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from optlab.core.contract.capabilities import reason_against
from optlab.core.errors import IncompatibleError
from optlab.core.identity import Identity, identify
from optlab.core.running.checkpoint import environment
from optlab.core.validation import as_integer

_OWN = {
    "seed": "seeds=",
    "checkpoint": "cache=",
    "checkpoint_every": "cache=",
    "resume": "cache=, from which an interrupted study goes on",
    "progress": "the study's own progress=",
    "on_interrupt": "the study's own on_interrupt=",
}


@dataclass(frozen=True)
class Task:
    """One run to make."""

    problem_name: str
    method_name: str
    seed: int
    problem: Any = field(repr=False)
    method: Any = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    solutions: bool = field(default=True, repr=False)

    @property
    def shown(self) -> str:
        return f"{self.method_name!r} on {self.problem_name!r} with seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """The runs of a study, seed by seed, and the pairs (problem, method) that are left out, with the reason."""

    tasks: tuple[Task, ...]
    incompatible: Mapping[tuple[str, str], str]


def make_plan(
    methods: Any, problems: Any, seeds: Any, options: Mapping[str, Any], method_options: Any, solutions: bool = True
) -> Plan:
    """Return the plan; arguments are those of `optlab.study`.

    Raises
    ------
    TypeError, ValueError
        For bad arguments; `IncompatibleError` if not one method runs on any of the problems.
    """
    named_methods = _named(methods, "methods", "method", ("init", "iterate"), ("measure", "default_start"))
    named_problems = _named(problems, "problems", "problem", ("measure", "default_start"), ("init", "iterate"))
    chosen = seeds_of(seeds)
    _check_options(options, "")
    if method_options is not None and not isinstance(method_options, Mapping):
        raise TypeError(f"method_options must be a dict of method names to options, got {method_options!r}")
    for name, own in (method_options or {}).items():
        if name not in named_methods:
            raise ValueError(f"method_options names {name!r}, which is no method; there are {', '.join(named_methods)}")
        _check_options(own, f" of method_options[{name!r}]")
    incompatible: dict[tuple[str, str], str] = {}
    tasks = []
    for seed in chosen:
        for problem_name, given in named_problems.items():
            problem = given if _is_problem(given) else _made(given, seed, problem_name)
            for method_name, method in named_methods.items():
                pair = (problem_name, method_name)
                if pair in incompatible:
                    continue
                reason = reason_against(problem, method)
                if reason is not None:
                    incompatible[pair] = reason
                    continue
                own = {**options, **(method_options or {}).get(method_name, {})}
                tasks.append(Task(problem_name, method_name, seed, problem, method, own, solutions))
    tasks = [task for task in tasks if (task.problem_name, task.method_name) not in incompatible]
    if not tasks:
        (problem_name, method_name), reason = next(iter(incompatible.items()))
        raise IncompatibleError(f"no method runs on any of the problems: {method_name} on {problem_name} {reason}")
    return Plan(tuple(tasks), incompatible)


def seeds_of(seeds: Any, name: str = "seeds") -> list[int]:
    """Return the seeds: how many (0, 1, ...), or which.

    Examples
    --------
    >>> seeds_of(3), seeds_of([7, 1])
    ([0, 1, 2], [7, 1])
    """
    whole = isinstance(seeds, (int, np.integer)) or (isinstance(seeds, float) and seeds.is_integer())
    if not whole and (isinstance(seeds, (str, bytes)) or not isinstance(seeds, Iterable)):
        raise TypeError(f"{name} must be how many or a sequence of integers, got {seeds!r}")
    chosen: list[Any] = list(range(as_integer(seeds, name, minimum=1))) if whole else [*seeds]
    chosen = [as_integer(seed, f"{name}[{i}]", minimum=0) for i, seed in enumerate(chosen)]
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"{name} must be different and at least one, got {chosen}")
    return chosen


def _named(items: Any, argument: str, kind: str, hooks: tuple[str, ...], others: tuple[str, ...]) -> dict[str, Any]:
    """Return the methods or problems by name: a dict as it is, several by their classes, a single one by its class."""
    if _has(items, hooks) or isinstance(items, type) or (callable(items) and not isinstance(items, Mapping)):
        items = [items]
    if isinstance(items, Mapping):
        named = {str(name): item for name, item in items.items()}
    elif isinstance(items, (list, tuple)):
        names = [getattr(item, "__name__", type(item).__name__) for item in items]
        if len(set(names)) < len(names):
            raise ValueError(f"{argument} must be a dict of names to {kind}s where two have the same class: {names}")
        named = dict(zip(names, items))
    else:
        swapped = "; the methods come first, then the problems" if _has(items, others) else ""
        raise TypeError(
            f"{argument} must be a {kind}, a list of them or a dict of names to them, "
            f"got {type(items).__name__}{swapped}"
        )
    if not named:
        raise ValueError(f"{argument} must hold at least one {kind}")
    for name, item in named.items():
        if isinstance(item, type):
            raise TypeError(f"{argument}[{name!r}] must be an instance: write {item.__name__}(...)")
        if not (_has(item, hooks) or (kind == "problem" and callable(item))):
            swapped = "; the methods come first, then the problems" if _has(item, others) else ""
            raise TypeError(f"{argument}[{name!r}] is no {kind} but a {type(item).__name__}{swapped}")
    return named


def _has(item: Any, hooks: tuple[str, ...]) -> bool:
    return all(callable(getattr(item, hook, None)) for hook in hooks)


def _is_problem(item: Any) -> bool:
    return _has(item, ("measure", "default_start"))


def _made(make: Any, seed: int, name: str) -> Any:
    problem = make(seed)
    if not _is_problem(problem):
        raise TypeError(f"problems[{name!r}]({seed}) must return a problem, got {type(problem).__name__}")
    return problem


def _check_options(options: Any, where: str) -> None:
    from inspect import signature

    from optlab.core.running.solver import solve

    if not isinstance(options, Mapping):
        raise TypeError(f"the options{where} must be a dict, got {type(options).__name__}")
    known = set(signature(solve).parameters) - {"problem", "method"}
    for name in options:
        if name in _OWN:
            raise TypeError(f"the option {name!r}{where} is not for single runs of a study; use {_OWN[name]}")
        if name not in known:
            allowed = ", ".join(sorted(known - set(_OWN)))
            raise TypeError(f"no option {name!r}{where} of optlab.solve; there are {allowed}")


# ---------------------------------------------------------------------- names in the cache


class Keys:
    """Names of runs in a cache: hashes of all that decides what comes out, and of the library's own code."""

    def __init__(self) -> None:
        self.about = json.dumps([environment(), library_digest()])
        self.known: dict[int, Identity] = {}
        self.kept: list[Any] = []

    def of(self, task: Task) -> str:
        """Return the name of a run.

        Raises
        ------
        TypeError
            If a part of the run cannot be identified; the message gives its path and the cure.
        """
        parts: list[Any] = [self._part(task.problem, "problem"), self._part(task.method, "method"), str(task.seed)]
        for name in sorted(task.options):
            parts += [name, *self._part(task.options[name], name)]
        if not task.solutions:
            parts.append("without solution")
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps([self.about, parts]).encode())
        return digest.hexdigest()

    def _part(self, value: Any, name: str) -> list[str]:
        if id(value) not in self.known:  # a large problem is read once, not once a run
            self.known[id(value)] = identify(value, name)
            self.kept.append(value)
        found = self.known[id(value)]
        return [found.data, found.code, found.library]


def library_digest() -> str:
    """Return a hash of optlab's own source files: a development version changes under the same number."""
    import optlab

    root = Path(optlab.__file__).parent
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


__all__ = ["Keys", "Plan", "Task", "library_digest", "make_plan", "seeds_of"]
