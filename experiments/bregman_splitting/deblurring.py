"""Deblurring of a photograph from photon counts, in the geometry of Burg's entropy, with a certified gap.

The likelihood of counts has no Lipschitz gradient; relative to Burg's entropy it is smooth. The prior is a gamma prior
on every pixel. Bregman Douglas-Rachford splits the two.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets import blurred_photograph
from optlab.plotting import PALETTE, log_axes
from optlab.reproduce import at_scale
from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford
from optlab.splitting.problems import PoissonDeblurring

from ._common import PAPER

WIDTH, PHOTONS, WEIGHT = 2.0, 10_000.0, 10.0


def error(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the root mean square error relative to the root mean square of the truth."""
    return float(np.linalg.norm(image - truth) / np.linalg.norm(truth))


@optlab.figure(id="bdrs-deblurring", paper=PAPER, title="Poisson deblurring of a photograph in Burg's geometry")
def figure(scale: str, seed: int) -> optlab.Figure:
    size, n_iter = at_scale(scale, ((24, 36), 40), ((120, 180), 80), ((400, 600), 600))
    scene = blurred_photograph("china", size=size, width=WIDTH, photons=PHOTONS, background=1.0, seed=seed)
    problem = PoissonDeblurring(scene.observation, scene.blur, scene.background, weight=WEIGHT)
    methods = {"Douglas–Rachford": BregmanDouglasRachford(), "Peaceman–Rachford": BregmanPeacemanRachford()}
    results = {name: optlab.solve(problem, method, max_iter=n_iter, tol=1e-9) for name, method in methods.items()}
    restored = np.asarray(results["Douglas–Rachford"].solution)
    seen = np.maximum(scene.observation - scene.background, 0.0)

    def draw(axes):
        top = float(scene.image.max())
        pictures = ((scene.image, "photograph"), (seen, f"observed, error {error(seen, scene.image):.3f}"),
                    (restored, f"restored, error {error(restored, scene.image):.3f}"))  # fmt: skip
        for ax, (image, title) in zip(axes, pictures):
            ax.imshow(image, cmap="gray", vmin=0, vmax=top, interpolation="nearest")
            ax.set_title(title)
            ax.axis("off")
        for (name, result), color, line in zip(results.items(), (PALETTE[0], PALETTE[1]), ("-", "-.")):
            k = np.asarray(result.history["iteration"])[1:]
            axes[3].plot(
                k,
                np.maximum(np.asarray(result.history["relative_gap"])[1:], 1e-16),
                color=color,
                linestyle=line,
                label=name,
            )
        axes[3].set(xlabel="iteration", ylabel="certified relative gap", title="convergence", xlim=(1, None))
        log_axes(axes[3], "xy")
        axes[3].legend(loc="lower left")

    gap = results["Douglas–Rachford"].metrics["relative_gap"]
    before, after = error(seen, scene.image), error(restored, scene.image)
    claims = [
        ("The restored image is certified optimal to 1e-4 (relative duality gap).", gap < 1e-4, gap),
        (
            "The restored image is nearer to the photograph than the observation (errors).",
            after < before,
            [after, before],
        ),
        (
            "Every pixel stays positive without a projection (smallest).",
            float(restored.min()) > 0,
            float(restored.min()),
        ),
    ]
    caption = (
        f"A photograph of {size[0]} x {size[1]} pixels, blurred with a Gaussian of {WIDTH:g} pixels and observed with "
        f"Poisson "
        f"noise "
        f"({PHOTONS:g} photons in a white pixel); restored by maximum a posteriori with a gamma prior per pixel. "
        f"Right: "
        "certified "
        "relative duality gap. Photograph: scikit-learn's sample images."
    )
    data = {
        "convergence": {
            "method": np.concatenate([[name] * len(r.history) for name, r in results.items()]),
            **{
                c: np.concatenate([np.asarray(r.history[c]) for r in results.values()])
                for c in ("iteration", "objective", "relative_gap")
            },
        },
        "observed": scene.observation,
        "restored": restored,
        "photograph": scene.image,
    }
    return optlab.Figure(data, draw, claims, caption, panels=(1, 4), figsize=(12.5, 2.7))
