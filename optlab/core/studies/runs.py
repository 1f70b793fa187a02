"""`Study`: the runs of several methods on several problems with several seeds, as results and as tidy tables."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from optlab.core.files import check_writable, write_atomically
from optlab.core.quantiles import quantiles as quantiles_of
from optlab.core.records.result import Result, Status
from optlab.core.records.tables import Table, frame_of
from optlab.core.validation import one_of

if TYPE_CHECKING:
    import pandas

    from optlab.core.studies.profiles import Profile

_LAST = ("status", "iterations", "solve_time", "setup_time")


@dataclass(frozen=True)
class StudyRun:
    """One run of a study: which, and what came out."""

    problem: str
    method: str
    seed: int
    result: Result


class Study:
    """Many runs; made by `optlab.study`.

    Parameters
    ----------
    runs : iterable of StudyRun
    incompatible : mapping, optional
        Pairs (problem, method) that were left out, with the reason.
    planned : int, optional
        How many runs there were to be; default: as many as there are.

    Attributes
    ----------
    runs : tuple of StudyRun

    Notes
    -----
    ``study | {"POT": history, "mine": array}`` puts others' curves beside those of the study, for `optlab.compare`;
    ``study | other_study`` joins two studies.

    Examples
    --------
    >>> from optlab import History, Result, Status
    >>> def result(gap):
    ...     history = History({"iteration": [0, 1], "time": [0, 1], "oracle_calls": [0, 1], "gap": [1, gap]},
    ...                       primary_metric="gap")
    ...     return Result(None, {"gap": gap}, history, Status.MAX_ITER, "", 1, 0.5, "method", "problem")
    >>> study = Study([StudyRun("lasso", "DR", seed, result(0.1 * (seed + 1))) for seed in (0, 1, 2)])
    >>> study.columns("last")["gap"]
    array([0.1, 0.2, 0.3])
    >>> study.summary()
    method  runs  converged  median gap   low  high  iterations  seconds
    DR         3          0         0.2  0.12  0.28           1      0.5
    """

    def __init__(
        self,
        runs: Iterable[StudyRun],
        incompatible: Mapping[tuple[str, str], str] = MappingProxyType({}),
        planned: int | None = None,
    ) -> None:
        self.runs = tuple(runs)
        self.incompatible = dict(incompatible)
        self.planned = len(self.runs) if planned is None else planned

    # ------------------------------------------------------------------ what there is

    @property
    def complete(self) -> bool:
        """Whether all runs were made; not so after an interrupt."""
        return len(self.runs) == self.planned

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods that ran."""
        return tuple(dict.fromkeys(run.method for run in self.runs))

    @property
    def problems(self) -> tuple[str, ...]:
        """Names of the problems."""
        return tuple(dict.fromkeys(run.problem for run in self.runs))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(dict.fromkeys(run.seed for run in self.runs))

    @property
    def results(self) -> dict[str, list[Result]]:
        """The results of each method by its name, problem by problem and seed by seed."""
        order = {name: i for i, name in enumerate(self.problems)}
        runs = sorted(self.runs, key=lambda run: order[run.problem])
        return {name: [run.result for run in runs if run.method == name] for name in self.methods}

    @property
    def primary_metric(self) -> str | None:
        """The primary metric of the problems, if they share one."""
        found = {run.result.history.primary_metric for run in self.runs}
        return found.pop() if len(found) == 1 else None

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[StudyRun]:
        return iter(self.runs)

    def select(self, problem: str | None = None, method: str | None = None, seed: int | None = None) -> Study:
        """Return the study of the runs on one problem, of one method or with one seed.

        Raises
        ------
        ValueError
            If there is no such problem, method or seed.
        """
        if problem is not None:
            one_of(problem, "problem", self.problems)
        if method is not None:
            one_of(method, "method", self.methods)
        if seed is not None and seed not in self.seeds:
            raise ValueError(f"seed must be one of {', '.join(map(str, self.seeds))}, got {seed}")
        kept = [
            run
            for run in self.runs
            if problem in (None, run.problem) and method in (None, run.method) and seed in (None, run.seed)
        ]
        return Study(kept)

    def __or__(self, other: Any) -> Any:
        if isinstance(other, Study):
            runs = {(run.problem, run.method, run.seed): run for run in (*self.runs, *other.runs)}
            return Study(runs.values(), {**self.incompatible, **other.incompatible})
        if isinstance(other, Mapping):
            if len(self.problems) > 1:
                raise ValueError(
                    f"the study has the problems {', '.join(self.problems)}: choose one to put others' curves beside "
                    "it, by select(problem=...)"
                )
            return {**self.results, **other}
        return NotImplemented

    # ------------------------------------------------------------------ tables

    def columns(self, rows: str = "records") -> dict[str, np.ndarray]:
        """Return the tidy table as columns: ``problem``, ``method``, ``seed``, then what was recorded.

        Parameters
        ----------
        rows : {"records", "last"}
            One row per record of a run, or one per run: its last record, with ``status``, ``iterations``,
            ``solve_time`` and ``setup_time``.

        Returns
        -------
        dict of str to ndarray
            What a run did not measure is NaN.
        """
        one_of(rows, "rows", ("records", "last"))
        last = rows == "last"
        histories = [run.result.history for run in self.runs]
        counts = [1 if last else len(history) for history in histories]
        names = list(dict.fromkeys(name for history in histories for name in history.columns))
        table: dict[str, np.ndarray] = {
            "problem": np.repeat([run.problem for run in self.runs], counts),
            "method": np.repeat([run.method for run in self.runs], counts),
            "seed": np.repeat(np.array([run.seed for run in self.runs], dtype=np.int64), counts),
        }
        if last:
            results = [run.result for run in self.runs]
            table["status"] = np.array([str(result.status) for result in results])
            table["iterations"] = np.array([result.n_iter for result in results])
            table["solve_time"] = np.array([result.solve_time for result in results])
            table["setup_time"] = np.array([result.setup_time for result in results])
            names = [name for name in names if name not in ("iteration", "time")]
        for name in names:
            parts = [
                (history[name][-1:] if last else history[name])
                if name in history and len(history)
                else np.full(count, np.nan)
                for history, count in zip(histories, counts)
            ]
            table[name if name not in table else f"recorded {name}"] = np.concatenate(parts) if parts else np.empty(0)
        return table

    def to_frame(self, rows: str = "records") -> pandas.DataFrame:
        """Return the tidy table of `columns` as a pandas DataFrame (needs pandas)."""
        return frame_of(self.columns(rows), "Study.to_frame")

    def save(self, path: str | os.PathLike[str], rows: str = "records") -> Path:
        """Write the tidy table of `columns` as ``.csv``, whole or not at all, and return the path.

        The results themselves are kept by ``cache`` of `optlab.study`, or one by one by `Result.save`.
        """
        target = check_writable(path)
        one_of(target.suffix, "the suffix of path", (".csv",))
        table = self.columns(rows)

        def write(file: IO[Any]) -> None:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table)
            writer.writerows(zip(*(column.tolist() for column in table.values())))

        write_atomically(target, write, "w")
        return target

    def summary(self, metric: str | None = None, quantiles: tuple[float, float] = (0.1, 0.9)) -> Table:
        """Return one row per problem and method: the final metric over the seeds, iterations and seconds (medians).

        Parameters
        ----------
        metric : str, optional
            Default: the problems' primary metric; each problem's own where they share none.
        quantiles : (float, float)
            What the columns ``low`` and ``high`` are.

        Returns
        -------
        Table
            Prints as text, and as HTML in a notebook; ``.to_latex()``, ``.to_markdown()``, ``.to_frame()``.
        """
        columns = self.columns("last")
        own = {run.problem: run.result.history.primary_metric for run in self.runs}
        mixed = metric is None and self.primary_metric is None and all(own.values())
        named = own if mixed else dict.fromkeys(own, self.metric(metric))
        rows: list[dict[str, Any]] = []
        for problem in self.problems:
            for method in self.methods:
                at = (columns["problem"] == problem) & (columns["method"] == method)
                if not at.any():
                    continue
                lost = columns["status"][at] == str(Status.DIVERGED)
                last = [run.result.history.last.get(str(named[problem]), np.nan) for run in self.runs]
                values = np.where(lost, np.inf, np.array(last)[at])
                low, middle, high = quantiles_of(values, (quantiles[0], 0.5, quantiles[1])).tolist()
                rows.append(
                    ({"problem": problem} if len(self.problems) > 1 else {})
                    | {"method": method, "runs": int(at.sum())}
                    | {"converged": int((columns["status"][at] == str(Status.CONVERGED)).sum())}
                    | ({"metric": named[problem], "median": middle} if mixed else {f"median {named[problem]}": middle})
                    | {"low": low, "high": high}
                    | {"iterations": float(np.median(columns["iterations"][at]))}
                    | {"seconds": float(np.median(columns["solve_time"][at]))}
                )
        return Table({name: [row[name] for row in rows] for name in rows[0]} if rows else {})

    def to_latex(self, metric: str | None = None) -> str:
        """Return the `summary` as a LaTeX ``tabular``."""
        return self.summary(metric).to_latex()

    def to_markdown(self, metric: str | None = None) -> str:
        """Return the `summary` in Markdown."""
        return self.summary(metric).to_markdown()

    def profile(self, metric: str | None = None, *, target: float, cost: str = "iteration", **options: Any) -> Profile:
        """Return the performance and data profiles of reaching a target; see `optlab.core.studies.Profile`.

        Parameters
        ----------
        metric : str, optional
            Default: the problems' primary metric.
        target : float
            A run has solved its problem once the metric is at most this.
        cost : str
            What it costs: a column of the histories, "iteration", "time", "oracle_calls" or another.
        **options
            ``relative=True``: the target is a multiple of the metric at the start.
        """
        from optlab.core.studies.profiles import Profile

        return Profile.of(self, self.metric(metric), target=target, cost=cost, **options)

    def metric(self, name: str | None) -> str:
        """Return the name of a metric, by default the primary one.

        Raises
        ------
        ValueError
            If no run has it, or if none is given and the problems share none.
        """
        known = list(dict.fromkeys(n for run in self.runs for n in run.result.history.columns))
        if name is None:
            name = self.primary_metric
            if name is None:
                raise ValueError(f"metric must be named: the problems share no primary metric; there are {known}")
        return one_of(name, "metric", known)

    # ------------------------------------------------------------------ printing

    def __repr__(self) -> str:
        lines = [self._head()]
        if self.runs and all(run.result.history.primary_metric for run in self.runs):
            lines.append(repr(self.summary()))
        lines += [f"left out: {method} on {problem}: {why}" for (problem, method), why in self.incompatible.items()]
        return "\n".join(lines)

    def _head(self) -> str:
        counts = [
            f"{len(names)} {word}{'s' if len(names) != 1 else ''}"
            for names, word in ((self.methods, "method"), (self.problems, "problem"), (self.seeds, "seed"))
        ]
        missing = "" if self.complete else f" of {self.planned} planned"
        return f"Study of {len(self)} runs{missing}: {', '.join(counts)}"

    def _repr_html_(self) -> str:
        from optlab.core.records.notebook import study_html

        return study_html(self)


__all__ = ["Study", "StudyRun"]
