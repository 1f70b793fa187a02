"""NGN-D, a step size for every coordinate: whole runs on losses that are not convex, by the library's own method.

Islamov, Ajroldi, Orvieto, Lucchi 2025. One step is checked in `one_step`: with ``N = (3/2) sum c_j^2 L_j s_j^2``,
``E f(x+) <= f - sum (c_j/12) (d_j f)^2 + N`` for ``c_j <= 1/(2 L_j)``. Summed over K steps, and with the
Polyak-Lojasiewicz inequality, that gives the two bounds here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.stochastic import NGND
from optlab.theorems.ngn._instances import PAPER
from optlab.theorems.ngn.momentum import FOLLOW_UP
from optlab.theorems.ngn.non_convex import Case, waves

SHARES = (0.05, 0.3, 1.0)  # of 1/(2 L_j)


def _scales(case: Case, share: float) -> tuple[np.ndarray, float]:
    """Return c_j, two thirds of which vary, and the noise N of a step."""
    c = share / (2 * case.smoothness) * np.linspace(1 / 3, 1.0, case.problem.size)
    variance = np.mean(case.problem.tilts**2, axis=0)
    return c, 1.5 * float(np.sum(c**2 * case.smoothness * variance))


def _histories(case: Case, c: np.ndarray, K: int, seeds: int, record: int) -> list[Any]:
    options = {"x0": case.start, "max_iter": K, "record": record, "progress": False}
    return [optlab.solve(case.problem, NGND(1.0, scales=c), seed=s, **options).history for s in range(seeds)]


def _runs(cases: list[Case], K: int, seeds: int, quantity: str, enlarged: float = 1.0) -> Evidence:
    samples, bounds, abscissa = [], [], []
    for case in cases:
        drop = float(case.terms.mean(case.start)) - case.f_star
        for share in SHARES:
            c, N = _scales(case, enlarged * share)
            histories = _histories(case, c, K, seeds, 1 if quantity == "square" else K)
            if quantity == "square":
                samples.append([float(np.mean(h["gradient_norm"][:-1] ** 2)) for h in histories])
                bounds.append(12 / c.min() * (drop / K + N))
            else:
                samples.append([float(h["objective"][-1]) - case.f_star for h in histories])
                rate = case.modulus * c.min() / 6
                bounds.append((1 - rate) ** K * drop + N / rate)
            abscissa.append(share)
    label = "mean of ||grad f(x_k)||^2" if quantity == "square" else "E f(x_K) - f*"
    return Evidence.expectation(
        abscissa, np.array(samples).T, bounds, detail={"cells": len(bounds)}, xlabel="2 c_j L_j, largest", ylabel=label
    )


def _cases(scale: str, seed: int) -> list[Case]:
    return [waves(100 * seed + i, 12) for i in range(at_scale(scale, 1, 4, 40))]


@theorem(
    id="ngn-d-run",
    paper=PAPER,
    title="NGN-D on smooth losses that are not convex: the mean squared gradient of a run",
    statement="""For c_j <= 1/(2 L_j) the mean of E||grad f(x_k)||^2 over K steps is at most
    12 (f(x_0) - f*)/(c_min K) + (18/c_min) sum L_j c_j^2 s_j^2.""",
    assumptions=("f_i >= 0 with coordinate smoothness L_j", "c_j <= 1/(2 L_j)", "E (d_j f_i - d_j f)^2 <= s_j^2"),
    source=FOLLOW_UP,
)
def run(scale: str, seed: int) -> Evidence:
    return _runs(_cases(scale, seed), at_scale(scale, 60, 300, 600), at_scale(scale, 4, 20, 50), "square")


@run.control("c_j thirty times larger")
def _(scale: str, seed: int) -> Evidence:
    return _runs([waves(100 * seed, 1, d=8)], 60, 2, "square", 30.0)  # one term: no variance


@theorem(
    id="ngn-d-polyak-lojasiewicz",
    paper=PAPER,
    title="NGN-D under the Polyak-Lojasiewicz inequality: linear convergence to a neighbourhood",
    statement="""If ||grad f||^2 >= 2 mu (f - f*) and c_j <= 1/(2 L_j): E[f(x_K) - f*] <=
    (1 - mu c_min/6)^K (f(x_0) - f*) + (9/(mu c_min)) sum L_j c_j^2 s_j^2.""",
    assumptions=("f_i >= 0 with coordinate smoothness L_j", "c_j <= 1/(2 L_j)", "f Polyak-Lojasiewicz"),
    source=FOLLOW_UP,
)
def polyak_lojasiewicz(scale: str, seed: int) -> Evidence:
    return _runs(_cases(scale, seed), at_scale(scale, 100, 600), at_scale(scale, 6, 20, 50), "gap")


@polyak_lojasiewicz.control("c_j thirty times larger")
def _(scale: str, seed: int) -> Evidence:
    return _runs([waves(100 * seed, 1, d=8)], 60, 2, "gap", 30.0)
