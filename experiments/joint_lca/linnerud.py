"""Linnerud's twenty men: three exercises against three physiological variables, at the edge of evidence.

Columns of unit variance. For two views the joint fit is the singular value decomposition of the correlations between
them. One component is drawn whatever the test says.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets.multiview import load_linnerud
from optlab.multiview import permutation_test
from optlab.plotting import style
from optlab.reproduce import at_scale

from ._common import PAPER, draw_loadings, draw_variance, joint


@optlab.figure(id="joint-lca-linnerud", paper=PAPER, title="Linnerud: exercise and physiology of twenty men")
def figure(scale: str, seed: int) -> optlab.Figure:
    permutations = at_scale(scale, 100, 1000)
    views = load_linnerud().frames()
    test = permutation_test(views, standardize=True, n_permutations=permutations, random_state=seed)
    model = joint(rank=1, standardize=True).fit(views)
    folds = joint("cv", standardize=True, random_state=seed).fit(views)
    waist = views["physiology"]["Waist"].to_numpy()
    group = np.searchsorted(np.quantile(waist, [1 / 3, 2 / 3]), waist)
    names = np.array([f"{waist[group == g].min():.0f} to {waist[group == g].max():.0f} inches" for g in range(3)])[
        group
    ]
    exercise, physiology = (T[:, 0] for T in model.view_scores_)
    p_value = float(test.table["p_value"][0])
    correlation = float(np.corrcoef(exercise, physiology)[0, 1])

    def draw(axes):
        (evidence, variance, scatter), (one, two, scores) = axes
        test.plot(evidence)
        evidence.set_title(f"Evidence for the rank (p = {p_value:.2g})")
        draw_variance(variance, model)
        for g, name in enumerate(np.unique(names)):
            look = {key: style(g)[key] for key in ("color", "marker")}
            scatter.scatter(exercise[names == name], physiology[names == name], s=26, label=name, **look)
        for i, (x, y) in enumerate(zip(exercise, physiology)):
            # to the left where another man stands close on the right
            close = np.any((abs(physiology - y) < 0.2) & (exercise > x) & (exercise < x + 0.2))
            where = {"xytext": (-4 if close else 4, 3), "ha": "right" if close else "left"}
            scatter.annotate(str(i + 1), (x, y), textcoords="offset points", fontsize=6.5, **where)
        scatter.set(title=f"Scores of the views (r = {correlation:.2f})", xlabel="exercise", ylabel="physiology")
        scatter.legend(title="waist", loc="lower right")
        for ax, view in ((one, "exercise"), (two, "physiology")):
            draw_loadings(ax, model, view, 0)
        model.plot_scores(names, ax=scores)
        scores.legend(title="waist", loc="lower left")
        scores.set(title="Joint score of every man", xlabel="man")
        scores.set_xticks(range(0, 20, 5), [str(i + 1) for i in range(0, 20, 5)])

    loadings = [dict(zip(names, V[:, 0])) for names, V in zip(model.feature_names_in_, model.loadings_)]
    leading = [max(v, key=lambda name: abs(v[name])) for v in loadings]
    signs = loadings[0]["Situps"] * loadings[1]["Waist"]
    exact = np.linalg.svd(np.corrcoef(*(X.to_numpy().T for X in views.values()))[:3, 3:])[1]
    ratio = float(model.singular_values_[0] * 3.0 / exact[0] - 1.0)
    claims = [
        (
            "For two views the strength is the leading singular value of the correlations, over the product of the "
            "views' norms (relative difference).",
            abs(ratio) < 1e-10,
            ratio,
        ),
        (
            "The link is at the edge of evidence with n = 20 (p-value of the permutation test between 0.01 and 0.2).",
            0.01 <= p_value <= 0.2,
            p_value,
        ),
        (
            "No rule finds a second component (ranks: permutation, cross-validation).",
            max(test.rank, folds.rank_) <= 1,
            [
                test.rank,
                folds.rank_,
            ],
        ),
        (
            "Sit-ups and waist lead the component.",
            leading == ["Situps", "Waist"],
            ", ".join(leading),
        ),
        ("They have opposite signs: who has more waist does fewer sit-ups (product of loadings).", signs < 0, signs),
    ]
    caption = (
        f"Strengths against the 95 % quantile of {permutations} data sets with permuted samples. Men are numbered in "
        "the order of the data and coloured by thirds of the waist, which is one of the variables. Dark loadings are "
        "positive, red ones negative."
    )
    tables = {
        "scores": {"exercise": exercise, "physiology": physiology, "joint": model.scores_[:, 0], "waist": waist},
        "loadings": {
            "feature": np.concatenate(model.feature_names_in_),
            "component_1": np.concatenate([V[:, 0] for V in model.loadings_]),
        },
        "shares": model.variance_table(),
        "selection": dict(test.table),
    }
    return optlab.Figure(tables, draw, claims, caption, panels=(2, 3), figsize=(11.2, 6.4))
