"""Worst cases of Bregman Douglas-Rachford splitting for B smooth relative to the kernel: any kernel, the quadratic."""

from __future__ import annotations

from optlab.splitting import BregmanDouglasRachford
from optlab.theorems.worst_cases._cases import Case, in_an_id, register
from optlab.theory import RelativelySmoothPair

_DERIVED = "derived here, with proof: see bdrs-smooth-inequality"
_MU = 0.2


for _gamma in (0.3, 0.5, 1.0):
    for _kernel in ("any", "euclidean"):
        register(
            Case(
                id=f"worst-bregman-gap-{_kernel}-{in_an_id(_gamma)}",
                title=f"Relatively smooth B, gamma L = {_gamma:g}, {_kernel} kernel: mean gap",
                statement="""The mean of (f+g)(y_j) - opt over j < k is at most V_0 / (gamma k) for gamma <= 1/L. Over
                all kernels this is attained.""",
                source=_DERIVED,
                method=BregmanDouglasRachford(_gamma),
                problem_class=RelativelySmoothPair(kernel=_kernel),
                metric="average_gap",
                ks=(1, 2),
                bound=lambda k, gamma=_gamma: 1 / (gamma * k),
                broken="gamma L = 30",
                wrong=BregmanDouglasRachford(30.0),
                wrong_class=RelativelySmoothPair(kernel="any"),
            )
        )
        register(
            Case(
                id=f"worst-bregman-linear-{_kernel}-{in_an_id(_gamma)}",
                title=f"Relatively strongly convex B, gamma L = {_gamma:g}, {_kernel} kernel: linear rate",
                statement="V_k <= (1 + gamma mu)^-k V_0 for gamma <= 1/L, mu = L/5. Over all kernels this is attained.",
                source=_DERIVED,
                method=BregmanDouglasRachford(_gamma),
                problem_class=RelativelySmoothPair(1.0, _MU, _kernel),
                metric="lyapunov",
                ks=(1, 3),
                bound=lambda k, gamma=_gamma: (1 + gamma * _MU) ** -k,
                broken="mu = 0",
                wrong_class=RelativelySmoothPair(1.0, 0.0, _kernel),
            )
        )

for _gamma in (0.3, 1.0):
    register(
        Case(
            id=f"worst-quadratic-gap-finding-{in_an_id(_gamma)}",
            title=f"Finding: the mean gap for the quadratic kernel, gamma L = {_gamma:g}",
            statement="""For the quadratic kernel the mean of (f+g)(y_j) - opt over j < k is at most
            V_0 / (gamma (k+1)): found by semidefinite programming for the k shown, without a proof for all k.""",
            source="found here; no proof is known to us",
            method=BregmanDouglasRachford(_gamma),
            problem_class=RelativelySmoothPair(kernel="euclidean"),
            metric="average_gap",
            ks=(1, 2, 4),
            bound=lambda k, gamma=_gamma: 1 / (gamma * (k + 1)),
            broken="any kernel",
            wrong_class=RelativelySmoothPair(),
            proved=False,
        )
    )
    register(
        Case(
            id=f"worst-quadratic-linear-finding-{in_an_id(_gamma)}",
            title=f"Finding: the linear rate for the quadratic kernel, gamma L = {_gamma:g}",
            statement="""For the quadratic kernel V_k <= (1 + gamma mu)^(-2k) V_0: found by semidefinite programming for
            the k shown, without a proof.""",
            source="found here; no proof is known to us",
            method=BregmanDouglasRachford(_gamma),
            problem_class=RelativelySmoothPair(1.0, _MU, "euclidean"),
            metric="lyapunov",
            ks=(1, 3),
            bound=lambda k, gamma=_gamma: (1 + gamma * _MU) ** (-2 * k),
            broken="any kernel",
            wrong_class=RelativelySmoothPair(1.0, _MU),
            proved=False,
        )
    )
