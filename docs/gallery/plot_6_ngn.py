"""
How much does the step size matter?
===================================

The question everyone asks before training: which learning rate? Here five methods learn to tell malignant from benign
tumours, with every step size from 1e-4 to 1e4. A method is robust if its curve has a wide floor. The non-negative
Gauss-Newton step size (NGN; Orvieto and Xiao 2024) is ``sigma / (1 + sigma |g|² / 2f)``: never more than sigma, never
more than twice Polyak's.
"""

import matplotlib.pyplot as plt
import numpy as np

from optlab.datasets import breast_cancer
from optlab.plotting import style
from optlab.stochastic import NGN, SGD, AdaGradNorm, Adam, LogisticRegression, PolyakSGD, sweep

A, y = breast_cancer()
problem = LogisticRegression(np.column_stack([A, np.ones(len(y))]), y, l2=1e-3)
shared = {"batch_size": 32, "sampling": "shuffle"}
methods = {
    "NGN": NGN(**shared),
    "SGD": SGD(1.0, **shared),
    "SPS_max": PolyakSGD(1.0, scaling=1.0, **shared),
    "AdaGrad-norm": AdaGradNorm(**shared),
    "Adam": Adam(**shared),
}

# %%
# One call runs every method at every step size with every seed.

table = sweep(problem, methods, np.logspace(-4, 4, 17), seeds=range(3), epochs=10)
width = table.plateau_width()
for name in methods:
    step_size, loss = table.best(name)
    print(f"{name:13s} best loss {loss:.4f} at {step_size:8.2g}; within twice that over {width[name]:.1f} decades")

# %%
# The minimum is known with a certificate, so that the curves can be drawn as what they miss it by.

figure, ax = plt.subplots(figsize=(7.2, 3.9), layout="constrained")
for i, name in enumerate(methods):
    step_size, final = table.samples(name)
    gap = np.clip(np.nan_to_num(final, nan=np.inf) - problem.f_star, 1e-9, 1e3)
    look = style(i) | {"markevery": 1}
    ax.plot(step_size, np.median(gap, axis=0), label=name, **look)
    ax.fill_between(step_size, gap.min(axis=0), gap.max(axis=0), color=look["color"], alpha=0.15, linewidth=0)
start = np.log(2.0) - problem.f_star
ax.axhline(start, color="0.4", linewidth=1, linestyle=(0, (4, 2)))
ax.annotate("start", (1.4e4, start), xytext=(0, 3), textcoords="offset points", ha="right", fontsize=8)
ax.set(xscale="log", yscale="log", xlim=(6e-5, 1.6e4), ylim=(None, 5.0))
ax.set(xlabel="step size, or σ", ylabel="objective after 10 passes, less the minimum")
ax.legend(ncols=2, frameon=False)
