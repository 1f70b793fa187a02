"""Plots of a fit that a practitioner reads: loadings, scores, variance shares, convergence to a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.core.validation import as_integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ComponentPlots"]


def _axes(ax: Axes | None) -> Axes:
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(layout="constrained")
    return ax


def _component(model: Any, component: int) -> int:
    j, r = as_integer(component, "component", minimum=0), len(model.joint_)
    if j >= r:
        raise ValueError(f"component must be below the rank {r}, got {j}")
    return j


def _name(model: Any, j: int) -> str:
    """What a component is: joint, or of single views."""
    return f"joint score {j + 1}" if model.joint_[j] else f"individual score {j + 1 - model.rank_}"


class ComponentPlots:
    """The plots of a fitted `JointLCA`."""

    def plot_loadings(
        self: Any, view: int | str = 0, component: int = 0, top: int = 15, ax: Axes | None = None
    ) -> Axes:
        """Bars of the largest loadings of one component in one view, largest at the top.

        Parameters
        ----------
        view : int or str
        component : int
        top : int
            Number of features shown.
        ax : Axes, optional
        """
        from optlab.plotting import style

        k, j = self._view_number(view, "view"), _component(self, component)
        top = as_integer(top, "top", minimum=1)
        ax = _axes(ax)
        v = self.loadings_[k][:, j]
        order = np.argsort(-np.abs(v))[:top][::-1]
        names = self.feature_names_in_[k] or [f"feature {i}" for i in range(v.size)]
        colours = [style(0)["color"] if v[i] >= 0 else style(1)["color"] for i in order]
        ax.barh([names[i] for i in order], v[order], color=colours)
        ax.axvline(0.0, color="0.3", lw=0.8)
        ax.set_xlabel("loading")
        share = f"{self.explained_variance_ratio_[k, j]:.0%} of its variance"
        if not self.activity_[k, j]:
            share = "takes no part"
        ax.set_title(f"{self.view_names_[k]}, component {j + 1} ({share})")
        return ax

    def plot_scores(
        self: Any, labels: Any = None, components: tuple[int, int] = (0, 1), ax: Axes | None = None
    ) -> Axes:
        """Scatter of two joint scores, a colour and marker per label; with rank 1 the score against the sample number.

        Parameters
        ----------
        labels : array_like, shape (n,), optional
        components : pair of int
        ax : Axes, optional
        """
        from optlab.plotting import PALETTE, style

        if not (isinstance(components, (list, tuple)) and len(components) == 2):
            raise ValueError(f"components must be a pair of positions, got {components!r}")
        i = _component(self, components[0])
        x = self.scores_[:, i]
        if len(self.joint_) > 1:
            j = _component(self, components[1])
            y, name = self.scores_[:, j], _name(self, j)
        else:
            x, y, name, i = np.arange(x.size), x, _name(self, 0), -1
        groups = np.zeros(x.size, dtype=int) if labels is None else np.asarray(labels)
        if groups.shape != (x.size,):
            raise ValueError(f"labels must have shape ({x.size},), got {groups.shape}")
        ax = _axes(ax)
        for g, value in enumerate(dict.fromkeys(sorted(groups.tolist(), key=lambda v: (str(type(v)), v)))):
            member = groups == value
            # the shift keeps more groups than colours apart
            look = {"color": style(g)["color"], "marker": style(g + g // len(PALETTE))["marker"]}
            ax.scatter(x[member], y[member], s=14, alpha=0.8, label=str(value), **look)
        if labels is not None:
            ax.legend(fontsize=7)
        ax.set_xlabel("sample" if i < 0 else _name(self, i))
        ax.set_ylabel(name)
        return ax

    def plot_variance(self: Any, ax: Axes | None = None) -> Axes:
        """Stacked bars per view: every joint component (where the view takes part), the individual part, the residual.

        The legend is below the axes; on axes of your own leave room for it, as ``layout="constrained"`` does.
        """
        from optlab.plotting import style

        table = self.variance_table()
        ax = _axes(ax)
        bottom = np.zeros(self.n_views_)
        for j, share in enumerate(self._joint_shares().T):
            ax.bar(self.view_names_, share, bottom=bottom, color=style(j)["color"], label=f"joint {j + 1}")
            bottom = bottom + share
        ax.bar(self.view_names_, table["individual"], bottom=bottom, color="0.6", label="individual")
        ax.bar(self.view_names_, table["residual"], bottom=bottom + table["individual"], color="0.88", label="residual")
        ax.set_ylabel("share of variance")
        ax.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False)
        return ax
