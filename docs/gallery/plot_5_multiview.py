"""
What three views of a tumour share
==================================

Every image of the Wisconsin breast cancer data is described three times: the average nucleus, how much nuclei vary,
and the worst ones. Joint linked components are the directions that show in all three views at once; what only one of
them sees, and noise, is left aside.
"""

import matplotlib.pyplot as plt
import numpy as np

from optlab.datasets.multiview import load_breast_cancer
from optlab.multiview import JointLCA

data = load_breast_cancer()
views = data.frames()  # a dict of DataFrames with the same rows
print({name: view.shape for name, view in views.items()})

# %%
# How many components are there? Permuting the rows of the views unlinks them; what is stronger than in such data is
# kept. The strengths are then fitted again without the penalty that selected them. The default variant whitens the
# views first, which shows links of little variance; of 569 tumours it would find ten. The large ones are wanted here:

model = JointLCA(variant="covariance", standardize=True).fit(views)
print("rank:", model.rank_, "strengths:", model.singular_values_.round(3))

# %%
# The diagnosis took no part in the fit. It only colours the samples:

diagnosis = np.array(data.label_names)[data.labels]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.4), layout="constrained", width_ratios=(3, 2))
model.plot_scores(diagnosis, ax=left)
model.plot_variance(right)

# %%
# Loadings say what a component is made of, feature by feature and in all views alike: the first is the size and the
# indentation of the nuclei, the second sets how rugged they are against how large.

features = [name.removeprefix("mean ") for name in model.feature_names_in_[0]]
order = np.argsort(model.loadings_[0][:, 1])
figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.4), layout="constrained", sharey=True)
for j, ax in enumerate(axes):
    for name, V, marker, colour in zip(model.view_names_, model.loadings_, "os^", ("#1f3b73", "#d6604d", "#e9a93b")):
        ax.plot(V[order, j], np.arange(10), marker, color=colour, label=name)
    ax.axvline(0.0, color="0.7", linewidth=0.8, zorder=0)
    ax.set(title=f"component {j + 1}", xlabel="loading")
axes[0].set_yticks(range(10), [features[i] for i in order])
axes[0].legend(frameon=False)

# %%
# A view that is missing can be predicted from the others. With half of the images fitted, the worst nuclei of the
# other half follow from their averages and their spread:

train = {name: view.iloc[::2] for name, view in views.items()}
test = {name: view.iloc[1::2] for name, view in views.items()}
fit = JointLCA(variant="covariance", standardize=True).fit(train)
predicted = fit.predict_view(test, "worst")
error = ((test["worst"] - predicted) ** 2).sum() / ((test["worst"] - train["worst"].mean()) ** 2).sum()
print((1.0 - error).round(2).rename("share of variance predicted"))
