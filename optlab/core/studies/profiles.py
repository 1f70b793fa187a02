"""Performance profiles (Dolan and Moré, 2002) and data profiles (Moré and Wild, 2009) of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from optlab.core.records.tables import Table
from optlab.core.validation import as_number, one_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from optlab.core.studies.runs import Study

_COSTS = {"iteration": "iterations", "time": "seconds", "oracle_calls": "oracle calls"}


class Profile:
    r"""Which share of the instances each method solves, and within which cost.

    An instance is a problem with a seed. With :math:`t_{p,s}` the cost at which method s reaches the target on instance
    p (infinite if it does not), the performance profile is the share of instances with
    :math:`t_{p,s} \le \tau \min_s t_{p,s}` (Dolan and Moré, Math. Program. 91, 2002, eq. (2.1)), and the data profile
    the share with :math:`t_{p,s} \le \kappa` (Moré and Wild, SIAM J. Optim. 20, 2009, eq. (2.8), whose unit of cost,
    n + 1 evaluations, is one for methods that use gradients).

    Parameters
    ----------
    costs : array_like, shape (instances, methods)
        Infinite where the target was not reached; NaN counts as that.
    methods : sequence of str
    cost : str
        What the costs are, for labels.
    target : str
        What was to be reached, for labels.

    Examples
    --------
    >>> profile = Profile([[1.0, 2.0], [4.0, 1.0], [3.0, np.inf]], ["a", "b"])
    >>> profile.performance([1.0, 2.0, 4.0])
    {'a': array([0.66666667, 0.66666667, 1.        ]), 'b': array([0.33333333, 0.66666667, 0.66666667])}
    >>> profile.data([1.0, 3.0])["a"]
    array([0.33333333, 0.66666667])
    """

    def __init__(self, costs: Any, methods: Any, cost: str = "cost", target: str = "") -> None:
        table = np.array(costs, dtype=float)
        self.methods = tuple(str(name) for name in methods)
        if table.ndim != 2 or table.shape[1] != len(self.methods) or not table.size:
            raise ValueError(f"costs must have shape (instances, {len(self.methods)}), got {table.shape}")
        self.costs = np.where(np.isnan(table), np.inf, table)
        if (self.costs < 0).any():
            raise ValueError("costs must not be negative")
        self.costs.flags.writeable = False
        self.cost = cost
        self.target = target

    @classmethod
    def of(cls, study: Study, metric: str, *, target: float, cost: str = "iteration", relative: bool = False) -> Self:
        """Return the profile of a study; see `Study.profile`."""
        target = as_number(target, "target")
        instances = list(dict.fromkeys((run.problem, run.seed) for run in study))
        costs = np.full((len(instances), len(study.methods)), np.inf)
        for run in study:
            history = run.result.history
            for name in (metric, cost):
                if name not in history:
                    raise ValueError(f"the runs of {run.method!r} have no column {name!r}")
            level = target * history[metric][0] if relative else target
            reached = np.flatnonzero(history[metric] <= level)
            if reached.size:
                at = instances.index((run.problem, run.seed)), study.methods.index(run.method)
                costs[at] = history[cost][reached[0]]
        words = f"{metric.replace('_', ' ')} ≤ {target:g}{' of the start' if relative else ''}"
        return cls(costs, study.methods, cost, words)

    @property
    def ratios(self) -> np.ndarray:
        """Costs over the lowest of the instance, shape (instances, methods); infinite where not reached."""
        best = self.costs.min(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = self.costs / best
        # nobody reached the target, or someone was there at no cost
        ratios = np.where(self.costs == best, 1.0, ratios)
        return np.where(np.isinf(self.costs), np.inf, ratios)

    def performance(self, ratios: Any) -> dict[str, np.ndarray]:
        """Return per method the share of instances within each of these multiples of the lowest cost."""
        return self._shares(self.ratios, ratios)

    def data(self, costs: Any) -> dict[str, np.ndarray]:
        """Return per method the share of instances solved within each of these costs."""
        return self._shares(self.costs, costs)

    def _shares(self, table: np.ndarray, levels: Any) -> dict[str, np.ndarray]:
        at = np.atleast_1d(np.asarray(levels, dtype=float))
        found = table[:, :, None] <= at * (1 + 1e-12)
        shares = np.mean(found & np.isfinite(table)[:, :, None], axis=0)
        return dict(zip(self.methods, shares))

    def summary(self) -> Table:
        """Return per method how many instances it solved, on how many it was first, and its median ratio."""
        first = (self.ratios == 1.0).mean(axis=0)
        middle = np.quantile(self.ratios, 0.5, axis=0, method="higher")
        return Table(
            {
                "method": self.methods,
                "solved": np.isfinite(self.costs).mean(axis=0).tolist(),
                "first": first.tolist(),
                "median ratio": middle.tolist(),
            }
        )

    def __repr__(self) -> str:
        return f"Profile of {len(self.costs)} instances, {self.cost} to {self.target or 'the target'}\n{self.summary()}"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def plot(self, kind: str = "performance", ax: Axes | None = None, **figure: Any) -> Axes:
        """Draw a profile and return the Axes.

        Parameters
        ----------
        kind : {"performance", "data"}
        ax : matplotlib.axes.Axes, optional
            Where to draw; default: a new figure.
        **figure
            ``width`` of the figure, as in `optlab.compare`.
        """
        from optlab import plotting

        one_of(kind, "kind", ("performance", "data"))
        table = self.ratios if kind == "performance" else self.costs
        finite = table[np.isfinite(table) & (table > 0)]
        low = 1.0 if kind == "performance" or not finite.size else 0.8 * float(finite.min())
        high = max(float(finite.max(initial=low)) * 1.05, 1.2 * low)
        with plotting.user_style(figure.get("width")):
            ax = plotting.new_axes(**figure) if ax is None else ax
            for i, name in enumerate(self.methods):
                column = np.sort(table[:, i][np.isfinite(table[:, i])])
                heights = np.arange(len(column) + 1) / len(table)
                # constant from each instance solved to the next, and to the right edge
                x = np.concatenate([[low], column, [high]])
                y = np.concatenate([heights, heights[-1:]])
                look = plotting.cycle_style(i) | {"markevery": (0.03 * (i % 5), 0.18)}
                ax.plot(np.maximum(x, low), y, drawstyle="steps-post", label=name, **look)
            ax.set_xlim(low, high)
            ax.set_ylim(0, 1.04)
            if high > 10 * low:
                plotting.log_axes(ax, "x")
            words = _COSTS.get(self.cost, self.cost.replace("_", " "))
            ax.set_xlabel(f"{words} over the fewest" if kind == "performance" else words)
            ax.set_ylabel("share of instances solved")
            plotting.name_lines(ax)
        return ax


__all__ = ["Profile"]
