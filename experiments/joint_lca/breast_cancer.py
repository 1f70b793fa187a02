"""Wisconsin breast cancer in three views of ten features: the mean nucleus of an image, its spread, the worst nuclei.

569 images; the diagnosis is not a view and only colours the samples. Columns have unit variance, views too; the rank is
that of the permutation test.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets.multiview import load_breast_cancer
from optlab.multiview import align, take_samples
from optlab.reproduce import at_scale

from ._common import PAPER, draw_loadings, draw_variance, joint

SHAPE = ("concavity", "concave points")


def held_out(views: dict, labels: np.ndarray, rank: int, seed: int) -> tuple[float, np.ndarray]:
    """Return the AUC of the first score on the half of the samples not fitted, and |cos| of both halves' loadings."""
    from sklearn.metrics import roc_auc_score

    parts = np.array_split(np.random.default_rng(seed).permutation(len(labels)), 2)
    fits = [joint(rank=rank, standardize=True).fit(take_samples(views, part)) for part in parts]
    score = fits[0].transform(take_samples(views, parts[1]))[:, 0]
    auc = roc_auc_score(labels[parts[1]], score)
    return max(auc, 1.0 - auc), align(*fits).cosines.mean(axis=0)


@optlab.figure(
    id="joint-lca-breast-cancer", paper=PAPER, title="Breast cancer: what mean, spread and worst nuclei share"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    from sklearn.metrics import roc_auc_score

    permutations, most = at_scale(scale, (20, 5), (100, None), (1000, None))
    data = load_breast_cancer()
    views = data.frames()
    model = joint("permutation", standardize=True, n_permutations=permutations, random_state=seed).fit(views)
    chosen = joint("cv", most, standardize=True, random_state=seed).fit(views).rank_
    rank, selected = model.rank_, model.selection_
    auc = roc_auc_score(data.labels, model.scores_[:, 0])
    auc = max(auc, 1.0 - auc)
    new_auc, cosines = held_out(views, data.labels, rank, seed)
    names = np.array(data.label_names)[data.labels]
    shares = model.variance_table()

    def draw(axes):
        (scores, variance, evidence), first, second = axes
        model.plot_scores(names, ax=scores)
        scores.set_title("Samples")
        draw_variance(variance, model)
        selected.plot(evidence)
        evidence.set_title("Evidence for the rank")
        for j, row in enumerate((first, second)):
            for ax, name in zip(row, model.view_names_):
                draw_loadings(ax, model, name, j)

    def loading(view: str, component: int, word: str) -> float:
        k = model.view_names_.index(view)
        return float(model.loadings_[k][[word in name for name in model.feature_names_in_[k]], component][0])

    def largest(view: str) -> str:
        k = model.view_names_.index(view)
        return model.feature_names_in_[k][int(np.argmax(np.abs(model.loadings_[k][:, 0])))]

    contrast = [loading(view, 1, word) for view in ("mean", "worst") for word in ("fractal dimension", "radius")]
    claims = [
        ("The views share three components (rank by permutation).", rank == 3, rank),
        (
            "Cross-validation keeps more: with 569 samples weaker components pay as well (its rank).",
            chosen > rank,
            chosen,
        ),
        ("The first score tells malignant from benign, unsupervised (AUC at least 0.95).", auc >= 0.95, auc),
        ("So it does for samples that were not fitted (AUC at least 0.95).", new_auc >= 0.95, new_auc),
        (
            "The first component is one of shape: concavity or concave points lead it in the views mean and worst.",
            all(any(word in largest(view) for word in SHAPE) for view in ("mean", "worst")),
            ", ".join(largest(view) for view in ("mean", "worst")),
        ),
        (
            "The second sets fractal dimension against size: opposite loadings of it and of the radius (mean, worst).",
            contrast[0] * contrast[1] < 0 and contrast[2] * contrast[3] < 0,
            contrast,
        ),
        (
            "The first two components are the same in either half of the samples (|cos|, at least 0.9).",
            bool(cosines[:2].min() >= 0.9),
            list(cosines),
        ),
        (
            "The view that has least in common with the others is the spread (joint shares: mean, error, worst).",
            int(np.argmin(shares["joint"])) == 1,
            list(shares["joint"]),
        ),
    ]
    caption = (
        "Top: joint scores by diagnosis, shares of each view's variance, strengths against the 95 % quantile of "
        f"{permutations} data sets with permuted samples. Below: loadings of the first and second component, with its "
        "share of the view's variance; dark is positive, red negative. Features of unit variance."
    )
    tables = {
        "scores": {"diagnosis": names, **{f"score_{j + 1}": model.scores_[:, j] for j in range(rank)}},
        "loadings": {
            "view": np.repeat(model.view_names_, model.n_features_in_),
            "feature": np.concatenate(model.feature_names_in_),
            **{f"component_{j + 1}": np.concatenate([V[:, j] for V in model.loadings_]) for j in range(rank)},
        },
        "shares": shares,
        "selection": dict(selected.table),
    }
    return optlab.Figure(tables, draw, claims, caption, panels=(3, 3), figsize=(11.5, 9.2))
