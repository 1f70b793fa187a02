"""
Methods compose
===============

What can be done to any iteration is a wrapper around a method: average it, anchor it, extrapolate it, follow it with
slow weights, restart it. A wrapper is a method itself: it is run, resumed, compared and wrapped again.
"""

import numpy as np

import optlab
from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import L1Norm, LeastSquares
from optlab.splitting import BregmanDouglasRachford, CompositeProblem
from optlab.wrappers import Anderson, Averaged, Halpern, Restarted

rng = np.random.default_rng(0)
A, b = rng.standard_normal((20, 30)), rng.standard_normal(20)
problem = CompositeProblem(L1Norm(0.5), LeastSquares(A, b), SquaredEuclidean())

# %%
# What runs on this problem, and why the others do not:

table = optlab.applicable(problem)
print(table.running)
print(next(row.reason for row in table if row.method == "BregmanADMM"))

# %%
# One method, five ways:

plain = BregmanDouglasRachford(0.1)
methods = {
    "plain": plain,
    "averaged": Averaged(plain),
    "Halpern": Halpern(plain),
    "Halpern, restarted": Restarted(Halpern(plain), 20),
    "Anderson": Anderson(plain),
}
results = {name: optlab.solve(problem, method, max_iter=400, record=4) for name, method in methods.items()}
ax = optlab.compare(results, metric="residual")

# %%
# A problem that a method would solve only in part is refused before anything is computed:

from optlab.splitting import BregmanADMM

try:
    optlab.solve(problem, BregmanADMM())
except optlab.IncompatibleError as error:
    print(error)
