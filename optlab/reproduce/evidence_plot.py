"""How an `Evidence` is drawn: the observation as a line, the bound dashed, the worst point marked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.reproduce.evidence import Evidence


def plot_evidence(evidence: Evidence, ax: Any = None) -> Any:
    """Draw `evidence` on `ax` (default: a new Axes in the house style) and return the Axes."""
    from optlab.plotting import PALETTE, house_style, log_axes, theory_line

    if ax is None:
        from matplotlib.figure import Figure

        with house_style():
            ax = Figure(figsize=(4.6, 3.0), layout="constrained").subplots()
            return plot_evidence(evidence, ax)

    ax.set_xlabel(evidence.xlabel)
    ax.set_ylabel(evidence.ylabel)
    k, observed, bound = evidence.k, evidence.observed, _drawn_bound(evidence)
    if observed.size == 0:
        ax.text(0.5, 0.5, "no data", transform=ax.transAxes, ha="center", va="center")
        return ax

    deviation = evidence.kind in ("identity", "equivalence")
    shown = np.abs(observed) if deviation else observed
    logarithmic = _wants_log(shown, bound)
    if logarithmic and deviation:
        # exact zeros have no place on a log axis; they are drawn at the bottom, below every other value
        level = np.zeros(0) if bound is None else np.ravel(bound)
        positive = np.concatenate([shown[shown > 0], level[level > 0]])
        shown = np.where(shown == 0, positive.min() / 10, shown)
    if logarithmic:
        # what lies farther out is drawn there: the margins of such an axis would leave the range of floats
        shown = _within(shown)
        bound = None if bound is None else _within(bound)
    few = observed.size <= 25
    ax.plot(k, shown, color=PALETTE[0], marker="o" if few else None, label=evidence.ylabel)
    if bound is not None:
        label = {"linear_rate": "claimed rate", "identity": "tolerance", "equivalence": "tolerance"}
        theory_line(ax, k, bound, label=label.get(evidence.kind, "bound"))
    if evidence.worst_case is not None:
        ax.plot(k, evidence.worst_case, color=PALETTE[2], marker="_", label="worst case of the class")
    worst = evidence.tightness
    if math.isfinite(worst.k) and evidence.kind not in ("linear_rate",) and observed.size > 1:
        i = int(np.argmin(np.abs(k - worst.k)))
        if np.isfinite(shown[i]):
            ax.plot([k[i]], [shown[i]], "o", color=PALETTE[1], markersize=6, zorder=4, label=None)
    if logarithmic:
        log_axes(ax, "y")
    if k.size > 3 and k.min() > 0 and k.max() / k.min() >= 300:
        log_axes(ax, "x")
    if bound is not None:
        ax.legend()
    return ax


def _within(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values) & (values > 0), np.clip(values, 1e-250, 1e250), values)


def _drawn_bound(evidence: Evidence) -> np.ndarray | None:
    """The dashed line: the bound itself, the tolerance of a deviation, or a line of the claimed slope."""
    if evidence.observed.size == 0 or evidence.kind == "monotone":
        return None
    if evidence.kind in ("identity", "equivalence"):
        return evidence.tolerance if np.any(evidence.tolerance > 0) else None
    if evidence.kind == "linear_rate":
        k, logs = evidence._fit_window()
        if k.size == 0 or not float(evidence.bound) > 0:
            return None
        with np.errstate(over="ignore", under="ignore"):
            line = np.exp(logs[0] + (evidence.k - k[0]) * math.log(float(evidence.bound)))
        return np.where(evidence.k >= k[0], line, np.nan)
    return np.asarray(evidence.bound)


def _wants_log(observed: np.ndarray, bound: np.ndarray | None) -> bool:
    """Whether everything is positive (exact zeros aside) and spans more than a factor of 30."""
    values = observed if bound is None else np.concatenate([observed, np.ravel(bound)])
    values = values[np.isfinite(values)]
    if values.size == 0 or np.any(values < 0) or not np.any(values > 0):
        return False
    positive = values[values > 0]
    return bool(np.log(positive.max()) - np.log(positive.min()) > np.log(30))
