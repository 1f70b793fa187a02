"""Problems ``min sum_i f_i(A_i x)``: terms with linear maps, what each offers to a method, certificates, transforms.

`CompositeProblem` takes any number of terms (``f``, ``0.1 * f``, ``f @ A``, sums) and a kernel as geometry. It holds
no algorithm. How a method gets at the terms:

**It declares slots.** ``requires = ("split",)`` and ``slots``, a tuple of `optlab.core.contract.slots.Slot`, one for
each place that the method has for terms: a name, the oracles that every term in it must offer (the keys of `ORACLES`),
and how many it holds. `optlab.solve`, `optlab.applicable` and the conformance tests accept a problem if *all* its terms
find a place; a term goes into the first slot, in the order given, that leaves the others one. Names with a meaning
here:

* ``f`` terms with gradients (`SmoothPart`: ``value``, ``gradient``, ``value_and_gradient``, ``lipschitz``,
  ``strong_convexity``, ``relative_smoothness``, ``quadratic``), several of them summed, each behind its linear map;
* ``g`` at most one term with a resolvent in the problem's kernel (``"proximal"``), or a set with
  ``"linear_minimizer"``;
* ``p`` a second one;
* ``h`` terms with Euclidean proximal operators behind linear maps (``"dual_proximal"``), as one stacked function
  (`StackedPart`: ``apply``, ``adjoint``, ``norm``, ``dual_proximal``; images and dual variables are lists of arrays).

What slots cannot say (the kernel must be `SquaredEuclidean`, say) goes into ``accepts(problem)``.

**It asks for the split.** ``split = problem.split(self.slots)`` sorts the terms and binds their oracles, once for
each problem; asking again costs a dictionary look-up. ``split.f``, ``split.g``, ``split.p``, ``split.h`` are the
parts, ``split.kernel`` the kernel; an empty slot is the zero function. Constants are computed when first asked for:
ask in `init`, whose time is preparation.

**It calls counted oracles.** ``oracles = split.counted()`` in `step` (or once in `advance`), then
``oracles.gradient(x)``, ``value_and_gradient``, ``proximal(mirror, step)``, ``apply(x)``, ``adjoint(y)``,
``dual_proximal(z, step)``, ``linear_minimizer(cost)``. ``oracles.work`` is what was called since; the state (derive
it from `WorkState`) carries the sum, and `measure` returns ``state.work.columns()``: the columns ``values``,
``gradients``, ``proximals``, ``linear_minimizers``, ``matvecs`` of the history.

**It returns a point with what it knows.** ``split.point(x, ...)`` in `iterate` hands the subgradients that the
iteration has in hand to `CompositeProblem.measure`; a plain x is measured too, with those that it shows by itself.

For example, proximal gradient descent, as a whole:

>>> from dataclasses import dataclass
>>> import numpy as np, optlab
>>> from optlab.composite import CompositeProblem, Work, WorkState
>>> from optlab.core import Method
>>> from optlab.core.contract.slots import Slot
>>> @dataclass
... class DescentState(WorkState):
...     x: np.ndarray
...     before: np.ndarray
...     slope: np.ndarray
>>> @dataclass(frozen=True)
... class Descent(Method):
...     requires = ("split",)
...     slots = (Slot("f", ("gradient", "lipschitz")), Slot("g", ("proximal",), at_most=1))
...     def init(self, problem, x0, rng):
...         problem.split(self.slots).f.lipschitz
...         return DescentState(0, Work(), x0, x0, np.zeros_like(x0))
...     def step(self, problem, state):
...         split = problem.split(self.slots)
...         oracles, t = split.counted(), 1 / split.f.lipschitz
...         slope = oracles.gradient(state.x)
...         x = oracles.proximal(state.x - t * slope, t)
...         return DescentState(state.k + 1, state.work + oracles.work, x, state.x, slope)
...     def iterate(self, problem, state):
...         split = problem.split(self.slots)
...         if state.k == 0:
...             return split.point(state.x)
...         s = split.f.lipschitz * (state.before - state.x) - state.slope
...         return split.point(state.x, gradients_at=state.before, g=(state.x, s))
...     def measure(self, problem, state):
...         return state.work.columns()
>>> from optlab.bregman.functions import L1Norm, LeastSquares
>>> rng = np.random.default_rng(0)
>>> problem = CompositeProblem(LeastSquares(rng.standard_normal((20, 9)), rng.standard_normal(20)), 2.0 * L1Norm())
>>> result = optlab.solve(problem, Descent(), tol=1e-9)
>>> result.success, int(result.metrics["gradients"]) == result.n_iter
(True, True)
>>> optlab.solve(CompositeProblem(L1Norm(), L1Norm(), shape=3), Descent())
Traceback (most recent call last):
    ...
optlab.core.errors.IncompatibleError: Descent takes any terms with gradient and lipschitz, at most one term with \
proximal, but of the terms ...

**Certificates.** Whether the gap is certified follows from the terms and not from the point: there is a lower bound
if a term without a linear map can absorb the others' dual variables (its conjugate finite everywhere, as of a squared
distance or a bounded set, or near zero, as of a norm), or the kernel's domain is bounded; and an upper bound if at
most one term has a domain, and a resolvent. Then ``problem.has_gap`` and the primary metric is ``gap``, else
``residual``.
"""

from optlab.composite.inclusion import MonotoneInclusion, SplitPoint
from optlab.composite.infeasibility import Certificate
from optlab.composite.problem import CompositeProblem, TermPoint
from optlab.composite.split import Oracles, ProximalPart, SmoothPart, Split, StackedPart, Work, WorkState
from optlab.composite.terms import ORACLES, Term
from optlab.composite.transforms import DualProblem, ExtendedProblem, LiftedProblem

__all__ = [
    "ORACLES",
    "Certificate",
    "CompositeProblem",
    "DualProblem",
    "ExtendedProblem",
    "LiftedProblem",
    "MonotoneInclusion",
    "Oracles",
    "ProximalPart",
    "SmoothPart",
    "Split",
    "SplitPoint",
    "StackedPart",
    "Term",
    "TermPoint",
    "Work",
    "WorkState",
]
