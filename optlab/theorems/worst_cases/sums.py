"""Worst cases of the first-order methods on sums of terms: gaps, contractions, residuals; also in any kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.bregman import BurgEntropy, ShannonEntropy
from optlab.bregman.functions import Box, Huber, KullbackLeibler, L1Norm, LeastSquares, Linear, Poisson
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA, DavisYin, GradientDescent, ProximalGradient
from optlab.theorems.first_order._instances import states
from optlab.theorems.worst_cases._cases import Case, in_an_id, register
from optlab.theory import CompositeConvex, RelativelySmooth
from optlab.wrappers import PrimalAveraging

Array = Any
_START = np.array([1.0, 0.7])


def sums(problem_class: CompositeConvex) -> Iterator[CompositeProblem]:
    """Yield small members of a class, with minimum 0 at 0: quadratic and Huber functions, with norms and boxes."""
    mu, L = problem_class.strong_convexity, problem_class.smoothness
    smooth: list[Any] = [LeastSquares(np.diag(np.sqrt([a, L])), np.zeros(2)) for a in (mu, max(mu, 0.2 * L), L)]
    if mu == 0.0:
        smooth += [L * Huber(1.0 / (2 * k + 1)) for k in (1, 2, 4, 8)]
    others: list[list[Any]] = [[], [0.02 * L1Norm()], [0.2 * L1Norm()], [Box(lower=0.0)]]
    count = len(tuple(problem_class.terms))  # type: ignore[arg-type]
    for f in smooth:
        for g in others[1:] if count else others[:1]:
            yield CompositeProblem(f, *g, *([Box(-2.0, 2.0)] if count > 1 else []), shape=2)


def relative_sums() -> Iterator[tuple[CompositeProblem, Array]]:
    """Yield sums that are 1-smooth relative to their kernel, and their minimisers: linear ones, and divergences."""
    for slope in (2.0, 1.0, 0.5, 0.25):
        yield CompositeProblem(Linear(np.full(2, slope)), kernel=ShannonEntropy()), np.zeros(2)
    for star in (np.array([1.0, 1e-3]), np.array([0.2, 3.0]), np.array([5.0, 1e-6])):
        for low in (1.0, 0.3, 0.01):
            constants = np.array([1.0, low])
            yield CompositeProblem(KullbackLeibler(star, constants), kernel=ShannonEntropy()), star
            yield CompositeProblem(Poisson(star, constants / star), kernel=BurgEntropy()), star


@dataclass(frozen=True)
class SumCase(Case):
    """A case on a sum of terms."""

    def _metric(self, problem: Any, method: Any, run: list[Any], k: int) -> float:
        x = np.asarray(method.iterate(problem, run[k]))
        if self.metric == "gap":
            return float(problem.objective(x))
        if self.metric == "distance":
            return float(np.sum((x if self.problem_class.terms == () else method.variable(run[k])) ** 2))
        return float(np.sum(method.displacement(run[k], run[k + 1]) ** 2))

    def observed(self, wrong: bool) -> Array:
        """Return the largest values measured on members of the class of the theorem."""
        method = (self.wrong or self.method) if wrong else self.method
        c = (self.wrong_class or self.problem_class) if wrong else self.problem_class
        found = []
        for problem in sums(c):
            run = states(problem, method, max(self.ks) + 1, x0=_START)
            gap, distance = float(problem.objective(_START)), float(np.sum(_START**2))
            unit = {"distance": distance, "gap": gap, "energy": gap + 0.5 * c.strong_convexity * distance}[self.start]
            found.append([self._metric(problem, method, run, k) / unit for k in self.ks])
        return np.max(found, axis=0)


@dataclass(frozen=True)
class RelativeCase(Case):
    """A case in the geometry of a kernel: gaps divided by ``D_h(x*, x_0)``."""

    def observed(self, wrong: bool) -> Array:
        """Return the largest values measured in Shannon's and Burg's kernels."""
        method = (self.wrong or self.method) if wrong else self.method
        found = []
        for problem, star in relative_sums():
            unit, optimum = float(problem.kernel.divergence(star, _START)), float(problem.objective(star))
            with np.errstate(all="ignore"):
                run = states(problem, method, max(self.ks), x0=_START)
                points = [np.asarray(method.iterate(problem, run[k])) for k in self.ks]
                found.append([(float(problem.objective(x)) - optimum) / unit for x in points])
        return np.max(found, axis=0)


def _momentum(k: int) -> float:
    t = 0.0
    for _ in range(k):
        t = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t**2))
    return t


_MU = 0.1
_ALPHA = 0.5
_BETA = float(np.sqrt((1 - _ALPHA * _MU) * (1 - _ALPHA)))
_CONVEX = ("f convex, gradient L-Lipschitz, L = 1", "g closed convex")
_STRONG = (f"f {_MU}-strongly convex, gradient 1-Lipschitz", "g closed convex")

for _case in (
    SumCase(
        id="worst-gradient-gap",
        title="Gradient descent: the gap",
        statement="f(x_k) - f* <= L ||x_0 - x*||^2 / (4k + 2) at step size 1/L, attained.",
        source="Drori, Teboulle 2014",
        method=GradientDescent(),
        problem_class=CompositeConvex(terms=0),
        metric="gap",
        ks=(1, 2, 4),
        bound=lambda k: 1 / (4 * k + 2),
        broken="step size 2.2/L",
        wrong=GradientDescent(2.2),
        assumptions=_CONVEX[:1],
    ),
    SumCase(
        id="worst-proximal-gradient-gap",
        title="Proximal gradient: the gap",
        statement="F(x_k) - F* <= L ||x_0 - x*||^2 / (4k) at step size 1/L, attained.",
        source="Taylor, Hendrickx, Glineur 2018",
        method=ProximalGradient(),
        problem_class=CompositeConvex(),
        metric="gap",
        ks=(1, 2, 4),
        bound=lambda k: 1 / (4 * k),
        broken="step size 2.2/L",
        wrong=ProximalGradient(2.2),
        assumptions=_CONVEX,
    ),
    SumCase(
        id="worst-proximal-point-gap",
        title="Proximal point method: the gap",
        statement="g(x_k) - g* <= ||x_0 - x*||^2 / (4 gamma k), attained.",
        source="Taylor, Hendrickx, Glineur 2017",
        method=ProximalGradient(2.0),
        problem_class=CompositeConvex(0.0),
        metric="gap",
        ks=(1, 2, 4),
        bound=lambda k: 1 / (8 * k),
        broken="half the step size",
        wrong=ProximalGradient(1.0),
        assumptions=("g closed convex", "gamma = 2"),
    ),
    SumCase(
        id="worst-proximal-gradient-contraction",
        title="Proximal gradient: the contraction of strong convexity",
        statement="||x_k - x*||^2 <= max(1 - s mu, s L - 1)^(2k) ||x_0 - x*||^2, attained; s = 1.5/L.",
        source="Taylor, Hendrickx, Glineur 2018",
        method=ProximalGradient(1.5),
        problem_class=CompositeConvex(1.0, _MU),
        metric="distance",
        ks=(1, 2, 3),
        bound=lambda k: max(1 - 1.5 * _MU, 0.5) ** (2 * k),
        broken="mu = 0",
        wrong_class=CompositeConvex(),
        assumptions=_STRONG,
    ),
    SumCase(
        id="worst-fista-gap",
        title="FISTA: the gap",
        statement="F(x_k) - F* <= L ||x_0 - x*||^2 / (2 t_k^2), which is at most 2 L ||x_0 - x*||^2 / (k+1)^2.",
        source="Beck, Teboulle 2009, Theorem 4.4",
        method=FISTA(),
        problem_class=CompositeConvex(),
        metric="gap",
        ks=(2, 5, 10),
        bound=lambda k: 1 / (2 * _momentum(k) ** 2),
        broken="no momentum",
        wrong=ProximalGradient(),
        assumptions=_CONVEX,
    ),
    SumCase(
        id="worst-fista-strong",
        title="FISTA with the constant momentum of strong convexity",
        statement="F(x_k) - F* <= (1 - sqrt(mu/L))^k (F(x_0) - F* + mu/2 ||x_0 - x*||^2).",
        source="Beck 2017, Theorem 10.42",
        method=FISTA(strong_convexity=_MU),
        problem_class=CompositeConvex(1.0, _MU, terms=0),
        metric="gap",
        start="energy",
        ks=(1, 3, 6),
        bound=lambda k: (1 - np.sqrt(_MU)) ** k,
        broken="no momentum",
        wrong=GradientDescent(1.0),
        assumptions=_STRONG[:1],
    ),
    SumCase(
        id="worst-heavy-ball",
        title="The heavy ball, as primal averaging",
        statement="""f(x_k) - f* <= (1 - alpha mu)^k (f(x_0) - f*) for momentum beta with
        beta^2 = (1 - alpha mu)(1 - alpha L): gradient descent with step size
        alpha / (1 - beta), averaged with the gradient at the average.""",
        source="Ghadimi, Feyzmahdavian, Johansson 2015, Theorem 4; the map: gpa-heavy-ball",
        method=PrimalAveraging(GradientDescent(_ALPHA / (1 - _BETA)), interpolation=1.0, averaging=_BETA),
        problem_class=CompositeConvex(1.0, _MU, terms=0),
        metric="gap",
        start="gap",
        ks=(1, 2, 4),
        bound=lambda k: (1 - _ALPHA * _MU) ** k,
        broken="mu = 0",
        wrong_class=CompositeConvex(1.0, 0.0, terms=0),
        assumptions=_STRONG[:1],
    ),
    SumCase(
        id="worst-davis-yin-residual",
        title="Davis-Yin splitting: the residual",
        statement="""||z_k - T(z_k)||^2 <= ||z_0 - z*||^2 / ((k+1) (1/r)(2 - gamma L/2 - r)) with relaxation r = 1,
        gamma = 1/L.""",
        source="Davis, Yin 2017, Theorem 3.1",
        method=DavisYin(1.0),
        problem_class=CompositeConvex(terms=2),
        metric="residual",
        ks=(1, 2, 4),
        bound=lambda k: 1 / ((k + 1) * 0.5),
        broken="step size 2.5/L",
        wrong=DavisYin(2.5),
        assumptions=_CONVEX,
    ),
):
    register(_case)
for _gamma in (0.3, 1.0):
    register(
        RelativeCase(
            id=f"worst-bregman-proximal-gradient-{in_an_id(_gamma)}",
            title=f"Bregman proximal gradient, gamma L = {_gamma:g}, any kernel: the gap",
            statement="F(x_k) - F* <= D_h(x*, x_0) / (gamma k) for gamma <= 1/L. Over all kernels this is attained.",
            source="Bauschke, Bolte, Teboulle 2017; Dragomir, Taylor, d'Aspremont, Bolte 2021",
            method=ProximalGradient(_gamma),
            problem_class=RelativelySmooth(),
            metric="gap",
            ks=(1, 2, 4),
            bound=lambda k, gamma=_gamma: 1 / (gamma * k),
            broken="gamma L = 1.1",
            wrong=ProximalGradient(1.1),
            assumptions=("f L-smooth relative to h, L = 1", "g closed convex"),
        )
    )
