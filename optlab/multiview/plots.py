"""Plots of a fit that a practitioner reads: loadings, scores, variance shares, convergence to a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.validation import as_integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_loadings", "plot_scores", "plot_variance"]


def _axes(ax: Axes | None) -> Axes:
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots()
    return ax


def _component(model: Any, component: int) -> int:
    j = as_integer(component, "component", minimum=0)
    if j >= model.rank_:
        raise ValueError(f"component must be below the rank {model.rank_}, got {j}")
    return j


def plot_loadings(model: Any, view: int | str = 0, component: int = 0, top: int = 15, ax: Axes | None = None) -> Axes:
    """Bars of the largest loadings of one component in one view, largest at the top.

    Parameters
    ----------
    model : JointLCA
        Fitted.
    view : int or str
    component : int
    top : int
        Number of features shown.
    ax : Axes, optional
    """
    from optlab.plotting import style

    k = model.view_names_.index(view) if isinstance(view, str) and view in model.view_names_ else view
    if isinstance(k, str) or not 0 <= k < model.n_views_:
        raise ValueError(f"view must be one of {', '.join(model.view_names_)} or its position, got {view!r}")
    j = _component(model, component)
    ax = _axes(ax)
    v = model.loadings_[k][:, j]
    order = np.argsort(-np.abs(v))[:top][::-1]
    names = model.feature_names_in_[k] or [f"feature {i}" for i in range(v.size)]
    colours = [style(0)["color"] if v[i] >= 0 else style(1)["color"] for i in order]
    ax.barh([names[i] for i in order], v[order], color=colours)
    ax.axvline(0.0, color="0.3", lw=0.8)
    ax.set_xlabel("loading")
    ax.set_title(
        f"{model.view_names_[k]}, component {j + 1} ({model.explained_variance_ratio_[k, j]:.0%} of its variance)"
    )
    return ax


def plot_scores(model: Any, labels: Any = None, components: tuple[int, int] = (0, 1), ax: Axes | None = None) -> Axes:
    """Scatter of two joint scores, one colour and marker per label; with rank 1 the score against the sample number.

    Parameters
    ----------
    model : JointLCA
        Fitted.
    labels : array_like, shape (n,), optional
    components : pair of int
    ax : Axes, optional
    """
    from optlab.plotting import PALETTE, style

    ax = _axes(ax)
    i = _component(model, components[0])
    x = model.scores_[:, i]
    if model.rank_ > 1:
        j = _component(model, components[1])
        y, name = model.scores_[:, j], f"joint score {j + 1}"
    else:
        x, y, name, i = np.arange(x.size), x, "joint score 1", -1
    groups = np.zeros(x.size, dtype=int) if labels is None else np.asarray(labels)
    if groups.shape != (x.size,):
        raise ValueError(f"labels must have shape ({x.size},), got {groups.shape}")
    for g, value in enumerate(np.unique(groups)):
        member = groups == value
        # the shift keeps more groups than colours apart
        look = {"color": style(g)["color"], "marker": style(g + g // len(PALETTE))["marker"]}
        ax.scatter(x[member], y[member], s=14, alpha=0.8, label=str(value), **look)
    if labels is not None:
        ax.legend(fontsize=7)
    ax.set_xlabel("sample" if i < 0 else f"joint score {i + 1}")
    ax.set_ylabel(name)
    return ax


def plot_variance(model: Any, ax: Axes | None = None) -> Axes:
    """Stacked bars per view: every joint component, the individual part, the residual."""
    from optlab.plotting import style

    ax = _axes(ax)
    table = model.variance_table()
    bottom = np.zeros(model.n_views_)
    for j in range(model.rank_):
        share = model.explained_variance_ratio_[:, j]
        ax.bar(model.view_names_, share, bottom=bottom, color=style(j)["color"], label=f"joint {j + 1}")
        bottom = bottom + share
    ax.bar(model.view_names_, table["individual"], bottom=bottom, color="0.6", label="individual")
    ax.bar(model.view_names_, table["residual"], bottom=bottom + table["individual"], color="0.88", label="residual")
    ax.set_ylabel("share of variance")
    ax.legend(fontsize=7)
    return ax
