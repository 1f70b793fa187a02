"""Worst cases of Douglas-Rachford splitting, its relaxations and its anchored form, in the quadratic kernel."""

from __future__ import annotations

from optlab.splitting import BregmanDouglasRachford, BregmanPeacemanRachford, HalpernDouglasRachford
from optlab.theorems.worst_cases._cases import Case, in_an_id, register
from optlab.theory import ConvexPair, MonotonePair
from optlab.wrappers import Halpern

CLASSICAL = "classical: Fejer monotone, residuals that do not increase (Krasnoselskii-Mann iteration)"
KS = (1, 2, 4)
BEYOND = BregmanDouglasRachford(1.0, 2.0)
object.__setattr__(BEYOND, "relaxation", 2.6)  # no method for sale: relaxations end at 2


for _relaxation in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75):
    register(
        Case(
            id=f"worst-dr-residual-{in_an_id(_relaxation)}",
            title=f"Douglas-Rachford, relaxation {_relaxation:g}: residual",
            statement=f"""||z_k - T(z_k)||^2 <= r / ((2 - r)(k + 1)) ||z_0 - z*||^2 for relaxation r = {_relaxation:g}
            and any two monotone operators.""",
            source=CLASSICAL,
            method=BregmanDouglasRachford(1.0, _relaxation),
            problem_class=MonotonePair(),
            metric="residual",
            ks=KS,
            bound=lambda k, r=_relaxation: r / ((2 - r) * (k + 1)),
            broken="relaxation 2.6",
            wrong=BEYOND,
        )
    )

register(
    Case(
        id="worst-dr-residual-exact",
        title="Douglas-Rachford, relaxation 1: the exact residual",
        statement="||z_k - T(z_k)||^2 <= k^k / (k+1)^(k+1) ||z_0 - z*||^2, and no smaller constant is possible.",
        source="Lieder 2018; tightness: the worst case of the class",
        method=BregmanDouglasRachford(1.0),
        problem_class=MonotonePair(),
        metric="residual",
        ks=KS,
        bound=lambda k: k**k / (k + 1) ** (k + 1),
        broken="relaxation 2.6",
        wrong=BEYOND,
    )
)
register(
    Case(
        id="worst-pr-residual",
        title="Peaceman-Rachford: the residual need not decrease",
        statement="||z_k - T(z_k)||^2 <= 4 ||z_0 - z*||^2 for relaxation 2, attained at every k.",
        source="classical: T is nonexpansive",
        method=BregmanPeacemanRachford(1.0),
        problem_class=MonotonePair(),
        metric="residual",
        ks=KS,
        bound=lambda k: 4.0,
        broken="relaxation 2.6",
        wrong=BEYOND,
    )
)
for _relaxation in (0.5, 1.0, 1.5, 2.0):
    register(
        Case(
            id=f"worst-dr-distance-{in_an_id(_relaxation)}",
            title=f"Douglas-Rachford, relaxation {_relaxation:g}: distance",
            statement=f"||z_k - z*|| <= ||z_0 - z*|| for relaxation {_relaxation:g}; monotone operators allow no more.",
            source="classical: T is nonexpansive",
            method=BregmanDouglasRachford(1.0, _relaxation),
            problem_class=MonotonePair(),
            metric="distance",
            ks=KS,
            bound=lambda k: 1.0,
            broken="relaxation 2.6",
            wrong=BEYOND,
        )
    )

for _wrapped in (False, True):
    for _relaxation in (0.5, 1.0, 1.5, 2.0):
        register(
            Case(
                id=f"worst-halpern-{'wrapper-' if _wrapped else ''}{in_an_id(_relaxation)}",
                title=f"Halpern, relaxation {_relaxation:g}{', as a wrapper' if _wrapped else ''}",
                statement="||z_k - T(z_k)||^2 <= 4 / (k+1)^2 ||z_0 - z*||^2 with weights 1/(k+2), T nonexpansive.",
                source="Lieder 2021",
                method=Halpern(BregmanDouglasRachford(1.0, _relaxation))
                if _wrapped
                else HalpernDouglasRachford(1.0, _relaxation, restart=None),
                problem_class=MonotonePair(),
                metric="residual",
                ks=(1, 3),
                bound=lambda k: 4 / (k + 1) ** 2,
                broken="an expansive map: relaxation 2.6",
                wrong=Halpern(BEYOND),
            )
        )
register(
    Case(
        id="worst-halpern-finding",
        title="Finding: Halpern's constant at relaxation 1",
        statement="""At relaxation 1 the worst residual is ||z_k - T(z_k)||^2 = 4/(k+2)^2 ||z_0 - z*||^2, not 4/(k+1)^2:
        found by semidefinite programming for the k shown, without a proof for all k.""",
        source="found here; no proof is known to us",
        method=HalpernDouglasRachford(1.0, 1.0, restart=None),
        problem_class=MonotonePair(),
        metric="residual",
        ks=(1, 2, 3, 5),
        bound=lambda k: 4 / (k + 2) ** 2,
        broken="relaxation 2",
        wrong=HalpernDouglasRachford(1.0, 2.0, restart=None),
        proved=False,
    )
)


def contraction(k: int, gamma: float, r: float, mu: float, L: float) -> float:
    reflected = max((1 - gamma * mu) / (1 + gamma * mu), (gamma * L - 1) / (gamma * L + 1))
    return float((abs(1 - r / 2) + r / 2 * reflected) ** (2 * k))


for _gamma in (0.1, 10**-0.5, 0.5, 1.0, 3.0):
    for _relaxation in (1.0, 1.5):
        register(
            Case(
                id=f"worst-dr-linear-{in_an_id(round(_gamma, 3))}-{in_an_id(_relaxation)}",
                title=f"Douglas-Rachford on convex functions, step size {_gamma:.3g}, relaxation {_relaxation:g}",
                statement="""For g 1-strongly convex and 10-smooth, ||z_k - z*|| <= (|1 - r/2| + (r/2) d)^k ||z_0 - z*||
                with d = max((1 - gamma mu)/(1 + gamma mu), (gamma L - 1)/(gamma L + 1)).""",
                source="Giselsson, Boyd 2017",
                method=BregmanDouglasRachford(_gamma, _relaxation),
                problem_class=ConvexPair(10.0, 1.0),
                metric="distance",
                ks=(1, 2),
                bound=lambda k, gamma=_gamma, r=_relaxation: contraction(k, gamma, r, 1.0, 10.0),
                broken="functions that are merely convex",
                wrong_class=ConvexPair(),
            )
        )
