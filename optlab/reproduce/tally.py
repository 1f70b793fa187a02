"""What a set of results comes to: counted once, so that terminal, table and banner cannot disagree.

Nothing counts as held that did not run. A record *stands* in one of five ways: ``held``, ``partly`` (what was tested
held, some claims were not tested), ``untested`` (it ran, nothing was tested), ``skipped``, ``failed``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optlab.reproduce.markup import count

Record = dict[str, Any]

# the headings of the tables in the terminal and in the report, and the cell of each: see `Tally.cells`
COLUMNS = (
    "Run",
    "Claims held",
    "Not tested",
    "Theorems hold",
    "Observations",
    "Not applicable",
    "Controls refuted",
    "Skipped",
    "Errors",
)


def passed(record: Record) -> bool:
    """Whether nothing in the record counts against it: neither a claim not tested nor a skipped figure does."""
    return standing(record) != "failed"


def standing(record: Record) -> str:
    """How a record stands: ``held``, ``partly``, ``untested``, ``skipped`` or ``failed``."""
    if record["status"] == "skipped":
        return "skipped"
    if record["status"] != "done":
        return "failed"
    if record["kind"] == "theorem":
        return "held" if record["passed"] else "failed"
    verdicts = [claim["holds"] for claim in record.get("claims", ())]
    if False in verdicts:
        return "failed"
    if True not in verdicts:
        return "untested"
    return "partly" if None in verdicts else "held"


@dataclass
class Tally:
    """Counts over records, beside how many were planned."""

    planned: int = 0
    records: int = 0
    claims: int = 0
    held: int = 0
    failed_claims: int = 0
    untested: Counter[str] = field(default_factory=Counter)  # reason -> claims
    theorems: int = 0
    hold: int = 0
    observations: int = 0  # regularities without a proof; not among the theorems
    observed: int = 0
    loose: int = 0  # bounds that hold and are far from what was observed
    not_applicable: int = 0
    controls: int = 0
    refuted: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # reason -> figures
    errors: int = 0
    failed: int = 0

    @classmethod
    def of(cls, records: Sequence[Record], planned: int | None = None) -> Tally:
        """Count `records`; `planned` is how many there should be (default: as many)."""
        tally = cls(len(records) if planned is None else planned, len(records))
        for record in records:
            tally.failed += not passed(record)
            tally.errors += record["status"] == "error"
            if record["status"] == "skipped":
                tally.skipped[record["reason"]] += 1
            for claim in record.get("claims", ()):
                tally.claims += 1
                tally.held += claim["holds"] is True
                tally.failed_claims += claim["holds"] is False
                if claim["holds"] is None:
                    tally.untested[claim["reason"]] += 1
            if record["kind"] == "theorem" and record["status"] == "done":
                verdict = record["evidence"]["verdict"]
                if record.get("proved", True):
                    tally.theorems += 1
                    tally.hold += verdict == "holds"
                    tally.loose += bool(record["evidence"].get("loose"))
                else:
                    tally.observations += 1
                    tally.observed += verdict == "holds"
                tally.not_applicable += verdict == "not_applicable"
                tally.controls += len(record["controls"])
                tally.refuted += sum(control["passed"] for control in record["controls"])
        return tally

    @property
    def missing(self) -> int:
        """How many were planned and have not run; a skipped one is not among them."""
        return self.planned - self.records

    @property
    def complete(self) -> bool:
        """Whether all that was planned ran and all that is claimed was tested."""
        return not (self.missing or self.skipped or self.untested)

    @property
    def look(self) -> str:
        """The colour of it: ``bad``, ``mild`` (nothing failed, but not everything ran) or ``good``."""
        return "bad" if self.failed else ("good" if self.complete else "mild")

    def cells(self) -> tuple[str, ...]:
        """The counts under `COLUMNS`."""
        return (
            _of(self.records - self.skipped.total(), self.planned),
            _of(self.held, self.held + self.failed_claims),
            str(self.untested.total()),
            _of(self.hold, self.theorems),
            _of(self.observed, self.observations),
            str(self.not_applicable),
            _of(self.refuted, self.controls),
            str(self.skipped.total()),
            str(self.errors),
        )

    def calls_for_attention(self) -> dict[str, str]:
        """The `COLUMNS` whose counts say that something is amiss, with how they are marked."""
        wrong = {
            "Claims held": self.failed_claims,
            "Theorems hold": self.theorems - self.hold - self.not_applicable,
            "Observations": self.observations - self.observed,
            "Controls refuted": self.controls - self.refuted,
            "Errors": self.errors,
        }
        return {name: "no" for name, n in wrong.items() if n} | ({"Run": "some"} if self.missing else {})

    def reasons(self) -> list[tuple[int, str]]:
        """How many claims were not tested for which reason, in words."""
        return [
            (n, reason if reason.startswith("not tested") else f"not tested ({reason})")
            for reason, n in _sorted(self.untested)
        ]

    def sentence(self, state: str = "finished") -> str:
        """Everything in words, beginning with what has not run."""
        ran = self.records - self.skipped.total()
        run = f"{ran} of {self.planned} {'has' if ran == 1 else 'have'} run"
        start = {
            "running": f"A run is under way, or was killed: so far {run}",
            "interrupted": f"Interrupted: {run}",
        }.get(state, f"{ran} of {self.planned} run")
        parts = []
        if state == "finished" and self.missing:
            start += f", {self.missing} left by an earlier run that did not finish"
        if self.errors:
            parts.append(count(self.errors, "error"))
        if self.claims:
            tested = self.held + self.failed_claims
            text = f"{self.held} of {count(tested, 'tested claim')} held" if tested else "no claim was tested"
            text = ", ".join([text, *(f"{n} {words}" for n, words in self.reasons())])
            parts.append(text)
        if self.theorems:
            text = f"{self.hold} of {count(self.theorems, 'theorem')} {'holds' if self.hold == 1 else 'hold'}"
            if self.not_applicable:
                text += f", {self.not_applicable} not applicable, as declared"
            if self.loose:
                text += f", {self.loose} with a loose bound"
            parts.append(text)
        if self.observations:
            was = "was" if self.observed == 1 else "were"
            parts.append(f"{self.observed} of {count(self.observations, 'observation')} {was} made again")
        if self.controls:
            parts.append(f"{self.refuted} of {count(self.controls, 'control')} refuted")
        parts += [f"{count(n, 'figure')} skipped: {reason}" for reason, n in _sorted(self.skipped)]
        return ". ".join([start, "; ".join(parts)]) + "." if parts else start + "."


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _of(part: int, whole: int) -> str:
    return f"{part} / {whole}" if whole else "–"
