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
from optlab.plotting import log_axes
from optlab.reproduce import at_scale, first_below
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
EXACT = "scaling, sparse simplex, pricing (optlab)"
TWO_STAGES, ANDERSON = "Douglas–Rachford, then Newton", "Anderson, on Douglas–Rachford"


def linear_methods(problem: OptimalTransport) -> dict[str, Any]:
    return {
        "Douglas–Rachford, growing step": BregmanDouglasRachford(),
        "constant step": BregmanDouglasRachford(10.0 / problem.cost_range),
        "relaxation 1.5": BregmanDouglasRachford(relaxation=1.5),
        "Halpern, reflected, restarts": HalpernDouglasRachford(),
        "Anderson": AndersonDouglasRachford(),
        TWO_STAGES: None,
        EXACT: ExactTransport(),
    }


ENTROPIC_METHODS: dict[str, Any] = {
    "Sinkhorn": Sinkhorn(),
    "over-relaxed, adaptive": Sinkhorn(overrelaxation="adaptive"),
    "Anderson, on Sinkhorn": AndersonSinkhorn(),
    r"Douglas–Rachford, $\gamma^\ast$": BregmanDouglasRachford(),
    "Halpern, on Douglas–Rachford": HalpernDouglasRachford(),
    ANDERSON: AndersonDouglasRachford(),
    "Sinkhorn–Newton": SinkhornNewton(),
}


def curve(histories: list[Any], objective: str) -> optlab.History:
    """Return certified gap over time and iterations of runs one after the other, without the start."""
    parts: dict[str, list[float]] = {
        name: [] for name in ("iteration", "time", "oracle_calls", "cost", "dual_objective")
    }
    for history in histories:
        offset = {name: parts[name][-1] if parts[name] else 0.0 for name in ("iteration", "time", "oracle_calls")}
        parts["oracle_calls"] += list(np.asarray(history["oracle_calls"])[1:] + offset["oracle_calls"])
        parts["iteration"] += list(np.asarray(history["iteration"])[1:] + offset["iteration"])
        parts["time"] += list(np.asarray(history["time"])[1:] + offset["time"])
        parts["cost"] += list(np.asarray(history[objective])[1:])
        parts["dual_objective"] += list(np.asarray(history["dual_objective"])[1:])
    gap = certified_gap(parts)
    return optlab.History(
        {
            **{name: parts[name] for name in ("iteration", "time", "oracle_calls")},
            "certified relative gap": gap,
            "upper": parts["cost"],
        },
        primary_metric="certified relative gap",
    )


def solve_linear(problem: OptimalTransport, name: str, method: Any, budget: int) -> tuple[list[Any], int]:
    """Return the histories of one method, and the Newton steps if it has a second stage."""
    options: dict[str, Any] = {"max_iter": budget, "tol": TARGET, "record": "log"}
    if name != TWO_STAGES:
        return [optlab.solve(problem, method, **options).history], 0
    first = optlab.solve(problem, BregmanDouglasRachford(), **options | {"tol": FIRST_STAGE, "record": 20})
    second = optlab.solve(problem, ProximalNewton(), x0=first, **options | {"max_iter": 300, "record": 1})
    return [first.history, second.history], second.n_iter


@optlab.figure(id="ot-gap-against-time", paper=PAPER, title="Certified gap against time: accelerations, Newton, peers")
def figure(scale: str, seed: int) -> optlab.Figure:
    n, budget = at_scale(scale, (30, 300), (100, 2000), (500, 20_000))
    n_entropic, eps, most = at_scale(scale, (20, 0.02, 400), (100, 0.002, 4000), (300, 0.001, 20_000))
    a, b, C = transport_family(FAMILY, n, seed=seed)
    problem = OptimalTransport(a, b, C)
    linear, newton_steps = {}, 0
    for name, method in linear_methods(problem).items():
        solve_linear(problem, name, method, 3)  # what is compiled on first use is loaded before the clock runs
        histories, steps = solve_linear(problem, name, method, 100 if name == EXACT else budget)
        linear[name], newton_steps = curve(histories, "cost"), newton_steps + steps
    optlab.solve(problem, NetworkSimplex(), max_iter=1)  # so is POT
    simplex = min((optlab.solve(problem, NetworkSimplex(), max_iter=1) for _ in range(3)), key=lambda r: r.solve_time)

    regularized = OptimalTransport(*transport_family(FAMILY, n_entropic, seed=seed), regularization=eps)
    entropic = {}
    for name, method in ENTROPIC_METHODS.items():
        optlab.solve(regularized, method, max_iter=3)
        record = 1 if isinstance(method, SinkhornNewton) else at_scale(scale, 5, 10, 20)
        result = optlab.solve(regularized, method, max_iter=most, tol=TARGET, record=record)
        entropic[name] = curve([result.history], "objective")
    peers = []
    for tol in at_scale(scale, (1e-3,), (1e-3, 1e-5), (1e-3, 1e-6, 1e-9)):
        answer = optlab.solve(regularized, PeerSinkhorn(tol=tol, max_iter=most), max_iter=1)
        peers.append((answer.solve_time, max(answer.metrics["relative_gap"], 1e-16)))

    def rows(curves: dict[str, optlab.History]) -> dict[str, np.ndarray]:
        names = np.concatenate([np.full(len(h), i) for i, h in enumerate(curves.values())])
        columns = ("iteration", "time", "certified relative gap")
        return {"method": names} | {c: np.concatenate([np.asarray(h[c]) for h in curves.values()]) for c in columns}

    data = {
        "linear": rows(linear),
        "entropic": rows(entropic),
        "network_simplex": {"time": [simplex.solve_time], "gap": [max(simplex.metrics["relative_gap"], 1e-16)]},
        "pot_sinkhorn": {"time": [t for t, _ in peers], "gap": [g for _, g in peers]},
    }

    shown = {name: h for name, h in linear.items() if name != EXACT}

    def draw(axes):
        for ax, curves, title in (
            (axes[0], shown, f"Linear problem, {n} x {n}"),
            (axes[1], entropic, rf"Entropic problem, {n_entropic} x {n_entropic}, $\varepsilon={eps:g}$"),
        ):
            optlab.compare(curves, against="time", ax=ax, linewidth=1.4, markersize=5)
            ax.set(title=title, ylabel="certified relative gap", ylim=(1e-13 if ax is axes[0] else 1e-11, 3.0))
        exact = linear[EXACT]
        axes[0].plot(exact["time"], np.maximum(exact["certified relative gap"], 3e-13), "X", color="#222222",
                     markersize=8, linestyle="none", label=EXACT)  # fmt: skip
        axes[0].plot(simplex.solve_time, max(data["network_simplex"]["gap"][0], 3e-13), "*", color="#222222",
                     markersize=13, linestyle="none", label="network simplex (POT)")  # fmt: skip
        axes[1].plot(*zip(*peers), "*", color="#222222", markersize=11, linestyle="none", label="Sinkhorn (POT)")
        for ax in axes:
            log_axes(ax, "xy")
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=2, fontsize=7.5, columnspacing=1.2)

    def reached(h: optlab.History, level: float, column: str = "iteration") -> float:
        value = first_below(h[column], h["certified relative gap"], level)
        return value if np.isfinite(value) else float("inf")

    def at_least(h: optlab.History) -> float:
        """Seconds to a gap of 1e-3; where it was not reached those of the whole run, which are a lower bound."""
        seconds = reached(h, 1e-3, "time")
        return seconds if np.isfinite(seconds) else float(h["time"][-1])

    def numbers(values) -> list:
        return [value if np.isfinite(value) else "not reached" for value in values]

    last = {name: float(h["certified relative gap"][-1]) for name, h in linear.items()}
    plain = "Douglas–Rachford, growing step"
    enough = scale != "smoke"
    sinkhorn, star = entropic["Sinkhorn"], entropic[r"Douglas–Rachford, $\gamma^\ast$"]
    # where Sinkhorn's iteration ends short of the target its budget stands for it: the gain is then at least this
    gain = min(reached(sinkhorn, TARGET), float(most)) / reached(entropic[ANDERSON], TARGET)
    lowest = min(float(np.min(h["upper"])) for h in linear.values()) / simplex.metrics["cost"]
    claims = [
        (
            "Linear problem: Halpern's iteration on the reflected operator, with restarts, ends at less than a third "
            "of the plain iteration's gap, after as many iterations (both gaps).",
            last["Halpern, reflected, restarts"] < last[plain] / 3 if enough else None,
            [last["Halpern, reflected, restarts"], last[plain]],
        ),
        (
            "Linear problem: Anderson's does not help: it needs at least as many iterations to 1e-3 as the plain "
            "iteration, and more evaluations of the map in all, one for each candidate turned away (iterations and "
            "evaluations, of Anderson's and of the plain iteration).",
            bool(
                reached(linear["Anderson"], 1e-3) >= reached(linear[plain], 1e-3)
                and linear["Anderson"]["oracle_calls"][-1] > linear[plain]["oracle_calls"][-1]
            )
            if enough and np.isfinite(reached(linear[plain], 1e-3))
            else None,
            numbers(
                value
                for name in ("Anderson", plain)
                for value in (reached(linear[name], 1e-3), float(linear[name]["oracle_calls"][-1]))
            ),
        ),
        (
            f"Newton's steps on the absorbed potentials take the run from a gap of 1e-3 to {TARGET:g} within 100 "
            "(steps, final gap).",
            bool(last[TWO_STAGES] <= TARGET and newton_steps <= 100),
            [newton_steps, last[TWO_STAGES]],
        ),
        (
            "On a CPU the network simplex is exact before any of the first-order methods is certified to 1e-3 "
            "(seconds of the simplex, and of the fastest other).",
            simplex.solve_time < min(at_least(h) for h in shown.values()) if enough else None,
            [simplex.solve_time, min(at_least(h) for h in shown.values())],
        ),
        (
            f"Entropic problem: to {TARGET:g} Anderson's acceleration of Douglas–Rachford needs less than a fifth of "
            "Sinkhorn's iterations (ratio, or a lower bound on it), and fewer than the best step size alone (both "
            "iterations).",
            bool(gain > 5 and reached(entropic[ANDERSON], TARGET) < reached(star, TARGET)) if enough else None,
            numbers([gain, reached(entropic[ANDERSON], TARGET), reached(star, TARGET)]),
        ),
        (
            "Entropic problem: Halpern's iteration is slower than Douglas–Rachford itself, which converges linearly "
            f"there (iterations to {TARGET:g} of both).",
            reached(entropic["Halpern, on Douglas–Rachford"], TARGET) > reached(star, TARGET) if enough else None,
            numbers([reached(entropic["Halpern, on Douglas–Rachford"], TARGET), reached(star, TARGET)]),
        ),
        (
            "In seconds Sinkhorn–Newton or one of Anderson's accelerations is the first below 1e-9 (seconds of the "
            "three, then of Douglas–Rachford and of over-relaxed Sinkhorn).",
            min(reached(entropic[k], TARGET, "time") for k in ("Sinkhorn–Newton", ANDERSON, "Anderson, on Sinkhorn"))
            < min(reached(h, TARGET, "time") for h in (star, entropic["over-relaxed, adaptive"], sinkhorn))
            if enough
            else None,
            numbers(
                reached(h, TARGET, "time")
                for h in (
                    entropic["Sinkhorn–Newton"],
                    entropic[ANDERSON],
                    entropic["Anderson, on Sinkhorn"],
                    star,
                    entropic["over-relaxed, adaptive"],
                )
            ),
        ),
        (
            "The certificate is never wrong: no upper bound below the exact cost (smallest ratio).",
            lowest >= 1 - 1e-9,
            lowest,
        ),
    ]
    caption = (
        "Certified relative gap (best upper bound less best lower bound, over the latter) against solver time, "
        f"distances of points in the square. Left: without regularization; {TWO_STAGES}: switched at a gap of "
        f"{FIRST_STAGE:g}; star and cross: exact methods, POT's network simplex and `ExactTransport`, drawn at 3e-13. "
        "Right: with entropy; stars: POT's log-domain Sinkhorn at tolerances of its own. Runs end at 1e-9 or at their "
        "budget. Times of one machine, side by side."
    )
    return optlab.Figure(data, draw, claims, caption, panels=(1, 2), figsize=(9.6, 5.4))
