"""Worst cases of the methods that evaluate a monotone Lipschitz operator: extragradient, and drawn to its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.games import Extragradient, FastExtragradient, SaddlePoint
from optlab.theorems.first_order._instances import states
from optlab.theorems.worst_cases._cases import Case, in_an_id, register
from optlab.theory import MonotoneLipschitz

_START = np.array([1.0, 0.7])


@dataclass(frozen=True)
class OperatorCase(Case):
    """A case on monotone operators with L = 1; measured on bilinear saddle points and shrinking rotations."""

    def observed(self, wrong: bool) -> Any:
        """Return the largest residual measured, over the squared distance of the start to the zero."""
        method = (self.wrong or self.method) if wrong else self.method
        found = []
        for slope in np.linspace(0.05, 1.0, 20):
            for shrink in (0.0, 0.1):
                matrix = [[shrink * slope]]
                problem = SaddlePoint([[slope * np.sqrt(1 - shrink**2)]], matrix, matrix)
                run = states(problem, method, max(self.ks), x0=_START)
                found.append([float(np.sum(problem.operator(run[k].z) ** 2)) for k in self.ks])
        return np.max(found, axis=0) / float(np.sum(_START**2))


for _gamma in (0.5, 0.7):
    register(
        OperatorCase(
            id=f"worst-extragradient-{in_an_id(_gamma)}",
            title=f"Extragradient, step size {_gamma:g}/L: the residual of the last iterate",
            statement="||F(z_N)||^2 <= ||z_0 - z*||^2 / (gamma^2 (1 - gamma^2 L^2)(N + 1)) for gamma < 1/L.",
            source="Gorbunov, Loizou, Gidel 2022",
            method=Extragradient(_gamma),
            problem_class=MonotoneLipschitz(1.0),
            metric="residual",
            ks=(1, 2, 4),
            bound=lambda k, g=_gamma: 1.0 / (g**2 * (1.0 - g**2) * (k + 1)),
            broken="step size 1.5/L",
            wrong=Extragradient(1.5),
            assumptions=("F monotone, Lipschitz with L = 1", "no constraints"),
        )
    )
register(
    OperatorCase(
        id="worst-fast-extragradient",
        title="Fast extragradient: the residual of the last iterate",
        statement="||F(z_N)||^2 <= 4 L^2 ||z_0 - z*||^2 / N^2. From N = 2 on the relaxed worst case equals it.",
        source="Lee, Kim 2021",
        method=FastExtragradient(1.0),
        problem_class=MonotoneLipschitz(1.0),
        metric="residual",
        ks=(1, 2, 4, 6),
        bound=lambda k: 4.0 / k**2,
        broken="step size 1.5/L",
        wrong=FastExtragradient(1.5),
        assumptions=("F monotone, Lipschitz with L = 1", "no constraints"),
    )
)
