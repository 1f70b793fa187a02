"""
First run: a certified transport plan
=====================================

Move one cloud of points onto another at the least squared distance. The cost is never stored: memory is O(n + m).
The answer carries a certificate, a feasible plan against feasible prices, so that its error is known.
"""

import numpy as np

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import AnnealedSinkhorn, OptimalTransport, PointCloudCost, Sinkhorn

rng = np.random.default_rng(0)
x = rng.standard_normal((150, 2))
y = rng.standard_normal((200, 2)) @ [[1.2, 0.3], [0.3, 0.6]] + [1.5, 0.5]
problem = OptimalTransport(np.full(150, 1 / 150), np.full(200, 1 / 200), PointCloudCost(x, y))
result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-3)
print(result)

# %%
# The same with two rivals at the same price per iteration. Sinkhorn solves a blurred problem, so its gap stops at the
# blur. Cooling the blur helps, slowly. Bregman Douglas-Rachford extrapolates a potential to the next temperature,
# which removes the lag.

runs = {
    "Bregman Douglas-Rachford": optlab.solve(problem, BregmanDouglasRachford(), max_iter=1000),
    "Sinkhorn": optlab.solve(problem, Sinkhorn(), max_iter=1000),
    "annealed Sinkhorn": optlab.solve(problem, AnnealedSinkhorn(), max_iter=1000),
}
ax = optlab.compare(runs, metric="relative_gap")
ax.set_ylabel("certified relative gap")

# %%
# The plan is a matrix only when asked for. ``barycentric_map`` says where each point goes on average:

import matplotlib.pyplot as plt

target = result.solution.barycentric_map()
figure, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
ax.quiver(*x.T, *(target - x).T, angles="xy", scale_units="xy", scale=1, width=0.002, color="0.6")
ax.scatter(*y.T, s=6, color="#d95f3c", label="target", zorder=1)
ax.scatter(*x.T, s=6, color="#1f3a72", label="source", zorder=2)
ax.set_aspect("equal")
ax.set_axis_off()
ax.legend(loc="upper left", frameon=False)
print("sparse plan:", result.solution.sparse(1e-5).nnz, "entries above 1e-5 of", 150 * 200)
