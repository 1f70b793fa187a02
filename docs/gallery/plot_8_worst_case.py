"""
What is the worst case of my method?
====================================

A convergence theorem bounds all problems of a class; an experiment shows a few of them. Between the two lies the worst
problem of the class, and it can be computed: `optlab.theory.worst_case` runs a method's own ``init`` and ``step`` on
symbolic points, and a semidefinite program finds the worst functions and the worst start.

The method here is a stranger's: a gradient method with momentum, 12 lines. It needs nothing but what `optlab.solve`
needs.
"""

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from optlab.core import Method, State
from optlab.splitting import BregmanDouglasRachford
from optlab.theory import MonotonePair, SmoothConvex, worst_case
from optlab.wrappers import Halpern


@dataclass
class Momentum(State):
    x: Any
    previous: Any


@dataclass(frozen=True)
class HeavyBall(Method):
    step_size: float
    momentum: float = 0.0

    def init(self, problem, x0, rng):
        return Momentum(0, x0, x0)

    def step(self, problem, state):
        drift = self.momentum * (state.x - state.previous)
        return Momentum(state.k + 1, state.x + drift - self.step_size * problem.gradient(state.x), state.x)

    def iterate(self, problem, state):
        return state.x


# %%
# The gap after four steps, over all convex functions with a 1-Lipschitz gradient and all starts at distance 1 from a
# solution. Without momentum, at step 1, it is 1 / (2 (2k + 1)) = 1/18 (Drori and Teboulle 2014).

plain = worst_case(HeavyBall(1.0), SmoothConvex(1.0), k=4, metric="gap")
print(plain)

# %%
# Tune the step size against the worst case instead of against one data set.

steps = np.linspace(0.4, 1.9, 13)
fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
for momentum, marker in ((0.0, "o"), (0.3, "s")):
    values = [worst_case(HeavyBall(s, momentum), SmoothConvex(1.0), k=4, metric="gap", confirm=False) for s in steps]
    left.plot(steps, [found.value for found in values], marker=marker, label=f"momentum {momentum:g}")
left.set(xlabel="step size", ylabel="worst gap after 4 steps", yscale="log")
left.legend()

# %%
# The library's methods and its wrappers run the same way. Douglas-Rachford splitting on all pairs of monotone
# operators, and the same anchored by Halpern's iteration: its squared residual falls like 1/k squared, the plain one's
# like 1/k.

k = np.arange(1, 7)
for name, method in {
    "Douglas-Rachford": BregmanDouglasRachford(1.0),
    "Halpern, anchored": Halpern(BregmanDouglasRachford(1.0)),
}.items():
    found = worst_case(method, MonotonePair(), k=k, metric="residual", confirm=False)
    right.plot(k, found.value, marker="o", label=name)
right.set(xlabel="iteration", ylabel="worst squared residual", yscale="log")
right.legend()
plt.show()
