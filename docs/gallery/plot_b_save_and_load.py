"""
Save a result, and read it a week later
=======================================

``Result.save`` keeps the solution, its certificate and the whole history in one file, without pickle: nothing in it is
executed when it is read. Method and problem are there as text, and a solution that refers to its problem, as a
transport plan does, brings it along.
"""

import tempfile
from pathlib import Path

import numpy as np

import optlab
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import OptimalTransport, PointCloudCost

rng = np.random.default_rng(0)
x, y = rng.standard_normal((60, 2)), rng.standard_normal((80, 2)) + 1.0
problem = OptimalTransport(np.full(60, 1 / 60), np.full(80, 1 / 80), PointCloudCost(x, y))
result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-3)

folder = Path(tempfile.mkdtemp())
path = result.save(folder / "transport.npz")
print(path.stat().st_size, "bytes")

# %%
# In another process, without the data:

back = optlab.Result.load(path)
print(back)

# %%
# The plan is whole, and so is the history, to the last bit:

print(back.solution.cost == result.solution.cost, back.history.equals(result.history, ignore=()))
ax = back.history.plot("relative_gap")

# %%
# It starts the next run:

further = optlab.solve(problem, BregmanDouglasRachford(), x0=back, tol=5e-4)
print(further.status, further.n_iter)

# %%
# A history alone goes into ``.npz``, ``.parquet`` or a plain ``.csv``, which any program reads:

import pandas

table = pandas.read_csv(result.history.save(folder / "history.csv"))
print(table[["iteration", "relative_gap"]].tail(3))
