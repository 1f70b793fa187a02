"""
Ten seeds, three methods, one column of a paper
================================================

A stochastic method is compared over seeds. ``optlab.study`` runs every method with every seed, keeps what is finished
on disk, and answers with tidy tables; ``optlab.compare`` draws medians with bands, in the size of their page.
"""

import tempfile

import numpy as np

import optlab
from optlab import plotting
from optlab.stochastic import NGN, SGD, Adam, LogisticRegression

rng = np.random.default_rng(0)
A = rng.standard_normal((300, 10))
problem = LogisticRegression(A, np.sign(A @ rng.standard_normal(10) + rng.standard_normal(300)))
methods = {"NGN": NGN(0.3), "SGD": SGD(0.05), "Adam": Adam(0.01)}

folder = tempfile.mkdtemp()
study = optlab.study(methods, problem, seeds=10, max_iter=3000, cache=folder, n_jobs=1)
print(study)

# %%
# The figure is 3.35 inches wide, with type of that size. Whatever you have set yourself (``plt.style.use``,
# ``rcParams``) wins over the house style, so that the figure fits the others of your paper.

ax = optlab.compare(study, metric="gap", width="column")
plotting.save(ax.figure, f"{folder}/gap", formats=("pdf", "svg"))

# %%
# Against time, with a baseline of your own beside it: a pair of arrays, one row per repetition. Histories, lists of
# results and pandas DataFrames do as well.

seconds = np.linspace(0.0, study.columns()["time"].max(), 50)
mine = 0.6 / (1.0 + 300.0 * seconds / seconds[-1]) * rng.lognormal(0.0, 0.1, (5, 50))
ax = optlab.compare(study | {"my code": (seconds, mine)}, metric="gap", against="time", width="column")

# %%
# The same call again computes nothing: every run is found by what it is, that is problem, method, seed and options, and
# the code of all three. An interrupted study goes on in the same way.

again = optlab.study(methods, problem, seeds=10, max_iter=3000, cache=folder)
print(all(a.result.history.equals(b.result.history, ignore=()) for a, b in zip(study, again)))

# %%
# Tables: one row per run or per record for pandas, and a summary for the paper.

print(study.to_frame("last")[["method", "seed", "status", "gap"]].head(4))
print(study.summary("gap").to_latex())

# %%
# Over several problems a performance profile says more than curves: the share of instances that a method solves within
# a multiple of the fewest iterations that any of the methods needs.

problems = {f"noise {s:g}": LogisticRegression(A, np.sign(A[:, 0] + s * rng.standard_normal(300))) for s in (1.0, 3.0)}
several = optlab.study(methods, problems, seeds=5, max_iter=2000)
profile = several.profile("gap", target=0.05, relative=True)
ax = profile.plot(width="column")
print(profile)
