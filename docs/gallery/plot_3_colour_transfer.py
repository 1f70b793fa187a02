"""
Colour transfer between two photographs
=======================================

Give one photograph the colours of another: transport the distribution of its colours, points in the RGB cube, onto
the other's, and move every pixel along.
"""

import matplotlib.pyplot as plt
import numpy as np

from optlab.datasets import photograph
from optlab.transport import PointCloudCost, transport

china, flower = photograph("china"), photograph("flower")

# %%
# 800 pixels drawn from each photograph stand for its colours. The optimal plan between them, to a certified gap of
# 0.5 %:

rng = np.random.default_rng(0)
sample = {name: rng.choice(image.reshape(-1, 3), 800) for name, image in (("china", china), ("flower", flower))}
weights = np.full(800, 1 / 800)
cost = PointCloudCost(sample["china"], sample["flower"])
result = transport(weights, weights, cost, method="bdrs", tol=5e-3)
print(result.message)

# %%
# The plan maps the sampled colours. All other pixels follow by the dual potentials, which are prices of colours. The
# entropic map of Pooladian and Niles-Weed (2021) sends a colour p to the mean of the target colours with the weights
# ``b_j exp((g_j - |p - y_j|^2) / blur)``, a smooth function of p. With the roles of the photographs exchanged, f in
# place of g, the same plan goes the other way.


def recolour(image, points, potential, blur=0.01):
    pixels = image.reshape(-1, 3)
    out = np.empty_like(pixels)
    for start in range(0, len(pixels), 20_000):
        p = pixels[start : start + 20_000]
        score = (potential - (points**2).sum(1) + 2 * p @ points.T) / blur
        score = np.exp(score - score.max(axis=1, keepdims=True))
        out[start : start + 20_000] = (score @ points) / score.sum(axis=1, keepdims=True)
    return out.reshape(image.shape)


f, g = result.solution.potentials
small = {"china": china[::2, ::2], "flower": flower[::2, ::2]}
pictures = {
    "china": small["china"],
    "flower": small["flower"],
    "china, colours of flower": recolour(small["china"], sample["flower"], g),
    "flower, colours of china": recolour(small["flower"], sample["china"], f),
}

figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.1), layout="constrained")
for ax, (title, picture) in zip(axes.flat, pictures.items()):
    ax.imshow(picture)
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()

# %%
# In the sample itself the map is the plan's own, where each colour goes on average:

moved = result.solution.barycentric_map()
mean_colours = sample["flower"].mean(axis=0), moved.mean(axis=0)
print("mean colour of the flower and of the moved sample:", *(c.round(4) for c in mean_colours))
