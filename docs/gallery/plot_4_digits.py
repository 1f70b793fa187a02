"""
From digit to digit
===================

A handwritten digit is a distribution of ink. Along an optimal plan the ink of one digit moves in straight lines to
become another (displacement interpolation, McCann 1997), instead of one fading out while the other fades in.
"""

import matplotlib.pyplot as plt
import numpy as np

from optlab.datasets import digit_images
from optlab.transport import PointCloudCost, transport

side = 40
centres = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2).astype(float)


def smooth(image, times):
    for _ in range(times):
        for axis in (0, 1):
            image = 0.5 * image + 0.25 * (np.roll(image, 1, axis) + np.roll(image, -1, axis))
    return image


def ink(value, which=0):
    large = np.pad(np.kron(digit_images(value)[0][which], np.ones((4, 4))), 4)
    image = smooth(large, 4)  # 8 x 8 pixels would show as steps
    weight = np.where(image > 0.1 * image.max(), image, 0.0).ravel()
    return weight / weight.sum()


# %%
# Pixels without ink are allowed: weights of zero are taken out of the iteration and put back into the plan.

pairs = [(3, 5), (0, 8), (1, 7)]
times = np.linspace(0.0, 1.0, 7)
films = []
for first, second in pairs:
    a, b = ink(first), ink(second)
    result = transport(a, b, PointCloudCost(centres), method="bdrs", tol=2e-2)
    print(f"{first} to {second}: cost {result.metrics['cost']:.3f}, certified gap {result.metrics['relative_gap']:.1e}")
    plan = result.solution.sparse(1e-7).tocoo()
    frames = []
    for t in times:
        position = (1 - t) * centres[plan.row] + t * centres[plan.col]
        # spread each grain of ink over the four pixels around it
        corner = np.minimum(np.floor(position).astype(int), side - 2)
        part = position - corner
        frame = np.zeros((side, side))
        for i in (0, 1):
            for j in (0, 1):
                share = np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
                np.add.at(frame, (corner[:, 0] + i, corner[:, 1] + j), plan.data * share)
        frames.append(smooth(frame, 1))
    films.append(frames)

# %%

figure, axes = plt.subplots(len(pairs), len(times), figsize=(7.2, 3.3), layout="constrained")
for row, frames in zip(axes, films):
    for ax, t, frame in zip(row, times, frames):
        ax.imshow(frame, cmap="gray_r", interpolation="bilinear", vmax=0.95 * frames[0].max())
        ax.set_axis_off()
        if row is axes[0]:
            ax.set_title(f"t = {t:.2f}", fontsize=8)
