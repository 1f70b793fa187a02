"""A choice of penalty and rank with its evidence, and what all the rules that make one share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from optlab.multiview.problem.orthonormal import one_thread_if_small
from optlab.multiview.views.preparation import prepare

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["ModelFitWarning", "Selection", "serial"]


class ModelFitWarning(UserWarning):
    """The data do not bear the fit out: the shared-SVD model is far off, or the rank hangs on chance."""


@dataclass(frozen=True)
class Selection:
    """A choice of penalty and rank with its evidence.

    Parameters
    ----------
    method : str
    lam : float or None
        Chosen penalty; None where nothing is chosen (a path).
    rank : int or None
        Chosen rank.
    table : dict of str to ndarray
        The evidence, in columns of equal length.
    null : ndarray or None
        Leading norms of permuted data.
    x : str
        Column for the horizontal axis of `plot`.
    rank_range : pair of int, or None
        Smallest and largest rank that other permutations might have chosen; equal where the choice is decided. None for
        rules that do not say.
    """

    method: str
    lam: float | None
    rank: int | None
    table: Mapping[str, np.ndarray] = field(repr=False)
    null: np.ndarray | None = field(default=None, repr=False)
    x: str = "rank"
    rank_range: tuple[int, int] | None = None

    @property
    def decided(self) -> bool:
        """Whether other permutations would choose the same rank; True for rules that draw none."""
        return self.rank_range is None or self.rank_range[0] == self.rank_range[1]

    def to_frame(self) -> pandas.DataFrame:
        """The table as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(dict(self.table))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the evidence and the choice; returns the axes."""
        import matplotlib.pyplot as plt

        from optlab.plotting import style

        if ax is None:
            _, ax = plt.subplots()
        table, x = self.table, self.table[self.x]
        if "loss" in table:
            ax.errorbar(x, table["loss"], yerr=table["standard_error"], capsize=2, **style(0))
            ax.set_ylabel("held-out loss (less that of rank 0)")
            best = int(np.argmin(table["loss"]))
            ax.plot(x[best], table["loss"][best], "o", ms=10, mfc="none", mec="black")
            # below: there are no smaller losses
            end = (x[best], table["loss"][best] - table["standard_error"][best])
            ax.annotate(f"rank {self.rank}", end, xytext=(0, -6), textcoords="offset points", ha="center", va="top")
            ax.margins(y=0.15)
        elif "null_quantile" in table:
            ax.plot(x, table["norm"], **style(0), label="data")
            ax.plot(x, table["null_quantile"], "--", color="0.4", label="permuted")
            ax.set_ylabel("strength of the component")
            ax.legend(title=f"rank {self.rank}")
        else:
            norms = np.column_stack([table[name] for name in table if name.startswith("norm")])
            for j in range(norms.shape[1]):
                ax.plot(x, norms[:, j], **style(j, markers=False))
            ax.set_ylabel("strength of the components")
        if self.x == "lam":
            ax.set_xscale("log")
            ax.set_xlabel("lam")
        else:
            ax.set_xlabel(self.x)
            ax.set_xticks(x[:: max(1, len(x) // 12)])
        return ax


def serial(function: Callable[..., Selection]) -> Callable[..., Selection]:
    """Prepare the views, then run with BLAS threads suited to their size."""

    @functools.wraps(function)
    def wrapped(views: Any, *args: Any, **kwargs: Any) -> Selection:
        names = ("standardize", "scaling", "constant_columns", "compression", "whiten", "rng")
        data = prepare(views, **{name: kwargs.pop(name) for name in names if name in kwargs})
        with one_thread_if_small(data.width):
            return function(data, *args, **kwargs)

    return wrapped
