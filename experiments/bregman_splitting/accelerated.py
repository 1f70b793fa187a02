"""Certified gap against time: Bregman Douglas-Rachford, its accelerations, a Newton stage, and the peers.

Left the linear problem, right the entropic one. Times are of one machine under whatever load it has, taken side by
side in one run: they say who wins here, not by how much elsewhere. The gap is the best upper bound less the best lower
bound so far, over the latter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import optlab
from optlab.datasets import transport_family
from optlab.plotting import INK, log_axes
from optlab.reproduce import Runs, at_scale, first_below, joined
from optlab.splitting import (
    AndersonDouglasRachford,
    BregmanDouglasRachford,
    HalpernDouglasRachford,
)
from optlab.transport import (
    AndersonSinkhorn,
    ExactTransport,
    NetworkSimplex,
    OptimalTransport,
    PeerSinkhorn,
    ProximalNewton,
    Sinkhorn,
    SinkhornNewton,
)

from ._common import PAPER, certified_gap

FAMILY = "l2"
FIRST_STAGE, TARGET = 1e-3, 1e-9
GAP = "certified relative gap"
PLAIN, HALPERN = "Douglas–Rachford, growing step", "Halpern, reflected, restarts"
EXACT = "scaling, sparse simplex, pricing (optlab)"
STAR = r"Douglas–Rachford, $\gamma^\ast$"
TWO_STAGES, ANDERSON = "Douglas–Rachford, then Newton", "Anderson, on Douglas–Rachford"


def linear_methods(problem: OptimalTransport) -> dict[str, Any]:
    return {
        PLAIN: BregmanDouglasRachford(),
        "constant step": BregmanDouglasRachford(10.0 / problem.cost_range),
        "relaxation 1.5": BregmanDouglasRachford(relaxation=1.5),
        HALPERN: HalpernDouglasRachford(),
        "Anderson": AndersonDouglasRachford(),
        TWO_STAGES: None,
        EXACT: ExactTransport(),
    }


ENTROPIC_METHODS: dict[str, Any] = {
    "Sinkhorn": Sinkhorn(),
    "over-relaxed, adaptive": Sinkhorn(overrelaxation="adaptive"),
    "Anderson, on Sinkhorn": AndersonSinkhorn(),
    STAR: BregmanDouglasRachford(),
    "Halpern, on Douglas–Rachford": HalpernDouglasRachford(),
    ANDERSON: AndersonDouglasRachford(),
    "Sinkhorn–Newton": SinkhornNewton(),
}


def curve(histories: list[Any], objective: str) -> optlab.History:
    """Return certified gap over time and iterations of runs one after the other, without the start."""
    work = ("iteration", "time", "oracle_calls")
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*work, objective, "dual_objective")}
    for history in histories:
        for name, found in parts.items():
            offset = found[-1][-1] if found and name in work else 0.0
            found.append(np.asarray(history[name])[1:] + offset)
    columns = {name: np.concatenate(found) for name, found in parts.items()}
    gap = certified_gap({"cost": columns[objective], "dual_objective": columns["dual_objective"]})
    return optlab.History(
        {name: columns[name] for name in work} | {GAP: gap, "upper": columns[objective]}, primary_metric=GAP
    )


def solve_linear(problem: OptimalTransport, name: str, method: Any, budget: int) -> tuple[list[Any], int]:
    """Return the histories of one method, and the Newton steps if it has a second stage."""
    options: dict[str, Any] = {"max_iter": budget, "tol": TARGET, "record": "log"}
    if name != TWO_STAGES:
        return [optlab.solve(problem, method, **options).history], 0
    first = optlab.solve(problem, BregmanDouglasRachford(), **options | {"tol": FIRST_STAGE, "record": 20})
    second = optlab.solve(problem, ProximalNewton(), x0=first, **options | {"max_iter": 300, "record": 1})
    return [first.history, second.history], second.n_iter


@optlab.figure(
    id="ot-gap-against-time",
    paper=PAPER,
    title="Certified gap against time: accelerations, Newton, peers",
    panels=(1, 2),
    figsize=(9.6, 5.4),
)
def figure(scale: str, seed: int) -> Runs:
    n, budget = at_scale(scale, (30, 300), (100, 2000), (500, 20_000))
    n_entropic, eps, most = at_scale(scale, (20, 0.02, 400), (100, 0.002, 4000), (300, 0.001, 20_000))
    problem = OptimalTransport(*transport_family(FAMILY, n, seed=seed))
    linear, newton_steps = {}, 0
    for name, method in linear_methods(problem).items():
        solve_linear(problem, name, method, 3)  # what is compiled on first use is loaded before the clock runs
        histories, steps = solve_linear(problem, name, method, 100 if name == EXACT else budget)
        linear[name], newton_steps = curve(histories, "cost"), newton_steps + steps
    optlab.solve(problem, NetworkSimplex(), max_iter=1)  # so is POT
    simplex = min((optlab.solve(problem, NetworkSimplex(), max_iter=1) for _ in range(3)), key=lambda r: r.solve_time)

    regularized = OptimalTransport(*transport_family(FAMILY, n_entropic, seed=seed), regularization=eps)
    optlab.study(ENTROPIC_METHODS, regularized, max_iter=3)
    study = optlab.study(
        ENTROPIC_METHODS, regularized, max_iter=most, tol=TARGET, record=at_scale(scale, 5, 10, 20),
        method_options={"Sinkhorn–Newton": {"record": 1}},
    )  # fmt: skip
    entropic = {name: curve([result.history], "objective") for name, (result,) in study.results.items()}
    tolerances = at_scale(scale, (1e-3,), (1e-3, 1e-5), (1e-3, 1e-6, 1e-9))
    peers = [optlab.solve(regularized, PeerSinkhorn(tol=tol, max_iter=most), max_iter=1) for tol in tolerances]

    def columns(curves: dict[str, optlab.History]) -> dict[str, np.ndarray]:
        return joined(dict(enumerate(curves.values())), ("iteration", "time", GAP))

    def points(results: list[Any]) -> dict[str, list[float]]:
        gaps = [max(result.metrics["relative_gap"], 1e-16) for result in results]
        return {"time": [result.solve_time for result in results], "gap": gaps}

    tables = {
        "linear": columns(linear),
        "entropic": columns(entropic),
        "network_simplex": points([simplex]),
        "pot_sinkhorn": points(peers),
    }
    titles = f"Linear problem, {n} x {n}", rf"Entropic problem, {n_entropic} x {n_entropic}, $\varepsilon={eps:g}$"
    return Runs(
        tables, linear=linear, entropic=entropic, simplex=simplex, newton_steps=newton_steps, most=most,
        titles=titles, enough=scale != "smoke",
    )  # fmt: skip


@figure.draw
def draw(axes, runs):
    shown = {name: h for name, h in runs.linear.items() if name != EXACT}
    for ax, curves, title, floor in zip(axes, (shown, runs.entropic), runs.titles, (1e-13, 1e-11)):
        optlab.compare(curves, against="time", ax=ax, labels="none", linewidth=1.4, markersize=5)
        ax.set(title=title, xlabel="solver time (s)", ylabel=GAP, ylim=(floor, 3.0))
    exact, simplex, peers = runs.linear[EXACT], runs.tables["network_simplex"], runs.tables["pot_sinkhorn"]
    look = {"color": INK, "linestyle": "none"}
    axes[0].plot(exact["time"], np.maximum(exact[GAP], 3e-13), "X", markersize=8, label=EXACT, **look)
    gap = np.maximum(simplex["gap"], 3e-13)
    axes[0].plot(simplex["time"], gap, "*", markersize=13, label="network simplex (POT)", **look)
    axes[1].plot(peers["time"], peers["gap"], "*", markersize=11, label="Sinkhorn (POT)", **look)
    for ax in axes:
        log_axes(ax, "xy")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=2, fontsize=7.5, columnspacing=1.2)


def reached(h: optlab.History, level: float, column: str = "iteration") -> float:
    """Return where the gap is first at most a level; infinity if it never is."""
    return first_below(h[column], h[GAP], level, np.inf)


def numbers(values) -> list:
    return [value if np.isfinite(value) else "not reached" for value in values]


@figure.claims
def claims(runs):
    yield from linear_claims(runs)
    yield from entropic_claims(runs)
    lowest = min(float(np.min(h["upper"])) for h in runs.linear.values()) / runs.simplex.metrics["cost"]
    yield (
        "The certificate is never wrong: no upper bound below the exact cost (smallest ratio).",
        lowest >= 1 - 1e-9,
        lowest,
    )


def linear_claims(runs):
    linear, enough = runs.linear, runs.enough
    last = {name: float(h[GAP][-1]) for name, h in linear.items()}
    yield (
        "Linear problem: Halpern's iteration on the reflected operator, with restarts, ends at less than a third of "
        "the plain iteration's gap, after as many iterations (both gaps).",
        last[HALPERN] < last[PLAIN] / 3 if enough else None,
        [last[HALPERN], last[PLAIN]],
    )
    needed = {name: reached(linear[name], 1e-3) for name in ("Anderson", PLAIN)}
    calls = {name: float(linear[name]["oracle_calls"][-1]) for name in needed}
    worse = needed["Anderson"] >= needed[PLAIN] and calls["Anderson"] > calls[PLAIN]
    yield (
        "Linear problem: Anderson's does not help: it needs at least as many iterations to 1e-3 as the plain "
        "iteration, and more evaluations of the map in all, one for each candidate turned away (iterations and "
        "evaluations, of Anderson's and of the plain iteration).",
        worse if enough and np.isfinite(needed[PLAIN]) else None,
        numbers(value for name in needed for value in (needed[name], calls[name])),
    )
    yield (
        f"Newton's steps on the absorbed potentials take the run from a gap of 1e-3 to {TARGET:g} within 100 "
        "(steps, final gap).",
        bool(last[TWO_STAGES] <= TARGET and runs.newton_steps <= 100),
        [runs.newton_steps, last[TWO_STAGES]],
    )
    # where 1e-3 was not reached the seconds of the whole run are a lower bound
    at_least = [min(reached(h, 1e-3, "time"), float(h["time"][-1])) for name, h in linear.items() if name != EXACT]
    yield (
        "On a CPU the network simplex is exact before any of the first-order methods is certified to 1e-3 "
        "(seconds of the simplex, and of the fastest other).",
        runs.simplex.solve_time < min(at_least) if enough else None,
        [runs.simplex.solve_time, min(at_least)],
    )


def entropic_claims(runs):
    enough = runs.enough
    needed = {name: reached(h, TARGET) for name, h in runs.entropic.items()}
    seconds = {name: reached(h, TARGET, "time") for name, h in runs.entropic.items()}
    # where Sinkhorn's iteration ends short of the target its budget stands for it: the gain is then at least this
    gain = min(needed["Sinkhorn"], float(runs.most)) / needed[ANDERSON]
    yield (
        f"Entropic problem: to {TARGET:g} Anderson's acceleration of Douglas–Rachford needs less than a fifth of "
        "Sinkhorn's iterations (ratio, or a lower bound on it), and fewer than the best step size alone (both "
        "iterations).",
        bool(gain > 5 and needed[ANDERSON] < needed[STAR]) if enough else None,
        numbers([gain, needed[ANDERSON], needed[STAR]]),
    )
    halpern = needed["Halpern, on Douglas–Rachford"]
    yield (
        "Entropic problem: Halpern's iteration is slower than Douglas–Rachford itself, which converges linearly there "
        f"(iterations to {TARGET:g} of both).",
        halpern > needed[STAR] if enough else None,
        numbers([halpern, needed[STAR]]),
    )
    fast = ("Sinkhorn–Newton", ANDERSON, "Anderson, on Sinkhorn")
    slow = (STAR, "over-relaxed, adaptive", "Sinkhorn")
    yield (
        "In seconds Sinkhorn–Newton or one of Anderson's accelerations is the first below 1e-9 (seconds of the three, "
        "then of Douglas–Rachford and of over-relaxed Sinkhorn).",
        min(seconds[name] for name in fast) < min(seconds[name] for name in slow) if enough else None,
        numbers(seconds[name] for name in (*fast, *slow[:2])),
    )


@figure.caption
def caption(runs):
    return (
        "Certified relative gap (best upper bound less best lower bound, over the latter) against solver time, "
        f"distances of points in the square. Left: without regularization; {TWO_STAGES}: switched at a gap of "
        f"{FIRST_STAGE:g}; star and cross: exact methods, POT's network simplex and `ExactTransport`, drawn at 3e-13. "
        "Right: with entropy; stars: POT's log-domain Sinkhorn at tolerances of its own. Runs end at 1e-9 or at their "
        "budget. Times of one machine, side by side."
    )
