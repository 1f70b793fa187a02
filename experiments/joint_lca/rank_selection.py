"""Rank selection and loading error over noise, number of views and individual structure, against the baselines.

Around design A of `optlab.datasets.multiview` (three views, three joint components, the third near detection) one
setting changes at a time. Top: share of repetitions in which a rule finds the joint rank. Bottom: loading error of
methods that are told the rank. SLIDE is left out: its bi-cross-validation takes fifty times as long.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets.multiview import loading_error, make_linked_views
from optlab.multiview.baselines import AJIVE
from optlab.reproduce import at_scale, table

from ._common import INDIVIDUAL_RANK, PAPER, joint, look, mean_of, repeat, with_true_rank

DESIGN, RANK = "A", 3
SWEEPS = {
    "noise": ("noise σ", (0.5, 1.0, 2.0), 1.0),
    "views": ("number of views", (2, 3, 4), 3),
    "individual": ("individual structure, b = c (3, 2)", (0.0, 1.0, 3.0), 1.0),
}
MOST = 4  # components
RULES = {
    "joint": lambda n, folds: joint("cv", MOST, n_folds=folds),
    "permutation": lambda n, folds: joint("permutation", MOST, n_permutations=n),
    "whitened": lambda n, folds: joint("permutation", MOST, n_permutations=n, variant="whitened", n_whiten=10),
    "AJIVE": lambda n, folds: AJIVE(RANK + INDIVIDUAL_RANK, n_samples=4 * n),
}
NAMES = {
    "joint": "joint LCA, cross-validation",
    "permutation": "joint LCA, permutation",
    "whitened": "whitened, permutation",
    "AJIVE": "AJIVE, its own rule",
}


def one(sweep: str, value: float, seed: int, size: dict, effort: tuple[int, int]) -> list[dict]:
    """Return the rows of one data set: rank found by every rule, loading error of every method."""
    noise, views, scale = (value if sweep == name else base for name, (_, _, base) in SWEEPS.items())
    individual = (3.0 * scale, 2.0 * scale)
    data = make_linked_views(DESIGN, noise=noise, n_views=int(views), individual=individual, seed=seed, **size)
    common = {"sweep": sweep, "value": value, "seed": seed}
    rows = [
        common | {"method": name, "told": False, "rank": make(*effort).fit(data.views).rank_, "error": np.nan}
        for name, make in RULES.items()
    ]
    for name, method in with_true_rank(RANK).items():
        fit = method.fit(data.views)
        rows.append(
            common
            | {"method": name, "told": True, "rank": fit.rank_, "error": loading_error(fit.loadings_, data.loadings)}
        )
    return rows


@optlab.figure(
    id="joint-lca-rank", paper=PAPER, title="Joint rank found, and loading error, over noise, views, individual parts"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    reps, effort = at_scale(scale, (2, (20, 2)), (30, (20, 5)), (100, (50, 5)))
    size = at_scale(scale, {"n": 60, "p": (12, 14, 16)}, {})
    grids = {name: values for name, (_, values, _) in SWEEPS.items()}
    if scale == "smoke":
        grids = {"noise": (1.0,), "views": (2, 3), "individual": (1.0,)}
    # the design itself lies on all three axes: it is run once, on the first
    tasks = [
        (sweep, value, seed + i, size, effort)
        for sweep, values in grids.items()
        for value in values
        for i in range(reps)
        if sweep == "noise" or value != SWEEPS[sweep][2]
    ]
    rows = repeat(one, tasks, scale != "smoke")
    middle = [row for row in rows if row["sweep"] == "noise" and row["value"] == SWEEPS["noise"][2]]
    rows += [row | {"sweep": sweep, "value": SWEEPS[sweep][2]} for sweep in ("views", "individual") for row in middle]
    for row in rows:
        row["found"] = row["rank"] == RANK
    told = list(with_true_rank(RANK))

    def at(method: str, sweep: str, value: float, key: str = "found", told: bool = False) -> float:
        return mean_of(rows, key, method=method, sweep=sweep, value=value, told=told)

    def draw(axes):
        for (top, bottom), (sweep, (label, _, _)) in zip(axes.T, SWEEPS.items()):
            grid = sorted(set(grids[sweep]) | {SWEEPS[sweep][2]})
            for name in RULES:
                top.plot(grid, [at(name, sweep, v) for v in grid], label=NAMES[name], **look(name))
            for name in told:
                label_ = "joint LCA" if name == "joint" else name
                bottom.plot(grid, [at(name, sweep, v, "error", True) for v in grid], label=label_, **look(name))
            top.set(ylim=(-0.04, 1.04), title=label[0].upper() + label[1:])
            bottom.set(xlabel=label, ylim=(0.0, 1.04))
            for ax in (top, bottom):
                ax.set_xticks(grid)
        axes[0, 0].set_ylabel("share with the true rank")
        axes[1, 0].set_ylabel("loading error, true rank given")
        for ax in axes[:, -1]:
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    enough = scale != "smoke"
    last = {sweep: values[-1] for sweep, values in grids.items()}
    few = grids["views"][0]
    base = "noise", SWEEPS["noise"][2]
    over = float(np.mean([row["rank"] > RANK for row in rows if row["method"] == "permutation"]))
    strong = "individual", last["individual"]
    error = {name: at(name, *base, "error", True) for name in told}
    noisy = {name: at(name, "noise", last["noise"], "error", True) for name in told}
    swamped = {name: at(name, *strong, "error", True) for name in told}
    tie = error["joint"] / error["sequential"]
    lost = noisy["joint"] - noisy["JIVE"]
    two = [
        [r["error"] for r in rows if r["told"] and r["sweep"] == "views" and r["value"] == 2 and r["method"] == name]
        for name in ("joint", "sequential")
    ]
    same = float(np.max(np.abs(np.subtract(*two))))
    claims = [
        (
            "For two views joint and sequential extraction are the same: singular vectors (largest difference of the "
            "loading errors).",
            same < 1e-6,
            same,
        ),
        (
            "In the design itself cross-validation with refit finds the rank in 4 of 5 data sets (share).",
            at("joint", *base) >= 0.8 if enough else None,
            at("joint", *base),
        ),
        (
            "It finds it less often in the most noise than in the least (shares).",
            at("joint", "noise", grids["noise"][0]) > at("joint", "noise", last["noise"]) if enough else None,
            [at("joint", "noise", v) for v in (grids["noise"][0], last["noise"])],
        ),
        (
            "The errors of the permutation rule are missed components, hardly false ones (share with too many ≤ 5 %).",
            over <= 0.05 if enough else None,
            over,
        ),
        (
            "More views help: rank found more often, lower loading error (2 views, then 4).",
            bool(
                at("joint", "views", last["views"]) > at("joint", "views", few)
                and at("joint", "views", last["views"], "error", True) < at("joint", "views", few, "error", True)
            )
            if enough
            else None,
            [at("joint", "views", v, *more) for more in ((), ("error", True)) for v in (few, last["views"])],
        ),
        (
            "Strong individual structure hides the joint rank from the covariances (share at c = 3 at most half of "
            "that at c = 1).",
            at("joint", *strong) <= 0.5 * at("joint", *base) if enough else None,
            at("joint", *strong),
        ),
        (
            "Whitened views show it (share at c = 3, at least 0.8).",
            at("whitened", *strong) >= 0.8 if enough else None,
            at("whitened", *strong),
        ),
        (
            "With one common order of the components joint and sequential extraction tie (errors within 5 %).",
            abs(tie - 1.0) <= 0.05 if enough else None,
            tie,
        ),
        (
            "In the most noise JIVE, told the individual ranks, has the lower loading error (joint less JIVE).",
            lost > 0 if enough else None,
            lost,
        ),
        (
            "In the strongest individual structure concatenated PCA has the largest error (its error, joint's).",
            max(swamped, key=swamped.__getitem__) == "concatenated PCA" if enough else None,
            [swamped["concatenated PCA"], swamped["joint"]],
        ),
    ]
    missing = "" if "MCCA" in told else " MCCA is left out: cca-zoo is not installed."
    sizes = "n = 60; 12, 14 and 16" if scale == "smoke" else "n = 200; 40, 60 and 80"
    caption = (
        f"Design A ({sizes} features; strengths 2.5, 2, 1.5; noise 1; individual strengths 3 and 2), one setting "
        f"varied at a time, {reps} data sets each; at most {MOST} components, {effort[0]} permutations, {effort[1]} "
        "folds. Top: rules that choose the rank. Bottom: mean loading error (sine of the angle, components matched "
        "once for all views) of methods told the joint rank. AJIVE (in both rows) and JIVE are told of two "
        f"individual components.{missing}"
    )
    return optlab.Figure(table(rows), draw, claims, caption, panels=(2, 3), figsize=(12.2, 6.0))
