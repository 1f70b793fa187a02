"""
Weights on a grid
=================

Training that ends on a few levels: a regulariser with corners there, latent weights behind rounded ones, scales that
are learned; and what is stored in the end.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import optlab
from optlab.quantization import (
    PARQ,
    SEQ,
    AggregateProx,
    Annealing,
    LearnedScales,
    PackedMatrix,
    PiecewiseAffine,
    StraightThrough,
    best_on_grid,
    error_feedback,
    layer_error,
    nearest,
    row_groups,
)
from optlab.stochastic import SGD, Adam, Decaying, LeastSquares, SoftmaxRegression, StepDecay

# %%
# A convex regulariser with corners at the levels. Its proximal map is flat there, and with the sum of all step sizes in
# it (AProx) the flat pieces grow: the last iterate is on the grid exactly.

psi = PiecewiseAffine([0.0, 1.0, 2.0], [0.05, 0.2])
u = np.linspace(-3, 3, 601)
for scale in (0.5, 2.0, 8.0):
    plt.plot(u, psi.proximal(scale * u, scale), label=f"scale {scale:g}")
plt.legend()
plt.xlabel("u")
plt.ylabel("proximal map of scale ψ at scale u")

problem = LeastSquares(np.eye(3), [0.9, -1.2, 0.1])
print(optlab.solve(problem, AggregateProx(SGD(Decaying(3.0), batch_size=3), psi), max_iter=400, seed=0).solution)

# %%
# Digits with two bits a weight and one grid for each class: rounding the weights of a trained model, training rounded
# weights straight through, and PARQ, which lets the map harden along the run.

A, y = load_digits(return_X_y=True)
problem = SoftmaxRegression(A / 16.0, y)
options = {"bits": 2, "groups": row_groups(problem)}
base = SGD(StepDecay(1.0, factor=0.1, milestones=(600, 800)), momentum=0.9, batch_size=64)
methods = {
    "straight-through": StraightThrough(base, **options),
    "PARQ": PARQ(base, annealing=Annealing(700), **options),
}
results = {name: optlab.solve(problem, method, max_iter=900, record=20, seed=0) for name, method in methods.items()}
ax = optlab.compare(results, metric="objective")
print({name: round(result.metrics["accuracy"], 3) for name, result in results.items()})

# %%
# Scales that are learned with the weights (ParetoQ), two bits, from the trained model:

full = optlab.solve(problem, base, max_iter=600, seed=0)
learned = LearnedScales(problem, SEQ(2))
result = optlab.solve(learned, Adam(0.01, batch_size=64), x0=learned.begin(full.solution), max_iter=600, seed=0)
weights = learned.quantized(result.solution)
print(
    "levels of the first class:", np.unique(weights[:, 0]).round(3), "accuracy:", round(result.metrics["accuracy"], 3)
)

# %%
# A layer that is trained already, with calibration data: rounding, error feedback, and the exact best levels.

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 1)) + 0.5 * rng.normal(size=(200, 8))
W = rng.normal(size=(4, 8))
grid = np.array([-1.5, -0.5, 0.5, 1.5])
best = np.array([best_on_grid(X, X @ w, grid) for w in W])
for name, Q in (("rounding", nearest(W, grid)), ("error feedback", error_feedback(W, X, grid)), ("best", best)):
    print(f"{name:15} {layer_error(W, Q, X):.3f}")

# %%
# Two bits a weight in memory, and products with them:

packed = PackedMatrix.of(W, grid, bits=2)
print(packed.nbytes, "bytes in place of", W.nbytes, np.allclose(packed @ X[0], nearest(W, grid) @ X[0]))
