"""What the figures of this folder share: repetitions in parallel, the methods compared, and how their curves look.

All simulated views come from `optlab.datasets.multiview.make_linked_views`. Its designs, and with them every number in
these figures, are ours: the settings of Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761) were
not available, and the estimator is a reconstruction.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from optlab.multiview import JointLCA, ModelFitWarning
from optlab.multiview.baselines import AJIVE, JIVE, MCCA, ConcatenatedPCA, SequentialExtraction
from optlab.reproduce import Looks

PAPER = "joint-lca"
INDIVIDUAL_RANK = 2  # of every design used here but N

# one look per method, the same in all figures
look = Looks(
    {
        "joint": 0,
        "sequential": 1,
        "MCCA": 2,
        "AJIVE": 3,
        "JIVE": 5,
        "concatenated PCA": 6,
        "whitened": 4,
        "hybrid": 7,
        "permutation": 7,
    }
)


class _Quiet(JointLCA):
    """`JointLCA` without its warnings, which thousands of fits would repeat."""

    def fit(self, views: Any, y: Any = None) -> JointLCA:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ModelFitWarning)
            return super().fit(views, y)


def joint(lam: float | str = 0.0, rank: int | None = None, **settings: Any) -> JointLCA:
    """Return `JointLCA` on the covariances, as in the paper, with the true rank or a rule for it."""
    return _Quiet(lam=lam, max_rank=rank, **{"variant": "covariance", **settings})


def with_true_rank(rank: int) -> dict[str, Any]:
    """Return the methods compared, each told the joint rank; JIVE and AJIVE are told the individual ranks too."""
    methods = {
        "joint": joint(rank=rank),
        "sequential": SequentialExtraction(rank),
        "AJIVE": AJIVE(rank + INDIVIDUAL_RANK, rank=rank),
        "JIVE": JIVE(rank, INDIVIDUAL_RANK, tol=1e-6),
        "concatenated PCA": ConcatenatedPCA(rank),
    }
    if importlib.util.find_spec("cca_zoo") is not None:  # an optional package
        methods["MCCA"] = MCCA(rank)
    return methods


def repeat(function: Callable[..., list[dict]], tasks: Iterable[tuple[Any, ...]], parallel: bool = True) -> list[dict]:
    """Return the rows of ``function(*task)`` for all tasks, from worker processes with one BLAS thread each.

    Within a worker of ``optlab reproduce`` the tasks run one after the other: its figures share the cores already.
    """
    import joblib
    from threadpoolctl import threadpool_limits

    try:
        import cloudpickle  # what joblib sends functions with
    except ImportError:
        from joblib.externals import cloudpickle  # its own copy, before joblib 1.6

    tasks = list(tasks)
    jobs = min(joblib.cpu_count(), len(tasks))
    if not parallel or jobs < 2 or joblib.parallel.get_active_backend()[0].nesting_level:
        with threadpool_limits(1, user_api="blas"):
            return list(chain.from_iterable(function(*task) for task in tasks))
    # files loaded by path have no name that a fresh process could import: send their functions themselves
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(__package__ + ".")]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            found = joblib.Parallel(n_jobs=jobs)(joblib.delayed(function)(*task) for task in tasks)
            return list(chain.from_iterable(found))
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def draw_loadings(ax: Any, model: JointLCA, view: str, component: int) -> None:
    """Draw the loadings of a component in a view, with its share of the variance, on a common scale."""
    model.plot_loadings(view, component, ax=ax)
    share = model.explained_variance_ratio_[model.view_names_.index(view), component]
    ax.set(title=f"{view}: component {component + 1} ({share:.0%})", xlim=(-0.85, 0.85), xticks=(-0.5, 0.0, 0.5))
    ax.set_yticks(ax.get_yticks(), [name.get_text().replace(view, "").strip() for name in ax.get_yticklabels()])


def draw_variance(ax: Any, model: JointLCA) -> None:
    """Draw the shares of every view's variance, legend below."""
    model.plot_variance(ax)
    ax.set(title="Variance of every view", ylim=(0, 1))
    ax.set_xticks(range(model.n_views_), [name.replace(" ", "\n") for name in model.view_names_])
    ax.xaxis.grid(False)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, fontsize=7.5)


def mean_of(rows: Sequence[dict[str, Any]], key: str, **which: Any) -> float:
    """Return the mean of a column over the rows with these values; NaN without any."""
    values = [row[key] for row in rows if all(row[name] == value for name, value in which.items())]
    return float(np.mean(values)) if values else float("nan")
