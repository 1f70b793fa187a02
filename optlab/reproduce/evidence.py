"""Evidence: an observed quantity beside its proven bound, and the verdict that follows from the two.

A theorem check (see `optlab.theorem`) answers with one `Evidence`. It holds plain arrays and decides by
itself whether the claim is borne out; the rule depends on the *kind* of claim and is the same everywhere:

==================  =====================================================================================
kind                holds if
==================  =====================================================================================
``upper_bound``     ``observed <= bound + rtol*|bound| + slack`` at every ``k``
``tight``           as ``upper_bound``, and ``observed >= bound - rtol*|bound| - slack`` at one ``k`` or more
``linear_rate``     the factor fitted to ``observed`` after the transient is at most the claimed factor
                    ``bound`` (``two_sided=True``: equals it), within ``rtol*bound + slack``
``monotone``        no step up: ``observed[i+1] <= observed[i] + rtol*|observed[i]| + slack``
``identity``,       ``max |observed| <= slack`` (plus ``bound``, where one is given): `observed` is the
``equivalence``     deviation between the two sides
``counterexample``  ``observed > bound + rtol*|bound| + slack`` at one ``k`` or more (``at="last"``: at the
                    last; ``at="all"``: at each): the quantity leaves the bound it was thought to obey
``sandwich``        ``observed <= worst_case`` and ``worst_case <= bound``, each within its allowance, at every
                    ``k``: what happened, the most that can happen in the class, and what is proved of it
==================  =====================================================================================

How far a claim is broken is its *margin*; a control has to break one by `CONTROL_MARGIN` at least. A bound of which
less than `LEAST_TIGHTNESS` is used anywhere is called *loose*: it may hold for a wrong constant as well.

A NaN in `observed` is a violation, whatever the kind. No data at all, a bound that is infinite everywhere and
a fit with too few points are ``inconclusive``. Nothing here knows an algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from optlab.core.validation import as_float_array, as_number, one_of

KINDS = ("upper_bound", "tight", "linear_rate", "monotone", "identity", "equivalence", "counterexample", "sandwich")
VERDICTS = ("holds", "violated", "inconclusive", "not_applicable")

# Default relative tolerances: rounding for statements about every iterate, three digits where a supremum or a
# fitted slope is compared with a formula.
_RTOL = {"tight": 1e-3, "linear_rate": 1e-3, "identity": 0.0, "equivalence": 0.0, "sandwich": 1e-4}
CONTROL_MARGIN = 0.1
LEAST_TIGHTNESS = 0.3
_MIN_FIT = 5  # a slope through fewer points says nothing


class Tightness(NamedTuple):
    """How close the observation comes to the bound, and where: `ratio` 1 touches it, above 1 breaks it."""

    ratio: float
    k: float


@dataclass(eq=False)
class Evidence:
    """Observed quantity, bound, and the verdict.

    Parameters
    ----------
    k : array_like, shape (n,)
        Where it was observed: iterations, or any other abscissa (name it in `xlabel`).
    observed : array_like, shape (n,)
        The measured quantity; for ``identity`` and ``equivalence`` the deviation between the two sides.
    bound : float or array_like, shape (n,), optional
        What the theorem says about it; for ``linear_rate`` the claimed factor per unit of `k`. Not needed for
        ``monotone``, ``identity`` and ``equivalence``.
    worst_case : array_like, shape (n,), optional
        For ``sandwich``: the largest value over the whole class; NaN where it could not be found.
    slack : float, default 0
        Absolute allowance, for rounding or a stated solver tolerance.
    kind : str, default "upper_bound"
        One of the kinds in the module's table.
    rtol : float, optional
        Relative allowance. Default: 1e-9; 1e-3 for ``tight`` and ``linear_rate``; 1e-4 for ``sandwich``; 0 for
        deviations.
    transient : float, default 0.5
        ``linear_rate``: leading share of the records left out of the fit.
    floor : float, default 0
        ``linear_rate``: values at or below it (rounding noise) are left out of the fit.
    two_sided : bool, default False
        ``linear_rate``: the claim is the exact factor, not only an upper bound on it.
    at : {"any", "last", "all"}
        ``counterexample``: where the bound must be exceeded.
    detail : mapping of str to number or str
        Further numbers to show beside the verdict.
    note : str
        A sentence for the reader, e.g. what happens instead.
    xlabel, ylabel : str
        Axis labels of `plot`.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, the kind is unknown, a tolerance is negative or the bound is NaN.

    Examples
    --------
    >>> check = Evidence(k=[1, 2, 3], observed=[0.9, 0.4, 0.3], bound=[1.0, 0.5, 1 / 3])
    >>> check.holds, check.tightness
    (True, Tightness(ratio=0.9, k=1.0))
    >>> Evidence([1, 2], [0.5, 0.6], kind="monotone").verdict
    'violated'
    """

    k: Any
    observed: Any
    bound: Any = None
    slack: float = 0.0
    kind: str = "upper_bound"
    rtol: Any = None
    transient: float = 0.5
    floor: float = 0.0
    two_sided: bool = False
    at: str = "any"
    detail: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    xlabel: str = "iteration"
    ylabel: str = "observed"
    worst_case: Any = None
    verdict: str = field(init=False, default="inconclusive")
    fitted: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        one_of(self.kind, "kind", KINDS)
        one_of(self.at, "at", ("any", "last", "all"))
        self.k = as_float_array(self.k, "k", ndim=1, allow_empty=True).astype(float)
        self.observed = np.asarray(self.observed)
        if self.observed.ndim > 1:
            raise ValueError(
                f"observed must have one value per k, got shape {self.observed.shape}; "
                "for repetitions over seeds use Evidence.expectation"
            )
        self.observed = as_float_array(
            np.atleast_1d(self.observed), "observed", shape=self.k.shape, finite=False, allow_empty=True
        ).astype(float)
        self.slack = as_number(self.slack, "slack", minimum=0)
        self.rtol = as_number(_RTOL.get(self.kind, 1e-9) if self.rtol is None else self.rtol, "rtol", minimum=0)
        self.transient = as_number(self.transient, "transient", minimum=0, below=1)
        self.detail = dict(self.detail)
        self.bound = self._check_bound(self.bound)
        if (self.worst_case is None) == (self.kind == "sandwich"):
            raise ValueError(f"worst_case belongs to evidence of kind 'sandwich', and only to it; got {self.kind!r}")
        if self.worst_case is not None:
            self.worst_case = as_float_array(
                self.worst_case, "worst_case", shape=self.k.shape, finite=False, allow_empty=True
            ).astype(float)
        self.verdict = self._judge()

    def _check_bound(self, bound: Any) -> Any:
        if bound is None:
            if self.kind in ("upper_bound", "tight", "linear_rate", "counterexample", "sandwich"):
                raise ValueError(f"an evidence of kind {self.kind!r} needs a bound")
            return None
        bound = as_float_array(np.asarray(bound, dtype=float), "bound", finite=False, allow_empty=True).astype(float)
        if np.isnan(bound).any():
            raise ValueError("bound must not be NaN; leave out the records at which the theorem says nothing")
        if self.kind == "linear_rate":
            if bound.ndim != 0 or not 0 <= float(bound) < math.inf:
                raise ValueError("bound of a 'linear_rate' must be the claimed factor: one number of at least 0")
            return bound
        if bound.ndim == 0:
            return np.full(self.k.shape, float(bound))
        if bound.shape != self.k.shape:
            raise ValueError(f"bound must be a number or have the shape of k {self.k.shape}, got {bound.shape}")
        return bound

    # -- the verdict

    @property
    def holds(self) -> bool:
        """Whether the claim was observed to hold; False also for ``inconclusive`` and ``not_applicable``."""
        return self.verdict == "holds"

    @property
    def tolerance(self) -> np.ndarray:
        """What the bound plus its allowances comes to, one value per `k` (not for ``linear_rate``)."""
        base = np.zeros(self.k.shape) if self.bound is None else np.broadcast_to(self.bound, self.k.shape)
        with np.errstate(invalid="ignore"):
            return np.asarray(base + self.rtol * np.abs(base) + self.slack)

    def _judge(self) -> str:
        if self.observed.size == 0:
            return "inconclusive"
        if np.isnan(self.observed).any():
            return "violated"
        if self.kind == "linear_rate":
            return self._judge_rate()
        if self.kind == "monotone":
            if self.observed.size < 2:
                return "inconclusive"
            before, after = self.observed[:-1], self.observed[1:]
            return _word(np.all(after <= before + self.rtol * np.abs(before) + self.slack))
        if self.kind in ("identity", "equivalence"):
            return _word(np.all(np.abs(self.observed) <= self.tolerance))
        if np.all(np.isposinf(self.bound)):
            return "inconclusive"
        if self.kind == "sandwich":
            worst = self.worst_case
            allowed = worst + self.rtol * np.abs(worst) + self.slack
            if np.any(self.observed > allowed) or np.any(worst > self.tolerance):
                return "violated"
            return "inconclusive" if np.isnan(worst).any() else "holds"
        if self.kind == "counterexample":
            beyond = self.observed > self.tolerance
            return _word({"any": beyond.any(), "last": beyond[-1], "all": beyond.all()}[self.at])
        within = np.all(self.observed <= self.tolerance)
        if self.kind == "tight":
            with np.errstate(invalid="ignore"):
                within = within and np.any(self.observed >= self.bound - self.rtol * np.abs(self.bound) - self.slack)
        return _word(within)

    def _judge_rate(self) -> str:
        k, logs = self._fit_window()
        if not np.all(np.isfinite(self.observed)):
            return "violated"
        if k.size < _MIN_FIT:
            return "inconclusive"
        self.fitted = float(np.exp(np.polyfit(k - k.mean(), logs, 1)[0]))
        claimed = float(self.bound)
        allowance = self.rtol * claimed + self.slack
        if self.two_sided:
            return _word(abs(self.fitted - claimed) <= allowance)
        return _word(self.fitted <= claimed + allowance)

    def _fit_window(self) -> tuple[np.ndarray, np.ndarray]:
        usable = self.observed > max(self.floor, 0.0)
        usable &= np.isfinite(self.observed)
        k, values = self.k[usable], self.observed[usable]
        start = int(self.transient * k.size)
        return k[start:], np.log(values[start:])

    @property
    def tightness(self) -> Tightness:
        """The worst ratio of observed to allowed and the `k` where it occurs (NaN without data).

        The denominator is the bound (the fitted factor is compared with the claimed one; deviations with
        their tolerance; for ``monotone`` it is each value over the one before).
        """
        if self.verdict == "not_applicable" or self.observed.size == 0:
            return Tightness(math.nan, math.nan)
        if self.kind == "linear_rate":
            claimed = float(self.bound)
            if self.fitted is None:
                return Tightness(math.nan, math.nan)
            return Tightness(self.fitted / claimed if claimed else math.inf, float(self.k[-1]))
        if self.kind == "monotone":
            before, after = self.observed[:-1], self.observed[1:]
            if np.all(before > 0):
                return _worst(self.k[1:], after, before, self.slack)
            i = int(np.argmax(after - before)) if after.size else 0
            rise = after[i] - before[i] if after.size else 0.0
            ratio = rise / self.slack if self.slack > 0 else (math.inf if rise > 0 else 0.0)
            return Tightness(max(ratio, 0.0), float(self.k[min(i + 1, self.k.size - 1)]))
        if self.kind == "sandwich":
            parts = [
                _worst(self.k, self.worst_case, self.bound, self.slack),
                _worst(self.k, self.observed, self.worst_case, self.slack),
            ]
            # how near the class comes to the bound; a broken order between observation and worst case goes first
            return parts[1] if parts[1].ratio > 1 + self.rtol else parts[0]
        if self.kind in ("identity", "equivalence"):
            return _worst(self.k, np.abs(self.observed), self.tolerance, self.slack)
        return _worst(self.k, self.observed, self.bound, self.slack)

    @property
    def margin(self) -> float:
        """By how much the claim is broken, relative to what it allows; 0 if it is not, inf if without measure."""
        from optlab.reproduce.evidence_strength import margin

        return margin(self)

    @property
    def loose(self) -> bool:
        """Whether this is a bound of which less than `LEAST_TIGHTNESS` is used at any `k`."""
        if self.verdict != "holds" or self.kind not in ("upper_bound", "sandwich"):
            return False
        if self.kind == "sandwich":
            return self.bound_tightness < LEAST_TIGHTNESS
        return bool(np.any(np.asarray(self.bound) > 0)) and self.tightness.ratio < LEAST_TIGHTNESS

    @property
    def bound_tightness(self) -> float:
        """``sandwich``: the largest worst case over its bound, which is a property of the theorem; else NaN."""
        return math.nan if self.worst_case is None else _worst(self.k, self.worst_case, self.bound, self.slack).ratio

    @property
    def instance_hardness(self) -> float:
        """``sandwich``: the largest observation over the worst case, which is a property of the test data; else NaN."""
        if self.worst_case is None:
            return math.nan
        return _worst(self.k, self.observed, self.worst_case, self.slack).ratio

    # -- other ways to make one

    @classmethod
    def not_applicable(cls, reason: str, **fields: Any) -> Evidence:
        """An assumption fails for this application; `reason` says which, and what happens instead.

        Data may be given too (``k``, ``observed``, ``bound``, ``kind``): it is shown, not judged.

        Examples
        --------
        >>> Evidence.not_applicable("the kernel is not strongly convex on the orthant").verdict
        'not_applicable'
        """
        return cls._declared("not_applicable", reason, fields)

    @classmethod
    def inconclusive(cls, reason: str, **fields: Any) -> Evidence:
        """The experiment could not decide (too few samples, a budget spent); counts as not passed."""
        return cls._declared("inconclusive", reason, fields)

    @classmethod
    def _declared(cls, verdict: str, reason: str, fields: dict[str, Any]) -> Evidence:
        fields = {
            "k": [],
            "observed": [],
            "kind": "monotone" if "bound" not in fields else "upper_bound",
        } | fields
        evidence = cls(note=reason, **fields)
        evidence.verdict = verdict
        return evidence

    @classmethod
    def expectation(cls, k: Any, samples: Any, bound: Any, sigmas: float = 4.0, **fields: Any) -> Evidence:
        """Evidence for an upper bound on an expectation, from independent repetitions.

        It holds if ``mean + sigmas * standard error`` stays within the bound at every `k`, is violated if
        ``mean - sigmas * standard error`` exceeds it at any, and is inconclusive in between.

        Parameters
        ----------
        k : array_like, shape (n,)
        samples : array_like, shape (repetitions, n)
            One row per seed; two rows at least.
        bound : float or array_like, shape (n,)
        sigmas : float, default 4
        **fields
            Passed on to `Evidence`.
        """
        samples = as_float_array(samples, "samples", ndim=2, finite=False)
        if samples.shape[0] < 2:
            raise ValueError(f"samples must hold at least 2 repetitions (rows), got {samples.shape[0]}")
        mean = samples.mean(axis=0)
        error = sigmas * samples.std(axis=0, ddof=1) / math.sqrt(samples.shape[0])
        fields["detail"] = {
            "repetitions": samples.shape[0],
            "standard errors": sigmas,
            **fields.get("detail", {}),
        }
        upper = cls(k, mean + error, bound, **fields)
        if upper.verdict == "violated" and cls(k, mean - error, bound, **fields).verdict != "violated":
            upper.verdict = "inconclusive"
            upper.note = " ".join(filter(None, [upper.note, "The confidence band straddles the bound."]))
        return upper

    # -- showing and keeping

    def __repr__(self) -> str:
        ratio, k = self.tightness
        where = "" if math.isnan(ratio) else f", worst ratio {ratio:.4g} at k={k:g}"
        return f"<Evidence {self.kind}: {self.verdict}{where}{', loose' if self.loose else ''}>"

    def plot(self, ax: Any = None) -> Any:
        """Draw observed against bound, the bound dashed and the worst point marked; return the Axes."""
        from optlab.reproduce.evidence_plot import plot_evidence

        return plot_evidence(self, ax)

    def summary(self) -> dict[str, Any]:
        """Everything but the arrays, as plain Python values."""
        ratio, where = self.tightness
        return {
            "kind": self.kind,
            "verdict": self.verdict,
            "n": int(self.observed.size),
            "ratio": ratio,
            "at": where,
            "slack": float(self.slack),
            "rtol": float(self.rtol),
            "fitted": self.fitted,
            "claimed": float(self.bound) if self.kind == "linear_rate" and self.bound is not None else None,
            "detail": {str(name): _plain(value) for name, value in self.detail.items()},
            "note": self.note,
            "margin": self.margin,
            "loose": self.loose,
            "bound_tightness": self.bound_tightness,
            "instance_hardness": self.instance_hardness,
        }

    def columns(self) -> dict[str, np.ndarray]:
        """The arrays as columns of equal length: ``k``, ``observed`` and, where there is one, ``bound``."""
        table = {"k": self.k, "observed": self.observed}
        if self.bound is not None:
            table["bound"] = np.broadcast_to(self.bound, self.k.shape)
        if self.worst_case is not None:
            table["worst_case"] = self.worst_case
        return table


def _word(holds: Any) -> str:
    return "holds" if bool(holds) else "violated"


def _worst(k: np.ndarray, observed: np.ndarray, bound: np.ndarray, slack: float) -> Tightness:
    """Largest observed/bound; where the bound is not positive, its excess in units of slack."""
    if k.size == 0:
        return Tightness(math.nan, math.nan)
    if np.isnan(observed).any():
        return Tightness(math.nan, float(k[np.isnan(observed)][0]))
    excess = np.maximum(observed - bound, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = observed / bound
        absolute = np.where(excess > 0, excess / slack if slack > 0 else np.inf, 0.0)
    ratio = np.where(bound > 0, relative, absolute)
    ratio = np.where(np.isnan(ratio), np.inf, ratio)  # inf/inf: both blew up
    i = int(np.argmax(ratio))
    return Tightness(float(ratio[i]), float(k[i]))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)
