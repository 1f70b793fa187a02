"""The learning-rate sensitivity study as one call: `sweep` runs methods over step sizes and seeds, in parallel.

Every run has the same budget of passes over the data and starts from the same point; with the same seed, runs with
equal batch size and sampling see the same samples in the same order, so that methods are compared pairwise. With a
`cache` folder every finished run is kept, and an interrupted sweep goes on where it stopped: the runs are a study's
(`optlab.study`).
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from optlab.core import Result, Status
from optlab.core.contract.capabilities import check_compatible
from optlab.core.studies import study
from optlab.core.studies.plan import seeds_of
from optlab.core.validation import as_flag, as_float_array, as_integer, as_number, one_of
from optlab.stochastic.averaging import Averaged
from optlab.stochastic.loop.method import StochasticMethod, against
from optlab.stochastic.loop.schedules import Decaying, StepDecay
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.sweeps.table import Sweep, is_maximized

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
        Folder for finished runs, without their solutions. A run is taken from there if problem and method (data and
        code), seed, budget, start and version of optlab are the same. A file that is damaged is computed afresh.

    Returns
    -------
    Sweep

    Raises
    ------
    TypeError, ValueError
        For bad arguments; with `cache`, also for a part that cannot be told from others, such as an open file.

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
    chosen = seeds_of(seeds)
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

    runs, made, budgets = [], {}, {}
    for name, make in named.items():
        for step_size in grids[name]:
            method = _with_step_size(make, float(step_size), name)
            check_compatible(problem, method)
            size = getattr(method, "method", method).batch_size
            steps = max_iter or math.ceil(epochs * problem.n_samples / size)
            key = f"{name} at {float(step_size)!r}"
            made[key] = method
            # more records would cost more than the steps on small problems
            budgets[key] = {"max_iter": steps, "record": max(1, steps // 10)}
            runs += [(name, float(step_size), seed, key) for seed in chosen]
    found = study(
        made,
        problem,
        seeds=chosen,
        n_jobs=jobs,
        cache=cache,
        x0=x0,
        method_options=budgets,
        solutions=False,
        progress=False,
    )
    results = {(run.method, run.seed): run.result for run in found}
    return _table([run[:3] for run in runs], [results[key, seed] for _, _, seed, key in runs], metric, maximize)


def _table(runs: list[tuple[str, float, int]], results: list[Result], metric: str, maximize: bool) -> Sweep:
    lost = -math.inf if maximize else math.inf
    values = [result.history[metric] for result in results]
    columns: dict[str, Any] = {
        "method": [run[0] for run in runs],
        "step_size": [run[1] for run in runs],
        "seed": [run[2] for run in runs],
        "final": [lost if r.status is Status.DIVERGED else float(v[-1]) for r, v in zip(results, values)],
        "initial": [float(v[0]) for v in values],
        "best": [float(v.max() if maximize else v.min()) for v in values],
        "status": [str(result.status) for result in results],
        "iterations": [result.n_iter for result in results],
        "oracle_calls": [float(result.history["oracle_calls"][-1]) for result in results],
        "solve_time": [float(result.solve_time) for result in results],
    }
    for name in results[0].metrics:
        if name not in columns and all(name in result.metrics for result in results):
            columns[name] = [result.metrics[name] for result in results]
    return Sweep(columns, metric=metric, maximize=maximize)


# ---------------------------------------------------------------------- arguments


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
