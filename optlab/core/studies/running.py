"""`optlab.study`: methods times problems times seeds, cached on disk, in parallel, resumable."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from optlab.core.files import check_writable
from optlab.core.interrupts import lost_interrupt, raising, terminable, termination_received
from optlab.core.parallel import WorkerDied, as_completed, worker_count
from optlab.core.records.result import Result, Status
from optlab.core.records.stored import load_result, save_result
from optlab.core.running.progress import ProgressBar
from optlab.core.running.solver import solve
from optlab.core.studies.plan import Keys, Plan, Task, make_plan
from optlab.core.studies.runs import Study, StudyRun
from optlab.core.validation import as_flag, as_integer, one_of


def study(
    methods: Any,
    problems: Any,
    *,
    seeds: int | Iterable[int] = 1,
    n_jobs: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    on_interrupt: str = "raise",
    method_options: Mapping[str, Mapping[str, Any]] | None = None,
    solutions: bool = True,
    **options: Any,
) -> Study:
    """Run every method on every problem with every seed; return the runs as one tidy table.

    Parameters
    ----------
    methods : method, list of methods, or dict of str to method
        By the name that tables and figures show; otherwise by class.
    problems : problem, list of problems, or dict of str to problem
        The same. In place of a problem may stand a function from a seed to one, for random instances.
    seeds : int or iterable of int, default 1
        How many (0, 1, ...), or which: ``seed`` of `optlab.solve`.
    n_jobs : int, optional
        Worker processes; -1: one per core. Default: what an enclosing ``joblib.parallel_config`` says (its backend
        too, dask for example), otherwise 1. Times of runs side by side are those of a shared machine.
    cache : path, optional
        Folder that keeps every finished run. A run is taken from there if problem, method, seed and options are the
        same (data, and functions by their code), and so are the versions of optlab (to the last line), NumPy and
        Python. An interrupted study goes on where it stopped. A damaged file is computed afresh.
    progress : bool, optional
        Show runs done and the time left; None: if standard error is a terminal or belongs to a notebook.
    on_interrupt : {"raise", "return"}
        What Ctrl-C does: raise `KeyboardInterrupt` with the study so far in its ``result``, or return that.
    method_options : dict of str to dict, optional
        Options of `optlab.solve` for single methods, which go before those for all.
    solutions : bool, default True
        Whether the results keep their solutions; without them many large runs take little memory, and little of the
        disk.
    **options
        Of `optlab.solve`, for all runs: ``max_iter``, ``tol``, ``record``, ``x0``, ...

    Returns
    -------
    Study
        Its results carry no states, whether they come from here, from a worker or from the cache.

    Raises
    ------
    IncompatibleError
        If no method fits any problem. Single pairs that do not fit are left out, and named in ``study.incompatible``.
    TypeError, ValueError
        For bad arguments, before anything is computed. With `cache`, also for a run with a part that cannot be told
        from others, such as an open file.
    Exception
        What a run raises is passed on, with the name of the run as a note and the study so far in its ``result``.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.stochastic import LeastSquares, NGN, SGD
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((50, 3))
    >>> problem = LeastSquares(A, A @ np.ones(3) + 0.1 * rng.standard_normal(50))
    >>> runs = optlab.study({"NGN": NGN(), "SGD": SGD(0.01)}, problem, seeds=range(4), max_iter=200)
    >>> len(runs), len(runs.results["NGN"])
    (8, 4)
    >>> runs.methods, runs.seeds
    (('NGN', 'SGD'), (0, 1, 2, 3))
    """
    one_of(on_interrupt, "on_interrupt", ("raise", "return"))
    if n_jobs is not None and as_integer(n_jobs, "n_jobs") == 0:
        raise ValueError("n_jobs must be a number of processes, or -1 for one per core, got 0")
    plan = make_plan(methods, problems, seeds, options, method_options, as_flag(solutions, "solutions"))
    paths: list[Path | None] = [None] * len(plan.tasks)
    if cache is not None:
        keys = Keys()
        paths = [Path(cache) / f"{keys.of(task)}.npz" for task in plan.tasks]
        check_writable(Path(cache) / "probe.npz", "cache")
    done: dict[int, Result] = {}
    for i, (task, path) in enumerate(zip(plan.tasks, paths)):
        if path is not None and (kept := _kept(task, path)) is not None:
            done[i] = kept
    left = [i for i in range(len(plan.tasks)) if i not in done]
    bar = ProgressBar(progress, len(plan.tasks), "study", unit="run", done=len(done))
    try:
        with terminable(keyboard=True) as signalled:
            try:
                _run_all(plan, paths, left, n_jobs, done, bar, signalled)
            except (Exception, KeyboardInterrupt) as error:
                so_far = _study(plan, done)
                if isinstance(error, KeyboardInterrupt) and on_interrupt == "return" and not termination_received():
                    return so_far
                error.result = so_far  # type: ignore[union-attr]
                error.add_note(
                    f"The {len(done)} of {len(plan.tasks)} runs so far are in this exception's `result` attribute"
                    f"{'' if cache is None else ', and in the cache, from where the same call goes on'}."
                )
                raise
    finally:
        bar.close()
    return _study(plan, done)


def _run_all(
    plan: Plan,
    paths: list[Path | None],
    left: list[int],
    n_jobs: Any,
    done: dict[int, Result],
    bar: Any,
    signalled: Any,
) -> None:
    if worker_count(n_jobs, len(left)):
        _make_ready([plan.tasks[i] for i in left])
    unkept: set[str] = set()

    def died(j: int, error: WorkerDied) -> Any:
        error.add_note(f"This was the run of {plan.tasks[left[j]].shown}.")
        raise error

    for j, (packed, complaint) in as_completed(_run, [(plan.tasks[i], paths[i]) for i in left], n_jobs, died):
        if signalled.is_set() or termination_received():
            raise lost_interrupt()
        i = left[j]
        task = plan.tasks[i]
        done[i] = _unpacked(packed, task)
        path = paths[i]
        if path is not None and not complaint and not path.exists():  # the worker has disks of its own
            save_result(done[i], path, with_problem=False)
        bar.move_to(len(done))
        bar.say(f"{task.method_name}, seed {task.seed}")
        if complaint and task.method_name not in unkept:
            unkept.add(task.method_name)
            warnings.warn(
                f"the runs of {task.method_name!r} are not kept in the cache: {complaint}", RuntimeWarning, stacklevel=3
            )


def _make_ready(tasks: list[Task]) -> None:
    """Measure each problem once, so that what it computes once (a reference value) goes to the workers with it."""
    for problem in {id(task.problem): task.problem for task in tasks}.values():
        own = [task for task in tasks if task.problem is problem]
        methods = [task.method for task in own if not getattr(task.method, "init_is_work", False)]
        if len(own) > 1 and methods:
            # whatever goes wrong here goes wrong in the runs, and is told there
            with contextlib.suppress(Exception), raising(), np.errstate(all="ignore"):
                rng = np.random.default_rng(own[0].seed)
                state = methods[0].init(problem, problem.default_start(rng), rng)
                problem.measure(methods[0].iterate(problem, state))


def _run(task: Task, path: Path | None) -> tuple[Result | bytes, str]:
    """Run a task; return the result, packed in a worker, and why it is not in the cache where it should be."""
    try:
        result = _solved(task)
    except Exception as error:
        error.add_note(f"This was the run of {task.shown}.")
        error.__dict__.pop("result", None)  # of this run alone: the study puts all others there
        raise
    complaint = ""
    if path is not None and result.status is not Status.INTERRUPTED:
        try:
            save_result(result, path, with_problem=False)
        except (TypeError, OSError) as error:
            complaint = str(error)
    return _packed(result, task), complaint


def _solved(task: Task) -> Result:
    with raising():
        result = solve(task.problem, task.method, seed=task.seed, progress=False, **task.options)
    if not task.solutions:
        result = dataclasses.replace(result, solution=None, certificate=None)
    return dataclasses.replace(result, state=None)


def _kept(task: Task, path: Path) -> Result | None:
    """Return a run from the cache; None if it is not there, or damaged."""
    try:
        found = load_result(path, problem=task.problem, method=task.method)
    except (FileNotFoundError, ValueError):
        return None
    return found


def _study(plan: Plan, done: Mapping[int, Result]) -> Study:
    runs = [StudyRun(t.problem_name, t.method_name, t.seed, done[i]) for i, t in enumerate(plan.tasks) if i in done]
    return Study(runs, incompatible=plan.incompatible, planned=len(plan.tasks))


# ---------------------------------------------------------------------- between processes


def _packed(result: Result, task: Task) -> Result | bytes:
    """A worker's result without problem and method, which the parent has already; here, the result itself."""
    from multiprocessing import process

    if process.parent_process() is None:
        return result

    class Lean(pickle.Pickler):
        def persistent_id(self, value: Any) -> str | None:
            return "problem" if value is task.problem else "method" if value is task.method else None

    buffer = io.BytesIO()
    try:
        Lean(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(result)
    except (pickle.PicklingError, AttributeError, TypeError):  # a local class, which joblib takes along by its code
        return dataclasses.replace(result, problem=None, method=None)
    return buffer.getvalue()


def _unpacked(packed: Result | bytes, task: Task) -> Result:
    if isinstance(packed, Result):
        return dataclasses.replace(packed, problem=task.problem, method=task.method)

    class Reader(pickle.Unpickler):  # of our own worker's bytes, never of a file's
        def persistent_load(self, name: str) -> Any:
            return {"problem": task.problem, "method": task.method}[name]

    result: Result = Reader(io.BytesIO(packed)).load()
    return result


__all__ = ["study"]
