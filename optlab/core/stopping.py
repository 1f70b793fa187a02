"""Stopping rules: settings only, joined by ``|`` (any) and ``&`` (all at once).

A rule is a pure function of the history, so one rule object serves many runs, and a resumed run decides as an
uninterrupted one would. Rules are asked at record points; a time limit is also watched between them.

Examples
--------
>>> from optlab import stopping
>>> rule = stopping.Tolerance("gap", 1e-6) | stopping.Stalled(window=20) | stopping.TimeLimit(60)
>>> rule
Tolerance(metric='gap', tol=1e-06) | Stalled(metric=None, window=20, rtol=0.001) | TimeLimit(seconds=60)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from optlab.core.records.history import History
from optlab.core.records.result import Status
from optlab.core.validation import as_integer, as_number

__all__ = ["AllOf", "AnyOf", "Diverged", "Rule", "Stalled", "TimeLimit", "Tolerance", "Verdict"]


class Verdict(NamedTuple):
    """That a run should stop, as what, and why, in a sentence; INFEASIBLE and UNBOUNDED with what proves it."""

    status: Status
    message: str
    certificate: Any = None


class Rule:
    """Base of the stopping rules. A rule of your own implements ``check(history)``."""

    def check(self, history: History) -> Verdict | None:
        """Return a `Verdict` if the run should stop after the last row of `history`, else None."""
        raise TypeError(f"{type(self).__name__} must implement check(history)")

    def time_limit(self) -> float | None:
        """Return the seconds after which this rule alone would stop a run, for the driver to watch between records."""
        return None

    def metrics(self) -> tuple[str, ...]:
        """Return the names of the metrics that this rule reads."""
        return ()

    def __or__(self, other: Rule) -> AnyOf:
        return AnyOf((*_members(self, AnyOf), *_members(other, AnyOf)))

    def __and__(self, other: Rule) -> AllOf:
        return AllOf((*_members(self, AllOf), *_members(other, AllOf)))


def _members(rule: Rule, kind: type[AnyOf] | type[AllOf]) -> tuple[Rule, ...]:
    if not isinstance(rule, Rule):
        raise TypeError(f"stopping rules are joined with stopping rules, got {type(rule).__name__}")
    return rule.rules if isinstance(rule, kind) else (rule,)


@dataclass(frozen=True)
class AnyOf(Rule):
    """Stops as soon as one of its rules does; a rule that means convergence is heard first."""

    rules: tuple[Rule, ...]

    def check(self, history: History) -> Verdict | None:
        verdicts = [v for v in (rule.check(history) for rule in self.rules) if v is not None]
        return min(verdicts, key=lambda v: v.status is not Status.CONVERGED, default=None)

    def time_limit(self) -> float | None:
        return min((t for t in (rule.time_limit() for rule in self.rules) if t is not None), default=None)

    def metrics(self) -> tuple[str, ...]:
        return tuple(name for rule in self.rules for name in rule.metrics())

    def __repr__(self) -> str:
        return " | ".join(repr(rule) for rule in self.rules)


@dataclass(frozen=True)
class AllOf(Rule):
    """Stops when all its rules would stop at the same record; converged if one of them means convergence."""

    rules: tuple[Rule, ...]

    def check(self, history: History) -> Verdict | None:
        verdicts = []
        for rule in self.rules:
            verdict = rule.check(history)
            if verdict is None:
                return None
            verdicts.append(verdict)
        status = min((v.status for v in verdicts), key=lambda s: s is not Status.CONVERGED)
        return Verdict(status, "; ".join(v.message for v in verdicts))

    def metrics(self) -> tuple[str, ...]:
        return tuple(name for rule in self.rules for name in rule.metrics())

    def __repr__(self) -> str:
        return " & ".join(f"({rule!r})" if isinstance(rule, AnyOf) else repr(rule) for rule in self.rules)


def _column(history: History, metric: str | None) -> tuple[str, np.ndarray]:
    name = metric or history.primary_metric
    if name is None:
        raise ValueError("the rule names no metric and the problem has no primary_metric; name one")
    return name, history[name]


@dataclass(frozen=True)
class Tolerance(Rule):
    """Converged once a metric is at or below `tol`.

    Parameters
    ----------
    metric : str or None
        The metric; None: the problem's primary metric.
    tol : float
        The tolerance, at least 0.
    """

    metric: str | None
    tol: float

    def __post_init__(self) -> None:
        as_number(self.tol, "tol" if self.metric is None else f"tol[{self.metric!r}]", minimum=0, finite=False)

    def check(self, history: History) -> Verdict | None:
        name, values = _column(history, self.metric)
        if not values[-1] <= self.tol:
            return None
        return Verdict(Status.CONVERGED, f"{name} = {values[-1]:.3g} is within its tolerance {self.tol:.3g}")

    def metrics(self) -> tuple[str, ...]:
        return (self.metric,) if self.metric else ()


@dataclass(frozen=True)
class TimeLimit(Rule):
    """Stops after `seconds` of solver time (measuring and recording excluded)."""

    seconds: float

    def __post_init__(self) -> None:
        as_number(self.seconds, "time_limit", above=0)

    def check(self, history: History) -> Verdict | None:
        spent = history["time"][-1] - history.metadata.get("time_at_entry", 0.0)
        if spent < self.seconds:
            return None
        return Verdict(Status.TIME_LIMIT, f"the time limit of {self.seconds:g} s of solver time is used up")

    def time_limit(self) -> float | None:
        return self.seconds


@dataclass(frozen=True)
class Stalled(Rule):
    """Stops when the best value of a metric has not improved by a fraction `rtol` over the last `window` records.

    With the default logarithmic records, a window spans ever more iterations as a run goes on.

    Parameters
    ----------
    metric : str or None
        The metric; None: the problem's primary metric.
    window : int
        Number of records to look back, at least 1.
    rtol : float
        Relative improvement of the best value that counts as progress.
    """

    metric: str | None = None
    window: int = 10
    rtol: float = 1e-3

    def __post_init__(self) -> None:
        as_integer(self.window, "window", minimum=1)
        as_number(self.rtol, "rtol", minimum=0)

    def check(self, history: History) -> Verdict | None:
        name, values = _column(history, self.metric)
        if len(values) <= self.window:
            return None
        earlier, now = np.min(values[: -self.window]), np.min(values)
        if now < earlier - self.rtol * abs(earlier):
            return None
        return Verdict(
            Status.STALLED,
            f"{name} has not improved on {earlier:.3g} by a fraction {self.rtol:g} in the last {self.window} records",
        )

    def metrics(self) -> tuple[str, ...]:
        return (self.metric,) if self.metric else ()


@dataclass(frozen=True)
class Diverged(Rule):
    """Stops when a metric exceeds `factor` times its largest magnitude in the first two records.

    That magnitude counts as at least 1e-8 of the objective's, if there is one, so that a run from the optimum is judged
    by more than the rounding of its gap.

    Every run carries ``Diverged()`` for the primary metric unless `stop` holds a `Diverged` of its own; NaN and inf
    in any metric are caught by the driver in any case.

    Parameters
    ----------
    metric : str or None
        The metric; None: the problem's primary metric.
    factor : float
        Growth that counts as a blow-up, above 1.
    """

    metric: str | None = None
    factor: float = 1e10

    def __post_init__(self) -> None:
        as_number(self.factor, "factor", above=1, finite=False)

    def check(self, history: History) -> Verdict | None:
        name, values = _column(history, self.metric)
        scale = np.max(np.abs(values[:2]))
        if "objective" in history.metrics:  # from a start at the optimum, where a gap is rounding, any step is growth
            scale = max(scale, 1e-8 * np.max(np.abs(history["objective"][:2])))
        if scale == 0 or not values[-1] > self.factor * scale:
            return None
        return Verdict(
            Status.DIVERGED,
            f"{name} grew to {values[-1]:.3g}, more than {self.factor:g} times its size at the start ({scale:.3g}); "
            "a smaller step size may help",
        )

    def metrics(self) -> tuple[str, ...]:
        return (self.metric,) if self.metric else ()
