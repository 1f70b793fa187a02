"""Digits with one grid per output: accuracy over bits, rounding after training and in training."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import seed_band, style
from optlab.quantization import row_groups
from optlab.reproduce import at_scale, table

from . import _common as c

FULL = "full precision"


@optlab.figure(id="quantization-bits", paper=c.PAPER, title="Digits: accuracy over the bits of a weight")
def figure(scale: str, seed: int) -> optlab.Figure:
    sizes = {  # splits and steps
        "softmax regression": at_scale(scale, (2, 150), (5, 1200), (20, 1200)),
        "network 64-32-10": at_scale(scale, (2, 150), (3, 600), (20, 1200)),
    }
    rows = []
    for s in range(seed, seed + max(count for count, _ in sizes.values())):
        (A, y), test = c.digits(s)
        for model, problem in c.models(A, y).items():
            count, n = sizes[model]
            if s >= seed + count:
                continue
            groups = row_groups(problem)
            full = c.train(problem, c.base(n, problem), n, s)
            rows.append((model, FULL, 32.0, s, c.accuracy(problem, full, *test)))
            for bits in c.BITS:
                found = {c.ROUNDED: c.rounded(full, groups, bits)}
                for name, wrap in c.wrappers(n).items():
                    method = wrap(c.base(n, problem), bits=bits, groups=groups)
                    found[name] = c.train(problem, method, n, s)
                rows += [(model, name, bits, s, c.accuracy(problem, w, *test)) for name, w in found.items()]

    def of(model: str, name: str, bits: float) -> np.ndarray:
        return np.array([row[-1] for row in rows if row[:3] == (model, name, bits)])

    models, names = list(sizes), [c.ROUNDED, *c.wrappers(1)]
    mean = {(m, k, b): float(of(m, k, b).mean()) for m in models for k in names for b in c.BITS}
    best = {m: float(of(m, FULL, 32.0).mean()) for m in models}

    def draw(axes):
        for ax, model in zip(axes, models):
            for i, name in enumerate(names):
                curves = np.array([of(model, name, b) for b in c.BITS]).T
                seed_band(ax, np.array(c.BITS), curves, label=name, **(style(i) | {"markevery": 1}))
            ax.axhline(best[model], color="0.45", linestyle="--", linewidth=1.0)
            ax.text(4.0, best[model] + 0.004, FULL, ha="right", va="bottom", fontsize=8)
            ax.set(
                title=f"{model}, {sizes[model][1]} steps",
                xlabel="bits of a weight",
                xticks=c.BITS,
                xlim=(0.9, 4.1),
                ylim=(None, 1.03),
            )
            ax.set_xticklabels([f"{b:g}" for b in c.BITS])
        axes[0].set_ylabel("accuracy, new images")
        axes[0].legend(loc="lower right")

    linear, network = models
    enough = scale != "smoke"
    trained = ("straight-through", "BinaryRelax", "PARQ")
    gain = min(mean[m, k, 1] - mean[m, c.ROUNDED, 1] for m in models for k in trained)
    parq = mean[linear, "PARQ", 1] - mean[linear, "straight-through", 1]
    on_network = mean[network, "PARQ", 1] - mean[network, "straight-through", 1]
    near = max(best[m] - mean[m, "PARQ", b] for m in models for b in (3, 4))
    claims = [
        (
            "At one bit straight-through, BinaryRelax and PARQ beat rounding afterwards (smallest mean gain)",
            gain > 0.02 if enough else None,
            gain,
        ),
        (
            "At one bit PARQ beats straight-through on the linear model, in runs of this length (mean gain)",
            parq > 0 if enough else None,
            parq,
        ),
        ("With three or four bits PARQ is within two points of full precision", near < 0.02 if enough else None, near),
    ]
    columns = ("model", "method", "bits", "seed", "accuracy")
    caption = (
        "Digits, 70 % of the images for training, SGD with momentum whose steps fall twice; "
        f"{sizes[linear][0]} and {sizes[network][0]} splits; "
        "one least-squares grid per output, refitted every ten steps (ProxQuant: once). On the network PARQ's mean "
        f"gain over straight-through at one bit is {on_network:+.3f}. Lines: median; bands: 10th to 90th percentile."
    )
    data = table([dict(zip(columns, row)) for row in rows])
    return optlab.Figure(data, draw, claims, caption, panels=(1, 2), figsize=(9.6, 3.8))
