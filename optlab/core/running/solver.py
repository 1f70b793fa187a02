"""`optlab.solve` runs a method on a problem; `optlab.iterate` is the bare iteration."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from optlab.core.contract.capabilities import check_compatible
from optlab.core.files import check_writable
from optlab.core.identity import Identity, stable_repr
from optlab.core.interrupts import terminable
from optlab.core.records.history import History
from optlab.core.records.result import Result
from optlab.core.running.checkpoint import Checkpoint, Saver, environment, run_identity
from optlab.core.running.recording import Schedule
from optlab.core.running.run import Run, has_advance, prepared
from optlab.core.stopping import AllOf, Rule, TimeLimit, Tolerance
from optlab.core.validation import as_integer, as_number, one_of


def solve(
    problem: Any,
    method: Any,
    *,
    x0: Any = None,
    max_iter: int = 1000,
    tol: float | Mapping[str, float] | None = None,
    stop: Rule | None = None,
    time_limit: float | None = None,
    record: str | int | Sequence[int] = "log",
    callbacks: Callable[[Any, History], Any] | Sequence[Callable[[Any, History], Any]] = (),
    progress: bool | None = None,
    seed: int | np.random.Generator | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
    resume: bool = False,
    on_interrupt: str = "return",
) -> Result:
    """Run `method` on `problem` and return the solution with its whole convergence history.

    Parameters
    ----------
    problem : Problem
        What is to be solved (see `optlab.core.Problem`).
    method : Method
        The algorithm and its hyperparameters (see `optlab.core.Method`).
    x0 : object or Result, optional
        A start in the problem's terms, or an earlier `Result`. A result of the same method on the same problem is
        gone on from exactly as if it had not stopped (momentum, schedules and random numbers included); any other
        gives its solution as the start. Default: ``problem.default_start``.
    max_iter : int
        Iterations at most, counted from this call.
    tol : float or dict, optional
        Tolerance on ``problem.primary_metric``, or ``{"metric": tol, ...}``, which must all hold. None: run to
        `max_iter`.
    stop : stopping rule, optional
        From `optlab.stopping`, joined by ``|`` and ``&``; in addition to `tol`.
    time_limit : float, optional
        Seconds of solver time (measuring, recording, preparing and compiling excluded).
    record : "log", "all", int or sequence of int
        When to measure: about 24 times a decade (default), always, every n iterations, or at these iterations. The
        start and the last iterate are recorded in any case. Tolerances are tested where a run is measured.
    callbacks : callable or sequence of callables
        Called as ``callback(state, history)`` at record points; returning True (or raising StopIteration) stops.
    progress : bool, optional
        Show a progress bar; None: if standard error is a terminal or belongs to a notebook.
    seed : int or numpy.random.Generator, optional
        The same seed gives the same history, bit for bit (times excepted). None: a fresh seed, kept in
        ``history.metadata["seed"]``.
    checkpoint : path, optional
        File that holds state, history and random generator. It is replaced as a whole every `checkpoint_every`
        seconds, and at the end of the run, however that comes about. If the disk fails, the run goes on with a
        `CheckpointWarning`. One run at a time may write a file.
    checkpoint_every : float, optional
        Seconds from one save to the next: what a killed run loses at most (or one iteration, if that takes longer).
        ``inf``: only at the end. Default: 2, or as much more as it takes for saving to cost at most a twentieth.
    resume : bool
        Continue from `checkpoint` if that file exists; the joined history equals an uninterrupted run's. `max_iter`
        then counts from the first call. Problem, method, `x0`, `record` and `seed` must be those of the first call:
        what they hold is compared, functions by their code and the variables that they read.
    on_interrupt : {"return", "raise"}
        What Ctrl-C does after the run so far has been measured and saved: return it, or raise `KeyboardInterrupt` with
        it in the exception's `result`. Write "raise" where a run is one of many, or serves a larger computation, which
        would otherwise take the part for the whole. Inside the step, the measuring or a callback of another run, it is
        always raised.

    Returns
    -------
    Result
        Also when the run is interrupted (Ctrl-C), runs out of time, or diverges: see ``result.status``.

    Raises
    ------
    ValueError, TypeError
        For bad arguments, before anything is computed. With `checkpoint`, also for a problem or a method with a part
        that cannot be identified, such as an open file; a ``fingerprint()`` method is the cure.
    CheckpointError
        If `checkpoint` is damaged or belongs to another run and `resume` is set, or if another run is writing it.
    SystemExit
        After SIGTERM or SIGHUP, unless the program handles them itself: the run ends as with Ctrl-C, history and
        checkpoint saved, and then the program, with status 128 + the signal's number and the run in the exception's
        `result`.
    Exception
        What the problem, the method or a callback raises is passed on with the run so far in its ``result``
        attribute. `DomainError`, `FloatingPointError`, `OverflowError` and `LinAlgError` from an iteration are not
        errors but outcomes: they end the run as ``Status.DIVERGED``.

    Examples
    --------
    >>> import numpy as np
    >>> import optlab
    >>> from optlab.transport import OptimalTransport
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = OptimalTransport([0.5, 0.5], [0.25, 0.75], np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-6)
    >>> result.success
    True
    >>> print(f"{result.solution.cost:.4f}")
    0.2500
    """
    max_iter = as_integer(max_iter, "max_iter", minimum=0)
    schedule = Schedule(record)
    rules = _rules(tol, stop, time_limit)
    one_of(on_interrupt, "on_interrupt", ("return", "raise"))
    if callable(callbacks):
        callbacks = (callbacks,)
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks must be a callable or a sequence of callables, got {callbacks!r}")
    callbacks = tuple(callbacks)
    for i, callback in enumerate(callbacks):
        if not callable(callback):
            raise TypeError(f"callbacks[{i}] must be callable as callback(state, history), got {callback!r}")
    check_contract(problem, method)
    if resume and checkpoint is None:
        raise ValueError("resume=True needs checkpoint=PATH, the file to go on from")
    path = None if checkpoint is None else check_writable(checkpoint, "checkpoint")
    rng, seed_used = _generator(seed)
    if rules is not None and rules.time_limit() is not None and getattr(method, "uninterruptible", False):
        warnings.warn(
            f"a time limit cannot stop {type(method).__name__}, whose one iteration is a whole run of another solver; "
            "the run may take longer than that",
            RuntimeWarning,
            stacklevel=2,
        )

    if checkpoint_every is not None:
        if path is None:
            raise ValueError("checkpoint_every needs checkpoint=PATH, the file to write")
        checkpoint_every = as_number(checkpoint_every, "checkpoint_every", above=0, finite=False)
    identity: dict[str, Identity] = {}
    if path is not None:
        identity = run_identity(problem, method, _start_identity(problem, method, x0), record, seed)

    with terminable(keyboard=True), Saver(path, checkpoint_every) as saver:
        run = Run(
            problem,
            method,
            max_iter=max_iter,
            rules=rules,
            schedule=schedule,
            callbacks=callbacks,
            progress=progress,
            checkpoint=saver,
            rng=rng,
            identity=identity,
            metadata={
                "method": stable_repr(method),
                "problem": stable_repr(problem),
                "seed": seed_used,
                "versions": environment(),
            },
            on_interrupt=on_interrupt,
        )
        if path is not None and resume and path.exists():
            run.resume(Checkpoint.load(path, identity, lambda: _template(problem, method, x0)))
        elif _goes_on(problem, method, x0):
            run.go_on_from(x0.state)
        else:
            run.begin(_start(problem, x0, rng))
        return run.execute()


def iterate(
    problem: Any, method: Any, *, x0: Any = None, seed: int | np.random.Generator | None = None
) -> Iterator[Any]:
    """Yield the states of `method` on `problem`, the start first, without end.

    Nothing is measured, recorded or stopped: for scripts, and for running two methods side by side.

    Parameters
    ----------
    problem, method, x0, seed
        As in `optlab.solve`.

    Yields
    ------
    State
        A state of its own each time: earlier ones stay as they were.

    Examples
    --------
    >>> import itertools
    >>> import numpy as np
    >>> import optlab
    >>> from optlab.transport import OptimalTransport
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = OptimalTransport([0.5, 0.5], [0.25, 0.75], np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> [state.k for state in itertools.islice(optlab.iterate(problem, BregmanDouglasRachford()), 3)]
    [0, 1, 2]
    """
    check_contract(problem, method)
    rng, _ = _generator(seed)

    def states() -> Iterator[Any]:
        ready = prepared(method, problem)
        if _goes_on(problem, method, x0):
            state = x0.state
        else:
            state = ready.init(problem, _start(problem, x0, rng), rng)
        bulk = has_advance(method)
        while True:
            yield state
            state = ready.advance(problem, state, 1) if bulk else ready.step(problem, state)

    return states()


def _goes_on(problem: Any, method: Any, x0: Any) -> bool:
    return isinstance(x0, Result) and x0.problem is problem and bool(x0.method == method) and x0.state is not None


def _start_identity(problem: Any, method: Any, x0: Any) -> Any:
    if not isinstance(x0, Result):
        return x0
    return ("the state of", x0.state) if _goes_on(problem, method, x0) else x0.solution


def _start(problem: Any, x0: Any, rng: np.random.Generator) -> Any:
    if x0 is None:
        return problem.default_start(rng)
    return x0.solution if isinstance(x0, Result) else x0


def _template(problem: Any, method: Any, x0: Any) -> Any:
    # a throw-away generator: the run's own comes from the checkpoint
    rng = np.random.default_rng(0)
    return method.init(problem, _start(problem, x0, rng), rng)


def _generator(seed: Any) -> tuple[np.random.Generator, int | str]:
    if isinstance(seed, np.random.Generator):
        return seed, "a generator passed by the caller"
    if seed is None:
        seed = int(np.random.SeedSequence().generate_state(2, np.uint64)[0])
    else:
        try:
            seed = as_integer(seed, "seed", minimum=0)
        except TypeError:
            raise TypeError(f"seed must be an integer, a numpy.random.Generator or None, got {seed!r}") from None
    return np.random.default_rng(seed), seed


def _rules(tol: Any, stop: Any, time_limit: Any) -> Rule | None:
    rules: Rule | None = None
    if isinstance(tol, Mapping):
        if not tol:
            raise ValueError("tol must name at least one metric, got an empty dict")
        tolerances = tuple(Tolerance(str(name), value) for name, value in tol.items())
        rules = tolerances[0] if len(tolerances) == 1 else AllOf(tolerances)
    elif tol is not None:
        rules = Tolerance(None, tol)
    if stop is not None:
        if not isinstance(stop, Rule):
            raise TypeError(
                f"stop must be a rule of optlab.stopping, joined by | and &, got {type(stop).__name__}; "
                "a function that decides goes into callbacks"
            )
        rules = stop if rules is None else rules | stop
    if time_limit is not None:
        limit = TimeLimit(time_limit)
        rules = limit if rules is None else rules | limit
    return rules


def check_contract(problem: Any, method: Any) -> None:
    """Raise `TypeError` if one of them lacks what `solve` calls, `IncompatibleError` if they do not fit each other."""
    if isinstance(method, type):
        raise TypeError(f"method must be an instance: write {method.__name__}(...), not {method.__name__}")
    if isinstance(problem, type):
        raise TypeError(f"problem must be an instance: write {problem.__name__}(...), not {problem.__name__}")
    for owner, item, needed in (
        ("problem", problem, ("measure", "default_start")),
        ("method", method, ("init", "iterate")),
    ):
        for name in needed:
            if not callable(getattr(item, name, None)):
                raise TypeError(f"{owner} {type(item).__name__} has no {name}(); see optlab.core.{owner.title()}")
    if not has_advance(method) and not callable(getattr(method, "step", None)):
        raise TypeError(f"method {type(method).__name__} has neither step() nor advance(); see optlab.core.Method")
    check_compatible(problem, method)


__all__ = ["iterate", "solve"]
