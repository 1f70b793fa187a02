"""Softmax regression on digits with one grid per class: accuracy over bits, rounding after training and in training."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import seed_band, style
from optlab.quantization import PARQ, Annealing, BinaryRelax, StraightThrough, least_squares_grid, nearest
from optlab.reproduce import at_scale, table
from optlab.stochastic import SGD, SoftmaxRegression, StepDecay

BITS = (1, 1.58, 2, 3, 4)
NAMES = ("rounded after training", "straight-through", "BinaryRelax", "PARQ")


def data(seed: int):
    from sklearn.datasets import load_digits

    A, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(y))
    cut = int(0.7 * len(y))
    return [(A[part] / 16.0, y[part]) for part in (order[:cut], order[cut:])]


def train(problem, wrap, n: int, seed: int):
    base = SGD(StepDecay(1.0, factor=0.1, milestones=(int(0.6 * n), int(0.85 * n))), momentum=0.9, batch_size=64)
    result = optlab.solve(problem, wrap(base), max_iter=n, record=n, seed=seed, progress=False)
    return np.asarray(result.solution).reshape(problem.shape)


def by_class(w: np.ndarray, bits: float) -> np.ndarray:
    """Return each column of the weights rounded to its own least-squares grid."""
    return np.stack([nearest(column, least_squares_grid(column, bits)) for column in w.T], axis=1)


@optlab.figure(id="quantization-bits", paper="quantization", title="Digits: accuracy over the bits of a weight")
def figure(scale: str, seed: int) -> optlab.Figure:
    seeds, n = at_scale(scale, 2, 5, 20), at_scale(scale, 150, 1200)
    rows = []
    for s in range(seed, seed + seeds):
        (A, y), (B, z) = data(s)
        problem = SoftmaxRegression(A, y)
        groups = np.tile(np.arange(problem.shape[1]), problem.shape[0])

        def accuracy(w: np.ndarray, B=B, z=z) -> float:
            return float(np.mean(np.argmax(B @ w, axis=1) == z))

        full = train(problem, lambda base: base, n, s)
        rows.append({"method": "full precision", "bits": 32.0, "seed": s, "accuracy": accuracy(full)})
        for bits in BITS:
            options = {"bits": bits, "groups": groups}
            weights = {
                NAMES[0]: by_class(full, bits),
                NAMES[1]: train(problem, lambda base, o=options: StraightThrough(base, **o), n, s),
                NAMES[2]: train(problem, lambda base, o=options: BinaryRelax(base, end=int(0.9 * n), **o), n, s),
                NAMES[3]: train(
                    problem, lambda base, o=options: PARQ(base, annealing=Annealing(int(0.9 * n)), **o), n, s
                ),
            }
            rows += [{"method": m, "bits": bits, "seed": s, "accuracy": accuracy(w)} for m, w in weights.items()]

    def of(method: str, bits: float) -> np.ndarray:
        return np.array([r["accuracy"] for r in rows if r["method"] == method and r["bits"] == bits])

    mean = {(m, b): float(of(m, b).mean()) for m in NAMES for b in BITS}
    full = float(of("full precision", 32.0).mean())

    def draw(ax):
        for i, name in enumerate(NAMES):
            curves = np.array([of(name, b) for b in BITS]).T
            seed_band(ax, np.array(BITS), curves, label=name, **(style(i) | {"markevery": 1}))
        ax.axhline(full, color="0.45", linestyle="--", linewidth=1.0)
        ax.text(4.0, full + 0.004, "full precision", ha="right", va="bottom", fontsize=8)
        ax.set(xlabel="bits of a weight", ylabel="accuracy, new images", xticks=BITS, xlim=(0.9, 4.1))
        ax.set_xticklabels([f"{b:g}" for b in BITS])
        ax.legend(loc="lower right")

    enough = scale != "smoke"
    gain = min(mean[m, 1] - mean[NAMES[0], 1] for m in NAMES[1:])
    parq = mean[NAMES[3], 1] - mean[NAMES[1], 1]
    near = full - max(mean[NAMES[3], b] for b in (3, 4))
    claims = [
        ("At one bit every training with the grid beats rounding afterwards (smallest gain)", gain > 0.02, gain),
        ("At one bit PARQ beats straight-through estimation (mean gain)", parq > 0 if enough else None, parq),
        (
            "With three or four bits PARQ is within two points of full precision (loss)",
            near < 0.02 if enough else None,
            near,
        ),
    ]
    caption = (
        f"Softmax regression, 64 pixels, 10 classes, 70 % of the images for training, {n} steps of SGD with momentum, "
        f"{seeds} splits; one least-squares grid per class, refitted every ten steps. Lines: median; bands: 10th to "
        "90th percentile."
    )
    return optlab.Figure(table(rows), draw, claims, caption, figsize=(5.6, 3.8))
