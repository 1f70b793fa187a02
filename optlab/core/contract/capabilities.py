"""What fits what: the one checker between what a method requires and what a problem offers.

A problem offers *oracles*: methods of its own that answer a question about it (``gradient``, ``resolvent_A``,
``minimize_u``, ...). A problem that withholds some of what its class can answer, or that consists of several terms,
says in ``offers`` which oracles it has, and which terms each speaks for. A method says in ``requires`` which ones it
calls, in ``slots`` which kinds of terms it takes and how many (`optlab.core.contract.slots`), and in
``accepts(problem)`` what these cannot say. The check is exhaustive: a method whose oracles leave a term out is refused,
since it would solve another problem and call it converged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optlab.core.contract.catalogue import method_classes
from optlab.core.contract.slots import assign
from optlab.core.errors import IncompatibleError

if TYPE_CHECKING:
    import pandas


def reason_against(problem: Any, method: Any) -> str | None:
    """Return why `method` cannot run on `problem`, in a clause that follows the method's name; None if it can.

    Examples
    --------
    >>> from optlab.core import Method
    >>> class Descent(Method):
    ...     requires = ("gradient",)
    >>> class Split:
    ...     offers = {"gradient": ("f",), "proximal": ("g",)}
    ...     def gradient(self, x): ...
    >>> reason_against(Split(), Descent())
    "would ignore the term 'g' of Split: of its oracles it uses gradient"
    """
    required = tuple(getattr(method, "requires", ()))
    name = type(problem).__name__
    offers = getattr(problem, "offers", None)
    missing = [
        oracle
        for oracle in required
        if not callable(getattr(problem, oracle, None)) or (isinstance(offers, Mapping) and oracle not in offers)
    ]
    if missing:
        needs = getattr(method, "needs", None)
        lacks = f"{name} {'has no' if not hasattr(problem, missing[0]) else 'does not offer'} {missing[0]}()"
        return f"needs {needs}, but {lacks}" if needs else f"needs {', '.join(required)} of its problem, but {lacks}"
    ignored = _ignored_terms(offers, required)
    if ignored:
        terms = ", ".join(repr(term) for term in ignored)
        return (
            f"would ignore the term{'s' if len(ignored) > 1 else ''} {terms} of {name}: of its oracles it uses "
            f"{', '.join(required)}"
        )
    slots = getattr(method, "slots", ())
    if slots:
        all_terms = getattr(problem, "terms", None)
        if all_terms is None:  # what it calls by the same name is something else
            return f"needs {getattr(method, 'needs', None) or 'a problem of terms'}, but {name} has no terms"
        placed = assign(all_terms, slots)
        if isinstance(placed, str):
            return placed
    accepts = getattr(method, "accepts", None)
    reason: str | None = accepts(problem) if accepts is not None else None
    return reason


def _ignored_terms(offers: Any, required: Iterable[str]) -> list[str]:
    """Return the terms that none of the `required` oracles speaks for, in the problem's order."""
    if not isinstance(offers, Mapping) or not (asked := [oracle for oracle in required if oracle in offers]):
        return []
    covered = {term for oracle in asked for term in offers[oracle]}
    return list(dict.fromkeys(term for terms in offers.values() for term in terms if term not in covered))


def check_compatible(problem: Any, method: Any) -> None:
    """Raise `IncompatibleError` if `method` cannot run on `problem`."""
    reason = reason_against(problem, method)
    if reason is None:
        return
    near = [row.method for row in _table(problem, _packages_of(problem)) if row.runs]
    instead = f"; on it run {', '.join(near[:6])}{', ...' if len(near) > 6 else ''}" if near else ""
    raise IncompatibleError(f"{type(method).__name__} {reason}{instead}")


@dataclass(frozen=True)
class Applicability:
    """One row of `applicable`.

    Attributes
    ----------
    method : str
        The method's class name.
    package : str
        Where it is imported from: ``optlab.<package>``.
    runs : bool
    reason : str
        Why it does not run; empty if it does.
    """

    method: str
    package: str
    runs: bool
    reason: str


class ApplicableMethods(tuple[Applicability, ...]):
    """The table that `applicable` returns: a tuple of rows that prints as a table."""

    @property
    def running(self) -> tuple[str, ...]:
        """Names of the methods that run."""
        return tuple(row.method for row in self if row.runs)

    def to_frame(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame (needs pandas)."""
        import pandas

        return pandas.DataFrame([vars(row) for row in self], columns=list(Applicability.__annotations__))

    def __repr__(self) -> str:
        width = max((len(row.method) for row in self), default=0)
        lines = [f"{row.method:<{width}}  {'runs' if row.runs else row.reason}" for row in self]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><td>{row.method}</td><td>optlab.{row.package}</td>"
            f"<td>{'runs' if row.runs else escape(row.reason)}</td></tr>"
            for row in self
        )
        head = "<tr><th>method</th><th>package</th><th>on this problem</th></tr>"
        return f"<table>{head}{rows}</table>"


def applicable(problem: Any) -> ApplicableMethods:
    """Return for every public method whether it runs on `problem`, and if not, what is missing.

    Nothing is computed. Wrappers (`optlab.wrappers`) are left out: they run where the method inside does.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    ApplicableMethods
        Rows with ``method``, ``package``, ``runs`` and ``reason``, the methods that run first. It prints as a table;
        ``.running`` has the names, ``.to_frame()`` makes a DataFrame.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.splitting import LinearlyConstrained
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import SquaredDistance
    >>> f = SquaredDistance(np.ones(2))
    >>> problem = LinearlyConstrained(f, f, np.eye(2), -np.eye(2), np.zeros(2), SquaredEuclidean())
    >>> table = optlab.applicable(problem)
    >>> table.running
    ('BregmanADMM', 'ExponentialMultipliers')
    >>> next(row.reason for row in table if row.method == "BregmanDouglasRachford")
    'needs a problem to split (SplitProblem), but LinearlyConstrained has no initial_mirror()'
    """
    if isinstance(problem, type):
        raise TypeError(f"problem must be an instance: write {problem.__name__}(...), not {problem.__name__}")
    return ApplicableMethods(sorted(_table(problem), key=lambda row: not row.runs))


def _table(problem: Any, packages: Iterable[str] | None = None) -> list[Applicability]:
    rows = []
    for package, cls in method_classes(packages):
        if not cls.wraps:
            reason = reason_against(problem, cls.example())
            rows.append(Applicability(cls.__name__, package, reason is None, reason or ""))
    return rows


def _packages_of(problem: Any) -> list[str]:
    """Return the packages of optlab whose methods to name in an error: where the problem's classes come from.

    A class whose methods live on other floors names their packages in ``method_packages``.
    """
    classes = type(problem).__mro__
    parts = [cls.__module__.split(".") for cls in classes]
    said = [name for cls in classes for name in vars(cls).get("method_packages", ())]
    return list(dict.fromkeys([*said, *(part[1] for part in parts if part[0] == "optlab" and len(part) > 2)]))
