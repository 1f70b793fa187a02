"""ParetoQ's five settings on digits: loss and accuracy over bits, from a trained network, beside rounding alone."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import seed_band, style
from optlab.quantization import LSQ, SEQ, ElasticBinary, LearnedScales
from optlab.reproduce import at_scale, table
from optlab.stochastic import Adam, Cosine

from . import _common as c

SETTINGS = {1: ElasticBinary(), 1.58: SEQ(1.58), 2: SEQ(2), 3: LSQ(3), 4: LSQ(4)}
NAMES = ("rounded", "trained with learned scales")


@optlab.figure(id="quantization-learned-scales", paper=c.PAPER, title="ParetoQ's five settings: loss over bits")
def figure(scale: str, seed: int) -> optlab.Figure:
    seeds, n = at_scale(scale, 2, 4, 20), at_scale(scale, 150, 600)
    rows, full = [], []
    for s in range(seed, seed + seeds):
        (A, y), test = c.digits(s)
        problem = c.models(A, y)["network 64-32-10"]
        start = c.train(problem, c.base(n, problem), n, s)
        full.append((problem.objective(start), c.accuracy(problem, start, *test)))
        for bits, quantizer in SETTINGS.items():
            learned = LearnedScales(problem, quantizer)
            begin = learned.begin(start)
            found = c.train(learned, Adam(Cosine(3e-3, n), batch_size=64), n, s, begin)
            for name, x in zip(NAMES, (begin, found)):
                w = learned.quantized(x)
                rows.append((name, bits, s, problem.objective(w), c.accuracy(problem, w, *test)))

    def of(name: str, bits: float, column: int) -> np.ndarray:
        return np.array([row[column] for row in rows if row[:2] == (name, bits)])

    def draw(axes):
        for ax, column, label in zip(axes, (3, 4), ("training loss", "accuracy, new images")):
            for i, name in enumerate(NAMES):
                curves = np.array([of(name, b, column) for b in SETTINGS]).T
                seed_band(ax, np.array(list(SETTINGS)), curves, label=name, **(style(i) | {"markevery": 1}))
            ax.axhline(np.median([row[column - 3] for row in full]), color="0.45", linestyle="--", linewidth=1.0)
            ax.set(xlabel="bits of a weight", ylabel=label, xticks=list(SETTINGS))
            ax.set_xticklabels([f"{b:g}" for b in SETTINGS])
        axes[0].set_yscale("log")
        axes[1].legend(loc="lower right")

    loss = {(name, b): float(of(name, b, 3).mean()) for name in NAMES for b in SETTINGS}
    hits = {(name, b): float(of(name, b, 4).mean()) for name in NAMES for b in SETTINGS}
    gain = min(loss[NAMES[0], b] / loss[NAMES[1], b] for b in (1, 1.58, 2))
    near = float(np.mean([a for _, a in full])) - hits[NAMES[1], 4]
    steps = np.diff([loss[NAMES[1], b] for b in SETTINGS])
    enough = scale != "smoke"
    claims = [
        ("Up to two bits, training divides the loss of the rounded network by two at least (smallest ratio)",
         gain > 2.0 if enough else None, gain),
        ("The loss after training falls with every step up in bits (largest step)",
         bool(np.all(steps < 0)) if enough else None, float(steps.max())),
        ("At four bits the accuracy is within one point of full precision (loss of accuracy)",
         near < 0.01 if enough else None, near),
    ]  # fmt: skip
    columns = ("method", "bits", "seed", "loss", "accuracy")
    caption = (
        f"Network 64-32-10 on digits, trained for {n} steps, then {n} of Adam on latent weights and scales (1 bit: "
        f"elastic binarization; 1.58, 2: SEQ; 3, 4: LSQ); {seeds} splits. Dashed: full precision. Bands: 10th to 90th "
        "percentile."
    )
    data = table([dict(zip(columns, row)) for row in rows])
    return optlab.Figure(data, draw, claims, caption, panels=(1, 2), figsize=(8.6, 3.6))
