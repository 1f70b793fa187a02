"""Theorem checks: a statement, an experiment that tests it, and negative controls that show the test can
fail.

    @optlab.theorem(id="...", paper="...", statement="...", assumptions=("...",), source="Theorem 3.2")
    def check(scale, seed) -> optlab.Evidence: ...

    @check.control("step size above the proven range")
    def _(scale, seed) -> optlab.Evidence: ...

A check is *passed* if its verdict is the expected one and every control comes out differently. The expected
verdict is ``holds``; where an application is known not to meet an assumption it is ``not_applicable``, and
the check says what happens instead. A control must break the claim by a tenth of what it allows, or it does not
count as refuted (`evidence.CONTROL_MARGIN`). A check without a control is a defect: nothing shows that it could fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from optlab.core.interrupts import raising
from optlab.core.validation import one_of
from optlab.reproduce.evidence import CONTROL_MARGIN, Evidence
from optlab.reproduce.figures import add_unique, check_id, place_of_registration

Check = Callable[[str, int], Evidence]


class Control(NamedTuple):
    """A run with one assumption broken."""

    description: str
    function: Check

    @raising()
    def __call__(self, scale: str = "cpu", seed: int = 0) -> Evidence:
        evidence = _as_evidence(self.function(scale, seed), f"control {self.description!r}")
        if evidence.verdict == "violated" and evidence.margin < CONTROL_MARGIN:
            shown = f"Broken by {evidence.margin:.2g}, less than {CONTROL_MARGIN:g}: too little to show anything."
            evidence.verdict, evidence.note = "inconclusive", f"{evidence.note} {shown}".strip()
        return evidence


@dataclass(frozen=True)
class Theorem:
    """A registered check. Call it for its `Evidence`; `control` registers negative controls.

    Parameters
    ----------
    id, paper, statement, assumptions, source
        What the report shows. `source` says where the statement stands (equation, theorem, section) or, for a
        result of our own, that it was derived here.
    proved : bool, default True
        False for an observation: a regularity that was measured, without a proof. It is run alike and counted apart.
    expected : {"holds", "not_applicable"}
        The verdict that counts as passed.
    """

    id: str
    paper: str
    statement: str
    function: Check = field(repr=False)
    assumptions: tuple[str, ...] = ()
    source: str = ""
    title: str = ""
    expected: str = "holds"
    proved: bool = True
    file: str = field(default="", repr=False)
    line: int = field(default=1, repr=False)
    controls: list[Control] = field(default_factory=list, repr=False)

    @raising()
    def __call__(self, scale: str = "cpu", seed: int = 0) -> Evidence:
        return _as_evidence(self.function(scale, seed), f"theorem {self.id!r}")

    def control(self, description: str) -> Callable[[Check], Check]:
        """Register ``fn(scale, seed) -> Evidence`` with an assumption broken; it must not come out as
        expected.
        """
        if not isinstance(description, str) or not description.strip():
            raise ValueError("a control needs a description of the assumption it breaks")

        def register(function: Check) -> Check:
            self.controls.append(Control(description, function))
            return function

        return register

    def accepts(self, verdict: str) -> bool:
        """Whether `verdict` is what the check should come to."""
        return verdict == self.expected

    def refutes(self, verdict: str) -> bool:
        """Whether a control with this verdict shows that the check can tell the difference.

        For a theorem that holds, the control must be *violated*: one that is merely inconclusive shows
        nothing. For one declared not applicable, the control is a case that does meet the assumptions and
        must be judged either way.
        """
        if self.expected == "not_applicable":
            return verdict in ("holds", "violated")
        return verdict == "violated"


THEOREMS: dict[str, Theorem] = {}


def theorem(
    *,
    id: str,
    paper: str,
    statement: str,
    assumptions: Sequence[str] = (),
    source: str = "",
    title: str = "",
    expected: str = "holds",
    proved: bool = True,
) -> Callable[[Check], Theorem]:
    """Register ``fn(scale, seed) -> Evidence`` as the numerical check of a theorem.

    Parameters
    ----------
    id : str
        What a user types after ``optlab verify``.
    paper : str
        Key of the paper; a section of the report.
    statement : str
        The theorem in words.
    assumptions : sequence of str
        What it needs.
    source : str
        Where it stands: "Theorem 3.2", "equation (12)", "derived here, verified numerically".
    title : str, optional
        Heading in the report; default: the id in words.
    expected : {"holds", "not_applicable"}
        ``not_applicable`` declares that the application tested does not meet the assumptions.
    proved : bool, default True
        False for a regularity that was measured and has no proof: an *observation*, counted apart from theorems.

    Examples
    --------
    >>> import optlab
    >>> @optlab.theorem(id="doc-halving", paper="doc", statement="x_k <= 2**-k.")
    ... def halving(scale, seed):
    ...     return optlab.Evidence([1, 2, 3], [0.5, 0.25, 0.125], [0.5, 0.25, 0.125])
    >>> @halving.control("factor above one half")
    ... def _(scale, seed):
    ...     return optlab.Evidence([1, 2, 3], [0.6, 0.36, 0.22], [0.5, 0.25, 0.125])
    >>> halving("smoke", 0).holds, [c("smoke", 0).verdict for c in halving.controls]
    (True, ['violated'])
    >>> del THEOREMS["doc-halving"]
    """
    one_of(expected, "expected", ("holds", "not_applicable"))
    if isinstance(assumptions, str):
        assumptions = (assumptions,)

    def register(function: Check) -> Theorem:
        spec = Theorem(
            check_id(id),
            check_id(paper, "paper"),
            " ".join(statement.split()),
            function,
            tuple(assumptions),
            source,
            title or id.replace("-", " "),
            expected,
            proved,
            *place_of_registration(),
        )
        add_unique(THEOREMS, spec.id, spec, "theorem")
        return spec

    return register


def _as_evidence(value: Any, what: str) -> Evidence:
    if not isinstance(value, Evidence):
        raise TypeError(f"{what} must return an optlab.Evidence, got {type(value).__name__}")
    return value
