"""The only iteration loop of the library: advance, measure, record, stop.

`Run` owns timing, recording, stopping, progress, checkpoints and interruption. Methods never do any of these.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optlab.core.checkpoint import Checkpoint
from optlab.core.errors import DomainError
from optlab.core.history import History
from optlab.core.progress import ProgressBar
from optlab.core.protocols import Method
from optlab.core.recording import Schedule
from optlab.core.result import Result, Status
from optlab.core.stopping import AnyOf, Diverged, Rule, Verdict

# A method that runs into one of these has met a number, not a bug: the run ends as DIVERGED with its history kept.
NUMERICAL_ERRORS = (DomainError, FloatingPointError, OverflowError, np.linalg.LinAlgError)

# Where a time limit or a bar is watched, calls into a method are cut to about this many seconds.
_CHUNK_SECONDS = 0.1


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
        checkpoint: Path | None,
        rng: np.random.Generator,
        identity: dict[str, str],
        metadata: dict[str, Any],
    ) -> None:
        self.problem = problem
        self.method = method
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
        self.time_at_entry = 0.0
        self.chunk = 1
        self.recorded: tuple[Any, Any] = (None, None)  # the state of the last row, and its iterate

    # ------------------------------------------------------------------ how a run begins

    def begin(self, x0: Any) -> None:
        """Set the method up at `x0`."""
        began = time.perf_counter()
        self.state = self.method.init(self.problem, x0, self.rng)
        self.solve_time = time.perf_counter() - began
        if not hasattr(self.state, "k"):
            raise TypeError(
                f"{type(self.method).__name__}.init must return a state with an iteration count `k`, "
                f"got {type(self.state).__name__}"
            )
        self.start_k = self.state.k

    def go_on_from(self, state: Any) -> None:
        """Take over the state of an earlier result."""
        self.state = state
        self.start_k = state.k

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take over a checkpoint: state, history, random generator, clock."""
        self.state = checkpoint.state
        self.start_k = checkpoint.start_k
        self.rng = checkpoint.rng
        self.solve_time = self.time_at_entry = checkpoint.solve_time
        checkpoint.history.metadata["time_at_entry"] = self.time_at_entry
        self.history = checkpoint.history
        # the last stored row may be an earlier one than the state: then it is measured again when the run ends
        if self.history.last.get("iteration") == self.k:
            self.recorded = (self.state, self.method.iterate(self.problem, self.state))

    @property
    def k(self) -> int:
        """Iterations done in this run."""
        return int(self.state.k) - self.start_k

    # ------------------------------------------------------------------ the loop

    def execute(self) -> Result:
        """Run until something stops the run, and return the result."""
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                if not len(self.history):
                    self._record_start()
                    verdict = self._decide()
                else:
                    verdict = self._verdict()
                    self.bar.move_to(self.k)
                while verdict is None and self.k < self.max_iter:
                    verdict = self._advance_to(self.schedule.next_after(self.k, self.max_iter))
                    if verdict is None or verdict.status is Status.INTERRUPTED:
                        verdict = self._record() or verdict or self._decide()
                return self._finish(verdict)
        except KeyboardInterrupt:
            if not len(self.history):
                raise
            return self._finish(_INTERRUPTED)
        except Exception as error:
            if len(self.history):
                error.result = self._result(  # type: ignore[attr-defined]
                    Verdict(Status.INTERRUPTED, f"{type(error).__name__} at iteration {self.k}: {error}")
                )
                error.add_note("The run up to its last record is kept in this exception's `result` attribute.")
            raise
        finally:
            self.bar.close()

    def _advance_to(self, target: int) -> Verdict | None:
        """Advance to iteration `target`, or to where time, an interrupt or a numerical error ends the run."""
        watched = self.time_limit is not None or self.bar.shown
        while (k := self.k) < target:
            n = min(target - k, self.chunk) if watched else target - k
            began = time.perf_counter()
            try:
                if self.advances_in_bulk:
                    self.state = self.method.advance(self.problem, self.state, n)
                else:
                    self._advance_by_steps(n)
            except KeyboardInterrupt:
                return _INTERRUPTED
            except NUMERICAL_ERRORS as error:
                return self._diverged(f"{error} (iteration {self.k + 1})")
            finally:
                seconds = time.perf_counter() - began
                self.solve_time += seconds
            if self.k != k + n:
                raise ValueError(
                    f"{type(self.method).__name__} was asked for {n} iteration(s) and returned a state with "
                    f"k={self.state.k} instead of {self.start_k + k + n}; step must return k + 1"
                )
            if watched:
                self.bar.move_to(self.k)
                self._adapt_chunk(n, seconds)
                if self.time_limit is not None and self.solve_time - self.time_at_entry >= self.time_limit:
                    return None
        return None

    def _advance_by_steps(self, n: int) -> None:
        problem, step, state = self.problem, self.method.step, self.state
        try:
            for _ in range(n):
                state = step(problem, state)
        finally:
            self.state = state  # an interrupt or an error keeps the last complete step

    def _adapt_chunk(self, n: int, seconds: float) -> None:
        if seconds < _CHUNK_SECONDS / 4 and n == self.chunk:
            self.chunk *= 2
        elif seconds > _CHUNK_SECONDS:
            self.chunk = max(1, n // 2)
        if self.time_limit is not None and seconds > 0:
            left = self.time_limit - (self.solve_time - self.time_at_entry)
            self.chunk = max(1, min(self.chunk, int(left * n / seconds)))

    # ------------------------------------------------------------------ recording

    def _measure(self) -> tuple[Any, dict[str, float]]:
        iterate = self.method.iterate(self.problem, self.state)
        k = self.k
        row: dict[str, float] = {
            "iteration": k,
            "time": self.solve_time,
            "oracle_calls": getattr(self.state, "oracle_calls", k),
        }
        measured = [("problem", self.problem.measure(iterate))]
        if hasattr(self.method, "measure"):
            measured.append(("method", self.method.measure(self.problem, self.state)))
        for owner, metrics in measured:
            for name, value in metrics.items():
                if name in row:
                    raise ValueError(
                        f"the {owner}'s metric {name!r} is already recorded by the run or the problem; rename it"
                    )
                row[name] = float(value)
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
        self.history.append(row)
        self.recorded = (self.state, iterate)
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
        self.history.append(row)
        self.recorded = (self.state, iterate)
        self.bar.tell(self.primary_metric, row.get(self.primary_metric or ""))
        if self.checkpoint is not None:
            self._save_checkpoint()
        return None

    def _diverged(self, reason: str) -> Verdict:
        """Return to the last recorded state, which is finite."""
        self.state = self.recorded[0]
        kept = int(self.history.last["iteration"])
        return Verdict(
            Status.DIVERGED,
            f"{reason}; the last finite iterate, {kept}, is kept. A smaller step size may help",
        )

    def _save_checkpoint(self) -> None:
        assert self.checkpoint is not None
        history = self.history
        if not self.schedule.contains(self.k):
            # the end of this run only: a run that goes on from here has no row at this iteration
            columns = {name: history[name][:-1] for name in history.columns}
            history = History(columns, primary_metric=history.primary_metric, metadata=history.metadata)
        Checkpoint(self.state, history, self.rng, self.solve_time, self.start_k, self.identity).save(self.checkpoint)

    # ------------------------------------------------------------------ stopping

    def _rule_verdict(self) -> Verdict | None:
        bad = [name for name, value in self.history.last.items() if not math.isfinite(value)]
        if bad:
            return Verdict(
                Status.DIVERGED,
                f"{bad[0]} is {self.history.last[bad[0]]} already at the start; check the start point",
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
        own = getattr(self.method, "verdict", None)
        if own is None or (verdict is not None and verdict.status is Status.CONVERGED):
            return verdict
        last = self.history.last
        of_method: Verdict | None = own(self.problem, self.state, {name: last[name] for name in self.history.metrics})
        return of_method or verdict

    def _finish(self, verdict: Verdict | None) -> Result:
        try:
            self._record()  # after a stop between record points; otherwise the state has its row already
        except KeyboardInterrupt:
            self.state = self.recorded[0]
        if self.checkpoint is not None and len(self.history) == 1:
            self._save_checkpoint()
        return self._result(verdict or self._out_of_iterations())

    def _out_of_iterations(self) -> Verdict:
        tolerances = [rule for rule in getattr(self.rules, "rules", ()) if hasattr(rule, "tol")]
        if not tolerances:
            return Verdict(Status.MAX_ITER, f"ran all max_iter={self.max_iter} iterations; no tolerance was set")
        missed = []
        for rule in tolerances:
            name = rule.metric or str(self.primary_metric)
            value = self.history.last[name]
            if not value <= rule.tol:
                missed.append(f"{name} = {value:.3g} is above its tolerance {rule.tol:.3g}")
        return Verdict(
            Status.MAX_ITER,
            f"{' and '.join(missed) or 'a stopping rule is not met'} after max_iter={self.max_iter} iterations; "
            "raise max_iter, or go on with x0=result",
        )

    def _result(self, verdict: Verdict) -> Result:
        state, iterate = self.recorded
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
            message = f"{message} after {n_iter} iteration{'s' if n_iter != 1 else ''}"
        metrics = {name: last[name] for name in self.history.metrics}
        if verdict.status is not Status.CONVERGED and hasattr(self.problem, "hint"):
            hint = self.problem.hint(self.method, state, metrics)
            message = f"{message}; {hint}" if hint else message
        return Result(
            solution=iterate,
            metrics=metrics,
            history=self.history,
            status=verdict.status,
            message=message + ".",
            n_iter=n_iter,
            solve_time=self.solve_time,
            method=self.method,
            problem=self.problem,
            state=state,
            certificate=verdict.certificate,
        )


_INTERRUPTED = Verdict(Status.INTERRUPTED, "interrupted by the keyboard; this is the run so far,")


def has_advance(method: Any) -> bool:
    """Return whether the method brings an `advance` of its own, rather than the inherited loop over `step`."""
    own = getattr(type(method), "advance", None)
    return own is not None and own is not Method.advance


def environment() -> dict[str, str]:
    """Return the versions that numbers depend on."""
    from optlab import __version__

    return {"optlab": __version__, "numpy": np.__version__, "python": platform.python_version()}


def _with_divergence_guard(rules: Rule | None) -> AnyOf:
    members: tuple[Rule, ...] = () if rules is None else (rules.rules if isinstance(rules, AnyOf) else (rules,))
    if not any(isinstance(rule, Diverged) for rule in members):
        members = (*members, Diverged())
    return AnyOf(members)


def _name(callback: Any) -> str:
    return getattr(callback, "__name__", type(callback).__name__)
