"""
Crossing a frozen lake
======================

The ice is slippery: a step goes where it should in one case of three, and to either side in the others. Which way to
walk, so as to reach the goal and no hole? Policy mirror descent (Xiao 2022) improves a whole policy at a time: it
evaluates it exactly, then multiplies the probability of every action by the exponential of how good it is.
"""

import matplotlib.pyplot as plt
import numpy as np

import optlab
from optlab.plotting import style
from optlab.policy import AdaptiveStepSize, DiscountGrowth, PolicyMirrorDescent, frozen_lake

lake = frozen_lake("8x8")
rules = {"constant, 1": 1.0, "growing by 1/γ": DiscountGrowth(), "adaptive": AdaptiveStepSize()}
results = {
    name: optlab.solve(lake, PolicyMirrorDescent(step_size=rule), max_iter=300, tol=1e-8, record="all")
    for name, rule in rules.items()
}
for name, result in results.items():
    print(f"{name:14s} {result.message}")

# %%
# How fast? With constant steps the gap falls ever more slowly, with steps that grow like one over the discount
# linearly, and with steps that adapt to the policy faster still. No step size is tuned.

figure, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for i, (name, result) in enumerate(results.items()):
    ax.semilogy(result.history["policy_evaluations"], result.history["gap"], label=name, **style(i))
ax.set(xlabel="policy evaluations", ylabel="gap to the optimal value", xlim=(0, 300))
ax.grid(color="0.9")
ax.legend(frameon=False)

# %%
# The policy that was found, over the value of every cell. Beside a hole it walks away from it, into a wall if need be:
# the one direction that cannot slip into the hole.

rows = ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"]
policy = results["adaptive"].solution
values = lake.to_reward_value(lake.evaluate(policy.probabilities()).values).reshape(8, 8)
actions = policy.greedy().reshape(8, 8)
arrows = [(-1, 0), (0, -1), (1, 0), (0, 1)]  # left, down, right, up
ice = np.array([[cell in "SF" for cell in row] for row in rows])

figure, ax = plt.subplots(figsize=(5.6, 4.8), layout="constrained")
picture = ax.imshow(np.where(ice, values, np.nan), cmap="cividis", vmin=0, vmax=1)
ax.set_facecolor("0.93")
for i, j in np.ndindex(8, 8):
    if ice[i, j]:
        ink = "white" if values[i, j] < 0.55 else "0.1"
        ax.quiver(j, i, *arrows[actions[i, j]], color=ink, pivot="mid", scale=13, width=0.012)
    elif rows[i][j] == "H":
        ax.add_patch(plt.Circle((j, i), 0.36, color="0.15"))
    else:
        ax.plot(j, i, marker="*", markersize=20, color="#d6604d")
ax.set(xticks=[], yticks=[])
figure.colorbar(picture, ax=ax, label="expected discounted reward")
