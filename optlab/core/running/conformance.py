"""What every problem and every method must do, as checks for classes of your own. The library's own pass them too.

Each failure is an `AssertionError` that says which promise of the contract is broken, and what would keep it.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from optlab.core.running.run import has_advance
from optlab.core.running.solver import check_contract, solve
from optlab.core.serialization import fingerprint, pack
from optlab.core.stopping import Diverged


def check_problem(problem: Any, iterate: Any = None, *, seed: int = 0) -> None:
    """Check that a problem keeps the contract: metrics, starts, purity, identity, and its gradient if it has one.

    Parameters
    ----------
    problem : Problem
    iterate : object, optional
        What `measure` takes, where that is not what `default_start` returns: a solution of some method, say.
    seed : int, default 0
        Of the start and the directions.

    Raises
    ------
    AssertionError
        If a promise is broken; the message says which.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> class Parabola:
    ...     primary_metric = "value"
    ...     def default_start(self, rng): return rng.standard_normal(3)
    ...     def measure(self, x): return {"value": self.value(x)}
    ...     def value(self, x): return float(x @ x)
    ...     def gradient(self, x): return x
    >>> optlab.check_problem(Parabola())
    Traceback (most recent call last):
        ...
    AssertionError: Parabola.gradient is not the gradient of Parabola.value: along a random direction ...
    """
    name = type(problem).__name__
    for hook in ("default_start", "measure"):
        if not callable(getattr(problem, hook, None)):
            raise TypeError(f"problem must have {hook}(), as optlab.core.Problem says, got {name}")
    before = fingerprint(problem)
    start = problem.default_start(np.random.default_rng(seed))
    again = problem.default_start(np.random.default_rng(seed))
    _require(_bytes(start) == _bytes(again), f"{name}.default_start gives two starts for one seed")
    iterate = start if iterate is None else iterate
    frozen = _bytes(iterate)
    measured = problem.measure(iterate)
    _require(isinstance(measured, dict), f"{name}.measure must return a dict of floats, got {type(measured).__name__}")
    for metric, value in measured.items():
        _require(
            isinstance(value, (float, int)) and not isinstance(value, bool),
            f"{name}.measure must return plain floats, but {metric!r} is {type(value).__name__}",
        )
        _require(math.isfinite(value), f"{name}.measure: {metric!r} is {value} at the start or the given iterate")
    primary = getattr(problem, "primary_metric", None)
    _require(
        primary is None or primary in measured,
        f"{name}.primary_metric is {primary!r}, which is not measured; there are {', '.join(measured)}",
    )
    _require(problem.measure(iterate) == measured, f"{name}.measure gives two answers for one iterate")
    _require(_bytes(iterate) == frozen, f"{name}.measure changes the iterate that it is given")
    if callable(getattr(problem, "value", None)) and callable(getattr(problem, "gradient", None)):
        _check_gradient(problem, np.asarray(start, dtype=float), np.random.default_rng(seed + 1))
    _require(fingerprint(problem) == before, f"{name} has changed while it was measured")


def _check_gradient(problem: Any, x: np.ndarray, rng: np.random.Generator) -> None:
    gradient = np.asarray(problem.gradient(x))
    for _ in range(5):
        direction = rng.standard_normal(x.shape)
        h = 1e-6 * max(1.0, float(np.abs(x).max(initial=0.0))) / float(np.linalg.norm(direction))
        slope = (problem.value(x + h * direction) - problem.value(x - h * direction)) / (2 * h)
        claimed = float(np.sum(gradient * direction))
        scale = max(abs(slope), abs(claimed), 1e-6 * abs(problem.value(x)) / h, 1e-12)
        name = type(problem).__name__
        _require(
            abs(slope - claimed) <= 1e-4 * scale,
            f"{name}.gradient is not the gradient of {name}.value: along a random direction the value changes at rate "
            f"{slope:.6g}, the gradient says {claimed:.6g}",
        )


def check_method(method: Any, problem: Any, *, iterations: int = 20, seed: int = 0) -> None:
    """Check that a method keeps the contract on a problem: purity, determinism, cuts, checkpoints, warm starts.

    Parameters
    ----------
    method : Method
    problem : Problem
        One that the method runs on.
    iterations : int, default 20
        Length of the runs; several are made.
    seed : int, default 0

    Raises
    ------
    IncompatibleError
        If the method does not run on the problem.
    AssertionError
        If a promise is broken; the message says which, and what would keep it.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import Box, SquaredDistance
    >>> from optlab.splitting import BregmanDouglasRachford, CompositeProblem
    >>> problem = CompositeProblem(Box(0.0, 1.0), SquaredDistance(np.array([2.0, -1.0])), SquaredEuclidean())
    >>> optlab.check_method(BregmanDouglasRachford(), problem)
    """
    check_contract(problem, method)
    _check_description(method)
    _check_purity(method, problem, seed)
    _check_runs(method, problem, iterations, seed)


def _check_description(method: Any) -> None:
    name = type(method).__name__
    _require(dataclasses.is_dataclass(method), f"{name} must be a dataclass: hyperparameters only")
    parameters = type(method).__dataclass_params__
    _require(parameters.frozen, f"{name} must be a frozen dataclass, so that one method serves many runs")
    _require(name in repr(method), f"repr of {name} must describe the run, class name included")
    copy = dataclasses.replace(method)
    _require(copy == method, f"{name} with the same hyperparameters must compare equal")


def _check_purity(method: Any, problem: Any, seed: int) -> None:
    name = type(method).__name__
    data = fingerprint(problem)
    x0 = problem.default_start(np.random.default_rng(seed))
    kept = _bytes(x0)
    start = method.init(problem, x0, np.random.default_rng(seed))
    before = _bytes(start)
    once = _forward(problem, method, start, 7)
    _require(once.k == start.k + 7, f"{name} must count its iterations: k went from {start.k} to {once.k} in 7")
    middle = _forward(problem, method, start, 3)
    image = _bytes(middle)
    twice = _forward(problem, method, middle, 4)
    _require(
        _bytes(start) == before and _bytes(middle) == image,
        f"{name} changes the state that it is given: return a new one, and copy arrays and generators before changing "
        "them (copy.deepcopy of a generator)",
    )
    _require(
        _bytes(once) == _bytes(twice),
        f"{name}: 7 iterations at once are not 3 and then 4; what an iteration does must depend on the state alone",
    )
    _require(_bytes(x0) == kept, f"{name}.init changes the start that it is given")
    _require(fingerprint(problem) == data, f"{name} changes the problem's data")


def _check_runs(method: Any, problem: Any, iterations: int, seed: int) -> None:
    name = type(method).__name__
    every = max(1, iterations // 5)
    half = every * 2
    # a run that blows up is compared as any other
    options: dict[str, Any] = {"record": every, "progress": False, "stop": Diverged(factor=math.inf)}
    whole = solve(problem, method, max_iter=iterations, seed=seed, **options)
    again = solve(problem, method, max_iter=iterations, seed=seed, **options)
    _require(whole.history.equals(again.history), f"{name}: one seed gives two histories")
    for column in whole.history.columns:
        finite = bool(np.all(np.isfinite(whole.history[column])))
        _require(finite, f"{name}: {column!r} is not finite at every record")
    part = solve(problem, method, max_iter=half, seed=seed, **options)
    joined = solve(problem, method, x0=part, max_iter=iterations - half, **options)
    message = f"{name}: a run in two parts is not the run in one; the state must hold all that an iteration needs"
    _require(_bytes(joined.state) == _bytes(whole.state), message)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.npz"
        solve(problem, method, max_iter=half, seed=seed, checkpoint=path, **options)
        resumed = solve(problem, method, max_iter=iterations, seed=seed, checkpoint=path, resume=True, **options)
    _require(
        _bytes(resumed.state) == _bytes(whole.state) and resumed.history.equals(whole.history),
        f"{name}: a run resumed from its checkpoint is not the run that was never interrupted",
    )
    warm = solve(problem, method, x0=whole.solution, max_iter=2, seed=seed, progress=False)
    _require(warm.n_iter <= 2, f"{name} does not start from an earlier solution")


def _forward(problem: Any, method: Any, state: Any, n: int) -> Any:
    if has_advance(method):
        return method.advance(problem, state, n)
    for _ in range(n):
        state = method.step(problem, state)
    return state


def _bytes(value: Any) -> Any:
    """Return a state, a start or a solution in a form that compares bit for bit."""
    arrays: dict[str, np.ndarray] = {}
    try:
        tree = pack(value, arrays)
    except TypeError:
        return fingerprint(value)
    return repr(tree), {name: array.tobytes() for name, array in arrays.items()}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
