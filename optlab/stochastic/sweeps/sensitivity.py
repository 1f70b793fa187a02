"""The learning-rate sensitivity study as one call: `sweep` runs methods over step sizes and seeds, in parallel.

Every run has the same budget of passes over the data and starts from the same point; with the same seed, runs with
equal batch size and sampling see the same samples in the same order, so that methods are compared pairwise. With a
`cache` folder every finished run is kept in a small JSON file, and an interrupted sweep goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from optlab.core import Status, solve
from optlab.core.files import write_atomically
from optlab.core.interrupts import end_with_parent, terminable
from optlab.core.serialization import fingerprint
from optlab.core.validation import as_flag, as_float_array, as_integer, as_number, one_of
from optlab.stochastic.averaging import Averaged
from optlab.stochastic.loop.method import StochasticMethod, against
from optlab.stochastic.loop.schedules import Decaying, StepDecay
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.sweeps.table import Sweep, is_maximized

_FORMAT = 2  # of the cache's files

_FINISHED = {str(status) for status in Status if status is not Status.INTERRUPTED}

MethodLike = Any  # a method, a class of methods, or a callable from a step size to a method


def sweep(
    problem: FiniteSum,
    methods: Mapping[str, MethodLike] | Sequence[MethodLike],
    step_sizes: Any,
    seeds: int | Iterable[int] = 3,
    jobs: int = 1,
    *,
    epochs: float = 10,
    max_iter: int | None = None,
    metric: str = "objective",
    maximize: bool | None = None,
    x0: Any = None,
    cache: str | os.PathLike[str] | None = None,
) -> Sweep:
    """Run every method at every step size with every seed; return the table of final losses, which plots itself.

    Parameters
    ----------
    problem : FiniteSum
    methods : dict of str to method, or sequence of methods
        By the name that table and figure show (in a sequence: the class name). A method such as ``NGN(momentum=0.9)``
        gets each step size in place of its own (`sigma`, `step_size` or `max_step_size`; the initial value if that is
        `Decaying` or `StepDecay`; the wrapped method's if it is `Averaged`). Or a callable, or class, that makes a
        method from a step size.
    step_sizes : sequence of float, or dict of str to sequence
        For all methods, or for each by name.
    seeds : int or sequence of int, default 3
        How many (0, 1, ...), or which.
    jobs : int, default 1
        Processes to use; -1: one per core.
    epochs : float, default 10
        Passes over the data, rounded up to whole steps.
    max_iter : int, optional
        Steps instead, the same for all methods.
    metric : str, default "objective"
        The metric of the problem to compare.
    maximize : bool, optional
        Whether larger values of it are better; default: only of ``"accuracy"``.
    x0 : array_like, optional
        The start of all runs; default: the problem's, drawn with the run's seed where it is random.
    cache : path-like, optional
        Folder for finished runs. A run is taken from there if problem (data and code), method, seed, budget, start and
        version of optlab are the same. A file that is damaged is computed afresh.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError, ValueError
        For bad arguments; with `cache`, for methods with a schedule that cannot be told apart by its data, such as a
        function.

    Examples
    --------
    >>> from optlab.stochastic import LeastSquares, NGN, SGD, sweep
    >>> problem = LeastSquares([[1.0], [2.0], [3.0]], [1.0, 2.1, 2.9])
    >>> table = sweep(problem, {"NGN": NGN(), "SGD": SGD}, [0.01, 1.0, 100.0], seeds=2)
    >>> width = table.plateau_width()
    >>> width["NGN"] > width["SGD"]
    True
    >>> table.plot().get_xlabel()
    'step size'
    """
    if (reason := against(problem)) is not None:
        raise TypeError(f"sweep {reason}")
    named = _named(methods)
    grids = _grids(step_sizes, list(named))
    if not _is_int(seeds) and (isinstance(seeds, (str, bytes)) or not isinstance(seeds, Iterable)):
        raise TypeError(f"seeds must be how many or a sequence of integers, got {seeds!r}")
    chosen = list(range(as_integer(seeds, "seeds", minimum=1))) if _is_int(seeds) else [*seeds]  # type: ignore[misc]
    chosen = [as_integer(s, f"seeds[{i}]", minimum=0) for i, s in enumerate(chosen)]
    if not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(f"seeds must be different and at least one, got {chosen}")
    jobs = as_integer(jobs, "jobs")
    if jobs == 0:
        raise ValueError("jobs must be a number of processes, or -1 for one per core, got 0")
    as_number(epochs, "epochs", above=0)
    if max_iter is not None:
        max_iter = as_integer(max_iter, "max_iter", minimum=1)
    if x0 is not None:
        x0 = as_float_array(x0, "x0", shape=problem.shape)
    start = problem.default_start(np.random.default_rng(0)) if x0 is None else x0
    one_of(metric, "metric", tuple(problem.measure(start)))
    maximize = is_maximized(metric) if maximize is None else as_flag(maximize, "maximize")

    runs = []
    for name, make in named.items():
        for step_size in grids[name]:
            method = _with_step_size(make, float(step_size), name)
            size = getattr(method, "method", method).batch_size
            steps = max_iter or math.ceil(epochs * problem.n_samples / size)
            runs += [(name, float(step_size), seed, method, steps) for seed in chosen]

    folder = None
    paths: list[Path | None] = [None] * len(runs)
    if cache is not None:
        folder = Path(cache)
        folder.mkdir(parents=True, exist_ok=True)
        data = fingerprint((type(problem).__name__, problem, x0))
        paths = [folder / f"{_key(data, metric, maximize, *run[2:])}.json" for run in runs]
    found = [None if path is None else _read(path) for path in paths]
    missing = [i for i, row in enumerate(found) if row is None]
    if missing:
        if jobs != 1:
            _ = problem.f_star  # computed once here instead of once per process
        tasks = [(problem, x0, metric, maximize, *runs[i][2:], paths[i]) for i in missing]
        with terminable():  # of the workers, too
            for i, row in zip(missing, _map(tasks, jobs)):
                found[i] = row
    return _table(runs, found, metric, maximize)


# ---------------------------------------------------------------------- one run


def _run(
    problem: FiniteSum, x0: Any, metric: str, maximize: bool, seed: int, method: Any, steps: int, path: Path | None
) -> dict[str, Any]:
    end_with_parent()
    record = max(1, steps // 10)  # more would cost more than the steps on small problems
    result = solve(
        problem, method, x0=x0, max_iter=steps, seed=seed, record=record, progress=False, on_interrupt="raise"
    )
    values = result.history[metric]
    row = {
        "final": float(values[-1]),
        "initial": float(values[0]),
        "best": float(values.max() if maximize else values.min()),
        "status": str(result.status),
        "iterations": result.n_iter,
        "oracle_calls": float(result.history["oracle_calls"][-1]),
        "solve_time": float(result.solve_time),
        "metrics": {name: float(value) for name, value in result.metrics.items()},
    }
    if path is not None:

        def write(file: IO[Any]) -> None:
            json.dump(row, file, allow_nan=False)

        write_atomically(path, write, "w")
    return row


def _map(tasks: list[tuple[Any, ...]], jobs: int) -> Iterable[dict[str, Any]]:
    if jobs == 1:
        return (_run(*task) for task in tasks)
    from joblib import Parallel, delayed

    return Parallel(n_jobs=jobs)(delayed(_run)(*task) for task in tasks)


def _read(path: Path) -> dict[str, Any] | None:
    """Return a cached run; None if there is none, or if the file is damaged or of a run that did not finish."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):  # ValueError: neither text nor JSON
        return None
    if not isinstance(row, dict) or not isinstance(row.get("metrics"), dict):
        return None
    numbers = [row.get(name) for name in ("final", "initial", "best", "iterations", "oracle_calls", "solve_time")]
    plain = all(type(n) in (int, float) for n in [*numbers, *row["metrics"].values()])
    return row if plain and row.get("status") in _FINISHED else None


def _table(runs: list[tuple[Any, ...]], rows: list[Any], metric: str, maximize: bool) -> Sweep:
    lost = -math.inf if maximize else math.inf
    diverged = str(Status.DIVERGED)
    columns: dict[str, Any] = {
        "method": [run[0] for run in runs],
        "step_size": [run[1] for run in runs],
        "seed": [run[2] for run in runs],
        "final": [lost if row["status"] == diverged else float(row["final"]) for row in rows],
    }
    for name in ("initial", "best", "status", "iterations", "oracle_calls", "solve_time"):
        columns[name] = [row[name] for row in rows]
    shared = [n for n in rows[0]["metrics"] if n not in columns and all(n in row["metrics"] for row in rows)]
    for name in shared:
        columns[name] = [row["metrics"][name] for row in rows]
    return Sweep(columns, metric=metric, maximize=maximize)


# ---------------------------------------------------------------------- arguments


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) or (isinstance(value, float) and value.is_integer())


def _named(methods: Any) -> dict[str, MethodLike]:
    if isinstance(methods, (StochasticMethod, Averaged)):
        methods = [methods]
    if isinstance(methods, Mapping):
        named = {str(name): make for name, make in methods.items()}
    else:
        if isinstance(methods, (str, bytes)) or not isinstance(methods, Iterable):
            raise TypeError(f"methods must be a dict or a sequence of stochastic methods, got {methods!r}")
        items = list(methods)
        names = [getattr(m, "__name__", type(m).__name__) for m in items]
        if len(set(names)) != len(names):
            raise ValueError(f"methods must be a dict of names to methods, as two of them have the same name: {names}")
        named = dict(zip(names, items))
    if not named:
        raise ValueError("methods must name at least one method")
    for name, make in named.items():
        if not isinstance(make, (StochasticMethod, Averaged)) and not callable(make):
            raise TypeError(
                f"methods[{name!r}] must be a stochastic method or a callable from a step size to one, got {make!r}"
            )
    return named


def _grids(step_sizes: Any, names: list[str]) -> dict[str, np.ndarray]:
    if isinstance(step_sizes, Mapping):
        absent = [name for name in names if name not in step_sizes]
        if absent:
            raise ValueError(f"step_sizes must have an entry for every method; {absent[0]!r} has none")
        grids = {
            name: as_float_array(step_sizes[name], f"step_sizes[{name!r}]", ndim=1, positive=True) for name in names
        }
    else:
        grid = as_float_array(step_sizes, "step_sizes", ndim=1, positive=True)
        grids = dict.fromkeys(names, grid)
    for name, grid in grids.items():
        if len(np.unique(grid)) != len(grid):
            raise ValueError(f"step_sizes of {name!r} must be different from one another, got {grid.tolist()}")
    return grids


def _with_step_size(make: MethodLike, step_size: float, name: str) -> Any:
    """Return the method at a step size."""
    if isinstance(make, Averaged):
        return dataclasses.replace(make, method=_with_step_size(make.method, step_size, name))
    if isinstance(make, StochasticMethod):
        field = make.schedule
        if not any(f.name == field for f in dataclasses.fields(make)):
            raise TypeError(f"methods[{name!r}] has no step size: {make!r}; give a callable from a number to a method")
        present = getattr(make, field)
        if isinstance(present, (Decaying, StepDecay)):
            return _replaced(make, field, dataclasses.replace(present, initial=step_size))
        if callable(present):
            raise TypeError(
                f"methods[{name!r}].{field} is a function, which has no step size to replace; give a callable from a "
                "number to a method"
            )
        return _replaced(make, field, step_size)
    method = make(step_size)
    if not isinstance(method, (StochasticMethod, Averaged)):
        raise TypeError(f"methods[{name!r}]({step_size:g}) must be a stochastic method, got {method!r}")
    return method


def _replaced(method: Any, field: str, value: Any) -> Any:
    return dataclasses.replace(method, **{field: value})


def _key(data: str, metric: str, maximize: bool, seed: int, method: Any, steps: int) -> str:
    """Return the name of a run in the cache."""
    import optlab

    text = json.dumps(
        [_FORMAT, optlab.__version__, data, metric, maximize, seed, _description(method, "method"), steps]
    )
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _description(value: Any, where: str) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return [_description(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _description(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value)}
        return [f"{type(value).__module__}.{type(value).__qualname__}", fields]
    raise TypeError(
        f"{where} is {value!r}, which a cache cannot tell from others: use a number, Decaying or StepDecay, or leave "
        "out `cache`"
    )
