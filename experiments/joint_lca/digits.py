"""Handwritten digits in four views, one per quadrant of the image: what a quarter of a digit tells about the others.

scikit-learn's 1,797 images of 8 x 8 pixels. The views are made by cutting, so that the shared-SVD model is not given to
hold, and the diagnostic says how far it does. The digit written is not a view: it colours the samples, and a nearest-
neighbour classifier on the scores of new images measures how much of it the joint scores keep.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets.multiview import load_digits
from optlab.multiview import take_samples
from optlab.multiview.baselines import MCCA, ConcatenatedPCA
from optlab.plotting import PALETTE
from optlab.reproduce import at_scale, table

from ._common import PAPER, draw_variance, joint, look, with_true_rank

SHRINKAGE = 0.1  # of MCCA: rare pixels make the covariances nearly singular


def accuracy(fit, train: dict, test: dict, labels: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the share of test images whose digit five nearest neighbours in standardised joint scores tell."""
    from sklearn.neighbors import KNeighborsClassifier

    before = fit.transform(train)
    size = before.std(axis=0)
    return float(KNeighborsClassifier(5).fit(before / size, labels[0]).score(fit.transform(test) / size, labels[1]))


def predicted(fit, test: dict) -> dict[str, float]:
    """Return R^2 of every quadrant of new images, predicted from the three others."""
    return {
        name: 1.0 - float(np.sum((X - fit.predict_view(test, name)) ** 2) / np.sum((X - X.mean(axis=0)) ** 2))
        for name, X in test.items()
    }


def image(model, component: int) -> np.ndarray:
    """Return the loadings of a component in all views as one 8 x 8 image."""
    picture = np.zeros((8, 8))
    for V, names in zip(model.loadings_, model.feature_names_in_):
        for value, name in zip(V[:, component], names):
            i, j = name.removeprefix("pixel ").split(",")
            picture[int(i), int(j)] = value
    return picture


@optlab.figure(id="joint-lca-digits", paper=PAPER, title="Digits: what the four quadrants of an image share")
def figure(scale: str, seed: int) -> optlab.Figure:
    ranks, permutations, n = at_scale(scale, ((2, 5), 20, 700), ((1, 2, 3, 5, 8, 10, 12), 50, 1797))
    data = load_digits()
    views, labels = take_samples(data.frames(), np.arange(n)), data.labels[:n]
    model = joint("permutation", n_permutations=permutations, random_state=seed, constant_columns="keep").fit(views)
    selected = model.selection_
    parts = np.array_split(np.random.default_rng(seed).permutation(n), 2)
    (train, test), both = (take_samples(data.views, part) for part in parts), tuple(labels[part] for part in parts)
    rows, share = [], {}
    for r in ranks:
        fit = joint(rank=r, constant_columns="keep").fit(train)
        methods = {"joint": fit, "concatenated PCA": ConcatenatedPCA(r).fit(train)}
        if "MCCA" in with_true_rank(r):
            methods["MCCA"] = MCCA(r, shrinkage=SHRINKAGE).fit(train)
        rows += [{"rank": r, "method": m, "accuracy": accuracy(f, train, test, both)} for m, f in methods.items()]
        share[r] = predicted(fit, test)
    of = {m: [row["accuracy"] for row in rows if row["method"] == m] for m in dict.fromkeys(x["method"] for x in rows)}

    def draw(axes):
        scores, variance, evidence, neighbours = axes[0]
        for digit in range(10):
            x, y = model.scores_[labels == digit, :2].T
            colour = PALETTE[digit % len(PALETTE)]
            scores.scatter(x, y, s=4, alpha=0.35, color=colour, linewidth=0)
            centre = scores.text(np.median(x), np.median(y), str(digit), ha="center", va="center", fontsize=12)
            centre.set(fontweight="bold", bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": colour, "lw": 1.4})
        scores.set(title="Samples; digit at the median", xlabel="joint score 1", ylabel="joint score 2")
        draw_variance(variance, model)
        variance.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=4, fontsize=7.5)
        selected.plot(evidence)
        evidence.set_title(f"Evidence; the penalised fit keeps {model.rank_}")
        for name, values in of.items():
            neighbours.plot(ranks, values, label="joint LCA" if name == "joint" else name, **look(name))
        neighbours.set(title="Five nearest neighbours", xlabel="components", ylabel="accuracy, new images", ylim=(0, 1))
        neighbours.legend(loc="lower right")
        for j, ax in enumerate(axes[1]):
            picture = image(model, j)
            top = np.abs(picture).max()
            ax.imshow(picture, vmin=-top, vmax=top)
            ax.axhline(3.5, color="white", linewidth=1.2)
            ax.axvline(3.5, color="white", linewidth=1.2)
            ax.set(xticks=[], yticks=[], title=f"Loadings of component {j + 1}")
            ax.grid(False)

    enough = scale != "smoke"
    energy, expected = model.off_diagonal_energy_, model.expected_off_diagonal_energy_
    at = ranks.index(10) if 10 in ranks else -1
    five = ranks.index(5)
    worst = min(share[ranks[at]].values())
    loss = of["concatenated PCA"][at] - of["joint"][at]
    gain = of["joint"][five] - of["MCCA"][five] if "MCCA" in of else float("nan")
    claims = [
        (
            "The quadrants do not follow the shared-SVD model: over 3 % of the energy of the cross-covariances is off "
            "the diagonals, and over three times what sampling explains (share, explained).",
            energy > max(0.03, 3 * expected),
            [energy, expected],
        ),
        (
            "Every quadrant takes part in the first component (smallest share of its variance).",
            bool(model.activity_[:, 0].all()),
            float(model.explained_variance_ratio_[:, 0].min()),
        ),
        (
            "Ten joint scores tell the digit of new images less well than ten principal components: what one quadrant "
            "alone shows is not joint (loss of accuracy).",
            loss > 0 if enough else None,
            loss,
        ),
        (
            "Five components of maximal correlation, MCCA, tell it about as well as five joint ones (gain of the "
            "latter, within 0.03).",
            abs(gain) <= 0.03 if enough and "MCCA" in of else None,
            gain,
            "" if "MCCA" in of else "needs cca-zoo: pip install 'optlab[peers]'",
        ),
        (
            "Each quadrant of new images is predicted from the three others better than by its mean (least R², ten "
            "components).",
            worst > 0 if enough else None,
            worst,
        ),
    ]
    caption = (
        f"{n} images, pixels as they are, views of unit variance. Light loadings are positive, dark negative. As the "
        "model does not hold, single components are a choice of axes; their span is what the quadrants share. "
        f"Strengths (without penalty) against the 95 % quantile of {permutations} data sets with permuted samples. "
        "Neighbours: standardised scores, one half of the images fitted, the other told; MCCA with shrinkage "
        f"{SHRINKAGE:g}."
    )
    tables = {
        "scores": {"digit": labels, "score_1": model.scores_[:, 0], "score_2": model.scores_[:, 1]},
        "shares": model.variance_table(),
        "selection": dict(selected.table),
        "accuracy": table(rows),
        "predicted": table([{"rank": r, "view": v, "r_squared": x} for r, by in share.items() for v, x in by.items()]),
    }
    return optlab.Figure(tables, draw, claims, caption, panels=(2, 4), figsize=(14.2, 6.4))
