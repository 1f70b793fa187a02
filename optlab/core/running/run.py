"""The only iteration loop of the library: advance, measure, record, stop.

`Run` owns timing, recording, stopping, progress, checkpoints and interruption. Methods never do any of these.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from optlab.core.compilation import announcing, compilation_seconds
from optlab.core.contract.protocols import Method
from optlab.core.errors import CheckpointError, DomainError
from optlab.core.identity import Identity
from optlab.core.interrupts import (
    Terminated,
    arrivals,
    interrupts_are_raised,
    lost_interrupt,
    raising,
    termination_received,
)
from optlab.core.records.history import History
from optlab.core.records.result import Result, Status
from optlab.core.running.checkpoint import Checkpoint, Saver
from optlab.core.running.progress import ProgressBar
from optlab.core.running.recording import Schedule
from optlab.core.serialization import pack
from optlab.core.stopping import AnyOf, Diverged, Rule, Tolerance, Verdict

_log = logging.getLogger("optlab")

# A method that runs into one of these has met a number, not a bug: the run ends as DIVERGED with its history kept.
NUMERICAL_ERRORS = (DomainError, FloatingPointError, OverflowError, np.linalg.LinAlgError)

# Calls into a method are cut to about this many seconds: between them a time limit is watched or a bar moves; or only
# Ctrl-C is heard, which compiled code does not see (longer, as methods copy their state once a call).
_CHUNK_SECONDS = 0.1
_DEAF_SECONDS = 0.5


class Run:
    """One run of a method on a problem; `execute` does it all. Arguments are those of `optlab.solve`, validated."""

    def __init__(
        self,
        problem: Any,
        method: Any,
        *,
        max_iter: int,
        rules: Rule | None,
        schedule: Schedule,
        callbacks: Sequence[Callable[[Any, History], Any]],
        progress: bool | None,
        checkpoint: Saver,
        rng: np.random.Generator,
        identity: dict[str, Identity],
        metadata: dict[str, Any],
        on_interrupt: str = "return",
    ) -> None:
        self.problem = problem
        self.method = method
        self.prepared = method  # what is called: the method, once it has made what it needs for this problem
        self.max_iter = max_iter
        self.rules = _with_divergence_guard(rules)
        self.time_limit = self.rules.time_limit()
        self.schedule = schedule
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.rng = rng
        self.identity = identity
        self.primary_metric: str | None = getattr(problem, "primary_metric", None)
        self.history = History(primary_metric=self.primary_metric, metadata=metadata)
        self.bar = ProgressBar(progress, max_iter, type(method).__name__)
        self.advances_in_bulk = has_advance(method)
        self.state: Any = None
        self.start_k = 0
        self.solve_time = 0.0
        self.setup_time = 0.0  # preparing and compiling
        self.time_at_entry = 0.0
        self.chunk = 1
        self.raises_interrupts = on_interrupt == "raise" or interrupts_are_raised()
        self.interrupt: KeyboardInterrupt | None = None
        self.arrivals = 0  # signals before the part of the run that is going on
        self.recorded: tuple[Any, Any] = (None, None)  # the state of the last row, and its iterate
        self.scheduled: Any = None  # the state of the last row that lies on the schedule
        self.saved: Any = None  # the state that the checkpoint holds

    # ------------------------------------------------------------------ how a run begins

    def _prepare(self) -> None:
        began = time.perf_counter()
        self.prepared = prepared(self.method, self.problem)
        self.setup_time += time.perf_counter() - began

    def begin(self, x0: Any) -> None:
        """Set the method up at `x0`.

        Its time is preparation, unless it is work already: says the method, or a state that has called the oracle.
        """
        with self._announcing():
            self._prepare()
            began, compiled = time.perf_counter(), compilation_seconds()
            self.state = self._state(self.prepared.init(self.problem, x0, self.rng), "init")
            compiling = compilation_seconds() - compiled
            working = time.perf_counter() - began - compiling
        self.setup_time += compiling
        if getattr(self.method, "init_is_work", False) or getattr(self.state, "oracle_calls", 0) > 0:
            self.solve_time = working
        else:
            self.setup_time += working
        self.start_k = self.state.k
        if self.checkpoint.file is not None:
            pack(self.state, {})  # what cannot be written is said now, not at the first save

    def _state(self, returned: Any, by: str) -> Any:
        if hasattr(returned, "k"):
            return returned
        raise TypeError(
            f"{type(self.method).__name__}.{by} must return a state with an iteration count `k`, "
            f"got {type(returned).__name__}"
        )

    def go_on_from(self, state: Any) -> None:
        """Take over the state of an earlier result."""
        self._prepare()
        self.state = state
        self.start_k = state.k

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over a checkpoint: state, history, random generator, clock."""
        self.state = checkpoint.state
        self.start_k = checkpoint.start_k
        self.rng = checkpoint.rng
        self.solve_time = self.time_at_entry = checkpoint.solve_time
        self.setup_time = checkpoint.history.metadata.get("setup_time", 0.0)
        self._prepare()
        checkpoint.history.metadata["time_at_entry"] = self.time_at_entry
        self.history = checkpoint.history
        self.scheduled = checkpoint.recorded
        self.recorded = (self.scheduled, self.prepared.iterate(self.problem, self.scheduled))

    @property
    def k(self) -> int:
        """Iterations done in this run."""
        return int(self.state.k) - self.start_k

    # ------------------------------------------------------------------ the loop

    def execute(self) -> Result:
        """Run until something stops the run, and return the result."""
        try:
            with self._announcing(), raising():  # a solve inside this one must not pass off its interrupt as a result
                result = self._loop()
        except Exception as error:
            if len(self.history):
                if not isinstance(error, CheckpointError):
                    with contextlib.suppress(Exception):  # that error is told, not what follows from it
                        self._save_checkpoint(last=True)
                error.result = self._result(  # type: ignore[attr-defined]
                    Verdict(Status.INTERRUPTED, f"{type(error).__name__} at iteration {self.k}: {error}")
                )
                error.add_note("The run up to its last record is kept in this exception's `result` attribute.")
            raise
        finally:
            self.bar.close()
        if isinstance(self.interrupt, Terminated):
            _log.warning("%s", result.message)
        if self.interrupt is not None and (self.raises_interrupts or isinstance(self.interrupt, Terminated)):
            self.interrupt.result = result  # type: ignore[attr-defined]
            raise self.interrupt
        return result

    def _loop(self) -> Result:
        self.arrivals = arrivals()
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                if not len(self.history):
                    self._record_start()
                    verdict = self._decide()
                else:
                    # the end of the run before may have come between reaching a record point and measuring there
                    verdict = (self._record() if self.schedule.contains(self.k) else None) or self._verdict()
                    self.bar.move_to(self.k)
                while verdict is None and self.k < self.max_iter:
                    self.arrivals = arrivals()
                    if termination_received():  # a callback has swallowed it
                        verdict = self._interrupted(lost_interrupt())
                        break
                    verdict = self._advance_to(self.schedule.next_after(self.k, self.max_iter))
                    if verdict is None or verdict.status is Status.INTERRUPTED:
                        verdict = self._record() or verdict or self._decide()
                return self._finish(verdict)
        except KeyboardInterrupt as error:
            if not len(self.history):
                raise
            return self._finish(self._interrupted(error))
        except Exception as error:
            if arrivals() == self.arrivals or not len(self.history):
                raise
            return self._finish(self._interrupted(lost_interrupt(error)))

    def _interrupted(self, error: KeyboardInterrupt) -> Verdict:
        self.interrupt = error
        by = str(error) if isinstance(error, Terminated) else "interrupted by the keyboard"
        return Verdict(Status.INTERRUPTED, f"{by}; this is the run so far,")

    def _announcing(self) -> AbstractContextManager[None]:
        return announcing(type(self.method).__name__, lambda: self.bar.say("compiling, once"))

    def _advance_to(self, target: int) -> Verdict | None:
        """Advance to iteration `target`, or to where time, an interrupt or a numerical error ends the run."""
        watched = self.time_limit is not None or self.bar.shown or self.checkpoint.file is not None
        cut = watched or self.advances_in_bulk  # steps made one by one hear Ctrl-C themselves
        while (k := self.k) < target:
            n = min(target - k, self.chunk) if cut else target - k
            began, compiled = time.perf_counter(), compilation_seconds()
            try:
                if self.advances_in_bulk:
                    self.state = self._state(self.prepared.advance(self.problem, self.state, n), "advance")
                else:
                    self._advance_by_steps(n)
            except KeyboardInterrupt as error:
                return self._interrupted(error)
            except NUMERICAL_ERRORS as error:
                if arrivals() != self.arrivals:
                    raise
                return self._diverged(f"{error} (iteration {self.k + 1})")
            finally:
                compiling = compilation_seconds() - compiled
                seconds = time.perf_counter() - began - compiling
                self.setup_time += compiling
                self.solve_time += seconds
            if self.k != k + n:
                raise ValueError(
                    f"{type(self.method).__name__} was asked for {n} iteration(s) and returned a state with "
                    f"k={self.state.k} instead of {self.start_k + k + n}; step must return k + 1"
                )
            if arrivals() != self.arrivals:
                return self._interrupted(lost_interrupt())
            if cut:
                self.bar.move_to(self.k)
                self._adapt_chunk(n, seconds, _CHUNK_SECONDS if watched else _DEAF_SECONDS)
                if self.k < target and self.checkpoint.due():
                    self._save_checkpoint()
                if self.time_limit is not None and self.solve_time - self.time_at_entry >= self.time_limit:
                    return None
        return None

    def _advance_by_steps(self, n: int) -> None:
        problem, step, state = self.problem, self.prepared.step, self.state
        try:
            for _ in range(n):
                after = step(problem, state)
                state = after if hasattr(after, "k") else self._state(after, "step")
        finally:
            self.state = state  # an interrupt or an error keeps the last complete step

    def _adapt_chunk(self, n: int, seconds: float, most: float) -> None:
        if seconds < most / 4 and n == self.chunk:
            self.chunk *= 8 if seconds < most / 16 else 2
        elif seconds > most:
            self.chunk = max(1, n // 2)
        if self.time_limit is not None and seconds > 0:
            left = self.time_limit - (self.solve_time - self.time_at_entry)
            self.chunk = max(1, min(self.chunk, int(left * n / seconds)))

    # ------------------------------------------------------------------ recording

    def _measure(self) -> tuple[Any, dict[str, float]]:
        compiled = compilation_seconds()
        iterate = self.prepared.iterate(self.problem, self.state)
        k = self.k
        row: dict[str, float] = {
            "iteration": k,
            "time": self.solve_time,
            "oracle_calls": getattr(self.state, "oracle_calls", k),
        }
        measured = [("problem", self.problem.measure(iterate))]
        if hasattr(self.method, "measure"):
            measured.append(("method", self.prepared.measure(self.problem, self.state)))
        for owner, metrics in measured:
            if not isinstance(metrics, Mapping):
                raise TypeError(
                    f"{type(getattr(self, owner)).__name__}.measure must return a dict of names to numbers, "
                    f"got {type(metrics).__name__}"
                )
            for name, value in metrics.items():
                if name in row:
                    raise ValueError(
                        f"the {owner}'s metric {name!r} is already recorded by the run or the problem; rename it"
                    )
                try:
                    row[name] = float(value)
                except (TypeError, ValueError):
                    raise TypeError(
                        f"the {owner}'s metric {name!r} must be a number, got {type(value).__name__}"
                    ) from None
        self.setup_time += compilation_seconds() - compiled
        return iterate, row

    def _record_start(self) -> None:
        iterate, row = self._measure()
        if self.primary_metric is not None and self.primary_metric not in row:
            raise ValueError(
                f"the problem's primary_metric {self.primary_metric!r} is not measured; there are "
                f"{', '.join(name for name in row)}"
            )
        unknown = [name for name in self.rules.metrics() if name not in row]
        if unknown:
            raise ValueError(
                f"a tolerance or stopping rule reads {unknown[0]!r}, which is not measured; there are {', '.join(row)}"
            )
        self._keep(row, iterate)
        self.bar.tell(self.primary_metric, row.get(self.primary_metric or ""))

    def _record(self) -> Verdict | None:
        """Measure the state and add a row; a non-finite metric leaves no row and ends the run at the row before."""
        k = self.k
        if self.history.last["iteration"] == k:
            return None
        try:
            iterate, row = self._measure()
        except NUMERICAL_ERRORS as error:
            return self._diverged(f"{error} (measured at iteration {k})")
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if bad:
            return self._diverged(f"{bad[0]} became {row[bad[0]]} at iteration {k}")
        self._keep(row, iterate)
        self.bar.tell(self.primary_metric, row.get(self.primary_metric or ""))
        if self.checkpoint.due():
            self._save_checkpoint()
        return None

    def _keep(self, row: dict[str, float], iterate: Any) -> None:
        self.history.append(row)
        self.recorded = (self.state, iterate)
        if self.schedule.contains(self.k):
            self.scheduled = self.state

    def _diverged(self, reason: str) -> Verdict:
        """Return to the last recorded state, which is finite."""
        self.state = self.recorded[0]
        kept = int(self.history.last["iteration"])
        return Verdict(
            Status.DIVERGED,
            f"{reason}; the last finite iterate, {kept}, is kept. A smaller step size may help",
        )

    def _save_checkpoint(self, *, last: bool = False) -> None:
        if self.checkpoint.file is None or (last and self.saved is self.state and not self.checkpoint.complaint):
            return
        history = self.history
        history.metadata["setup_time"] = self.setup_time
        if not self.schedule.contains(int(history.last["iteration"])):
            # the end of this run only: a run that goes on from here has no row at this iteration
            columns = {name: history[name][:-1] for name in history.columns}
            history = History(columns, primary_metric=history.primary_metric, metadata=history.metadata)
        self.checkpoint.save(
            Checkpoint(self.state, self.scheduled, history, self.rng, self.solve_time, self.start_k, self.identity),
            last=last,
        )
        self.saved = self.state

    # ------------------------------------------------------------------ stopping

    def _rule_verdict(self) -> Verdict | None:
        bad = [name for name, value in self.history.last.items() if not math.isfinite(value)]
        if bad:
            return Verdict(
                Status.DIVERGED,
                f"{bad[0]} is {self.history.last[bad[0]]} already at the start: either the start point is at fault, or "
                "the scale of the data, where sums or products overflow; rescale the data or give another x0",
            )
        return self.rules.check(self.history)

    def _decide(self) -> Verdict | None:
        """Ask the callbacks and the stopping rules about the newest record."""
        stopped = None
        for callback in self.callbacks:
            try:
                answer = callback(self.state, self.history)
                if isinstance(answer, (bool, np.bool_)) and answer:
                    stopped = _name(callback)
            except StopIteration:
                stopped = _name(callback)
        verdict = self._verdict()
        if verdict is None and stopped is not None:
            verdict = Verdict(Status.STOPPED, f"the callback {stopped} asked to stop")
        return verdict

    def _verdict(self) -> Verdict | None:
        """Ask the stopping rules, and unless they find convergence the method, if it has a `verdict`."""
        verdict = self._rule_verdict()
        own = getattr(self.prepared, "verdict", None)
        measured = self.recorded[0] is self.state  # not so after a resume between two record points
        if own is None or not measured or (verdict is not None and verdict.status is Status.CONVERGED):
            return verdict
        last = self.history.last
        of_method: Verdict | None = own(self.problem, self.state, {name: last[name] for name in self.history.metrics})
        if of_method is not None and of_method.status is Status.CONVERGED and (missed := self._missed_tolerances()):
            # converged means within the caller's tolerance: from here it cannot be reached
            of_method = Verdict(Status.STALLED, f"{of_method.message}, but {missed}")
        return of_method or verdict

    def _finish(self, verdict: Verdict | None) -> Result:
        try:
            self._record()  # after a stop between record points; otherwise the state has its row already
        except KeyboardInterrupt:
            self.state = self.recorded[0]
        self._save_checkpoint(last=True)
        if verdict is not None:
            return self._result(verdict)
        return self._result(*self._out_of_iterations())

    def _out_of_iterations(self) -> tuple[Verdict, str | None]:
        """Return what is missing, and the advice if the problem has none of its own."""
        if not any(isinstance(rule, Tolerance) for rule in _leaves(self.rules)):
            return Verdict(Status.MAX_ITER, f"ran all max_iter={self.max_iter} iterations; no tolerance was set"), None
        missing = self._missed_tolerances() or "a stopping rule is not met"
        verdict = Verdict(Status.MAX_ITER, f"{missing} after max_iter={self.max_iter} iterations")
        return verdict, "raise max_iter, or go on with x0=result"

    def _missed_tolerances(self) -> str:
        missed = []
        for rule in _leaves(self.rules):
            if isinstance(rule, Tolerance) and not rule.check(self.history):
                name = rule.metric or str(self.primary_metric)
                missed.append(f"{name} = {self.history.last[name]:.3g} is above its tolerance {rule.tol:.3g}")
        return " and ".join(missed)

    def _result(self, verdict: Verdict, advice: str | None = None) -> Result:
        state, iterate = self.recorded
        self.history.metadata["setup_time"] = self.setup_time
        last = self.history.last
        n_iter = int(last["iteration"])
        message = verdict.message
        if verdict.status in (
            Status.CONVERGED,
            Status.STALLED,
            Status.TIME_LIMIT,
            Status.INTERRUPTED,
            Status.STOPPED,
            Status.INFEASIBLE,
            Status.UNBOUNDED,
        ):
            spent = f"after {n_iter} iteration{'s' if n_iter != 1 else ''}"
            if n_iter == 0 and verdict.status is Status.CONVERGED:
                spent = "already at the start, before any iteration"
            message = f"{message} {spent}"
        metrics = {name: last[name] for name in self.history.metrics}
        hint = None
        if verdict.status is not Status.CONVERGED and hasattr(self.problem, "hint"):
            hint = self.problem.hint(self.method, state, metrics)
        advice = hint or advice
        message = f"{message}; {advice}" if advice else message
        return Result(
            solution=iterate,
            metrics=metrics,
            history=self.history,
            status=verdict.status,
            message=message + ".",
            n_iter=n_iter,
            solve_time=self.solve_time,
            setup_time=self.setup_time,
            method=self.method,
            problem=self.problem,
            state=state,
            certificate=verdict.certificate,
        )


def _leaves(rule: Rule) -> Iterator[Rule]:
    for member in getattr(rule, "rules", ()):
        yield from _leaves(member)
    if not hasattr(rule, "rules"):
        yield rule


def prepared(method: Any, problem: Any) -> Any:
    """Return the method with what it makes once for `problem` (`Method.prepare`); itself if it is a class without."""
    prepare = getattr(method, "prepare", None)
    return method if prepare is None else prepare(problem)


def has_advance(method: Any) -> bool:
    """Return whether the method brings an `advance` of its own, rather than the inherited loop over `step`."""
    own = getattr(type(method), "advance", None)
    return own is not None and own is not Method.advance


def _with_divergence_guard(rules: Rule | None) -> AnyOf:
    members: tuple[Rule, ...] = () if rules is None else (rules.rules if isinstance(rules, AnyOf) else (rules,))
    if not any(isinstance(rule, Diverged) for rule in members):
        members = (*members, Diverged())
    return AnyOf(members)


def _name(callback: Any) -> str:
    return getattr(callback, "__name__", type(callback).__name__)
