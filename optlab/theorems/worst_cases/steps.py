"""Worst cases of one step: NGN, by scanning its step size, and the gradient method."""

from __future__ import annotations

from optlab.stochastic import NGN, SGD
from optlab.theorems.worst_cases._cases import Case, in_an_id, register
from optlab.theory import SmoothConvex

_WRONG = SGD(3.0, batch_size=2)

for _t in (0.5, 1.0, 10.0, 1000.0):
    for _mu in (0.1, 0.4):
        register(
            Case(
                id=f"worst-ngn-step-{in_an_id(_t)}-{in_an_id(_mu)}",
                title=f"NGN, one step, sigma L = {_t:g}, mu / L = {_mu:g}",
                statement="""||x_1 - x*||^2 <= (1 - mu sigma / (1 + sigma L)) ||x_0 - x*||^2 for f mu-strongly convex,
                L-smooth and with minimum 0, for every sigma.""",
                source="derived here: ngn-strongly-convex-terms",
                method=NGN(_t, batch_size=2),
                problem_class=SmoothConvex(1.0, _mu),
                metric="step",
                ks=(1,),
                bound=lambda k, t=_t, mu=_mu: 1 - mu * t / (1 + t),
                broken="the gradient step 3/L",
                wrong=_WRONG,
                assumptions=("f mu-strongly convex, L-smooth, minimum 0",),
            )
        )
for _step in (0.5, 1.0, 1.5, 1.8):
    register(
        Case(
            id=f"worst-gradient-step-{in_an_id(_step)}",
            title=f"Gradient step {_step:g}/L",
            statement="||x_1 - x*||^2 <= max(1 - s mu, s L - 1)^2 ||x_0 - x*||^2, attained.",
            source="classical",
            method=SGD(_step, batch_size=2),
            problem_class=SmoothConvex(1.0, 0.1),
            metric="step",
            ks=(1,),
            bound=lambda k, s=_step: max(1 - s * 0.1, s - 1) ** 2,
            broken="the gradient step 3/L",
            wrong=_WRONG,
            assumptions=("f mu-strongly convex, L-smooth",),
        )
    )
