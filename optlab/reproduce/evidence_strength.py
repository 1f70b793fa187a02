"""How much an `Evidence` shows: by how much a claim is broken, and how near an inequality comes to its bound."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def margin(evidence: Any) -> float:
    """Return by how much the claim of `evidence` is broken, relative to what it allows; 0 if it is not.

    Excess over the bound, in units of the bound (over the tolerance for deviations); for ``tight``, the larger of the
    excess and of what is missing; for ``linear_rate``, how many times more iterations the fitted factor needs than the
    claimed one, less 1; for ``monotone``, the largest rise above the least value so far; for ``counterexample``, what
    is missing to the bound; for ``sandwich``, the larger excess of the two.
    """
    if evidence.verdict != "violated":
        return 0.0
    if np.isnan(evidence.observed).any():
        return math.inf
    if evidence.kind == "linear_rate":
        if evidence.fitted is None or evidence.fitted <= 0 or float(evidence.bound) <= 0:
            return math.inf
        if evidence.two_sided and evidence.fitted < float(evidence.bound):
            return (
                math.inf
                if float(evidence.bound) >= 1
                else math.log(evidence.fitted) / math.log(float(evidence.bound)) - 1
            )
        if evidence.fitted >= 1 or float(evidence.bound) >= 1:
            return math.inf if float(evidence.bound) < 1 else evidence.fitted / float(evidence.bound) - 1
        return math.log(float(evidence.bound)) / math.log(evidence.fitted) - 1
    if evidence.kind == "monotone":
        least = np.minimum.accumulate(evidence.observed)
        rise, scale = evidence.observed - least, np.maximum(np.abs(least), evidence.slack)
        return _largest_ratio(rise, scale)
    if evidence.kind in ("identity", "equivalence"):
        return _largest_ratio(np.abs(evidence.observed) - evidence.tolerance, evidence.tolerance)
    scale = np.where(evidence.bound == 0, evidence.slack, np.abs(evidence.bound))
    if evidence.kind == "sandwich":
        worst = np.where(np.isnan(evidence.worst_case), np.inf, evidence.worst_case)
        return max(
            _largest_ratio(evidence.observed - worst, np.abs(worst)),
            _largest_ratio(np.nan_to_num(evidence.worst_case, nan=-np.inf, posinf=np.inf) - evidence.bound, scale),
        )
    excess = _largest_ratio(evidence.observed - evidence.bound, scale)
    if evidence.kind == "counterexample":
        with np.errstate(divide="ignore", invalid="ignore"):
            missing = np.where(scale > 0, (evidence.bound - evidence.observed) / scale, np.inf)
        if evidence.at == "last":
            return float(max(missing[-1], 0.0))
        return float(max(missing.min() if evidence.at == "any" else missing.max(), 0.0))
    if evidence.kind == "tight" and excess <= 0:
        return float(np.min((evidence.bound - evidence.observed) / np.where(scale > 0, scale, 1.0)))
    return excess


def nearness(observed: Any, bound: Any, slack: float, rtol: float = 1e-9) -> np.ndarray:
    """How near each observation comes to its bound, for choosing which of many inequalities to show.

    It is ``(observed - bound) / (|bound| + slack)`` where the inequality holds within its tolerance, as `Evidence`
    judges it, and larger than any of those where it does not: a violation can never be left out for a case that only
    rounding brings near its bound.
    """
    observed, bound = np.asarray(observed, dtype=float), np.asarray(bound, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        excess = (observed - bound) / (np.abs(bound) + slack)
        violated = ~(observed <= bound + rtol * np.abs(bound) + slack)
    # within its tolerance the excess is at most 1
    return np.where(
        violated, 2.0 + np.nan_to_num(excess, nan=np.inf, posinf=np.inf), np.nan_to_num(excess, nan=-np.inf)
    )


def _largest_ratio(excess: Any, scale: Any) -> float:
    """Largest excess in units of `scale`; inf where something is over a scale of nothing, 0 where nothing is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(excess > 0, np.where(scale > 0, excess / scale, np.inf), 0.0)
    ratio = np.where(np.isnan(ratio), np.inf, ratio)
    return float(np.max(ratio, initial=0.0))
