"""Regret of online mirror descent, with and without hints, under noise and under drift."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.games import OnlineStream, OptimisticMirrorDescent
from optlab.plotting import style, symlog_axis
from optlab.reproduce import at_scale

METHODS = {"with hints": OptimisticMirrorDescent(), "without": OptimisticMirrorDescent(hints=False)}
SETTINGS = {"noise only": (0.5, 0.0), "both": (0.5, 1.0), "drift only": (0.0, 1.0)}

TICKS = np.array([1, 10, 100, 1000])


def stream(noise: float, drift: float, T: int, seed) -> OnlineStream:
    """Return linear losses: a mean of length 1 that turns by ``drift`` of a circle in 40 rounds, and noise on it."""
    rng, angle = np.random.default_rng(seed), 2 * np.pi * drift * np.arange(T) / 40
    mean = np.stack([np.cos(angle), np.sin(angle), *np.zeros((3, T))], axis=1) * (drift > 0)
    return OnlineStream(mean + noise * rng.normal(size=(T, 5)))


@optlab.figure(id="games-regret", paper="games", title="Online mirror descent: regret under noise and under drift")
def figure(scale: str, seed: int) -> optlab.Figure:
    T, seeds = at_scale(scale, (500, 3), (8000, 10))
    places = np.unique(np.geomspace(1, T, 60).astype(int))
    runs = {}
    for title, (noise, drift) in SETTINGS.items():
        for name, method in METHODS.items():
            found = []
            for s in range(seeds):
                history = optlab.solve(
                    stream(noise, drift, T, [seed, s]), method, max_iter=T, tol=None, record=places, progress=False
                ).history
                found.append(np.asarray(history["regret"])[np.isin(history["iteration"], places)])
            runs[title, name] = np.array(found)

    def draw(axes):
        for ax, title in zip(axes, SETTINGS):
            for i, name in enumerate(METHODS):
                regret = runs[title, name]
                look = style(i) | {"markevery": (3 * i, 8)}
                ax.plot(places, np.mean(regret, axis=0), label=name, **look)
                ax.fill_between(places, regret.min(axis=0), regret.max(axis=0), color=look["color"], alpha=0.2, lw=0)
            ax.axhline(0, color="0.6", lw=0.8)
            ax.set(title=title, xlabel="round", xscale="log")
            symlog_axis(ax, "y")
            ax.set_yticks([*(-TICKS[::-1]), 0, *TICKS], [*(f"\u2212{t}" for t in TICKS[::-1]), "0", *map(str, TICKS)])
        axes[0].set_ylabel("regret")
        axes[0].legend(loc="upper left")

    ends = {key: float(np.mean(regret[:, -1])) for key, regret in runs.items()}
    slopes = {}
    for (title, name), regret in runs.items():
        mean, late = np.mean(regret, axis=0), places >= T / 10
        if np.all(mean[late] > 0):
            slopes[title, name] = float(np.polyfit(np.log(places[late]), np.log(mean[late]), 1)[0])
    noisy = slopes.get(("noise only", "with hints"), np.inf)
    claims = [
        (
            "Under drift hints lower the regret (difference)",
            ends["drift only", "with hints"] < ends["drift only", "without"],
            ends["drift only", "with hints"] - ends["drift only", "without"],
        ),
        (
            "Under drift alone the hints make the regret negative (regret with them)",
            ends["drift only", "with hints"] < 0 < ends["drift only", "without"] if scale != "smoke" else None,
            ends["drift only", "with hints"],
        ),
        (
            "Under noise alone they change it by less than a fifth (regret with over without)",
            abs(ends["noise only", "with hints"] / ends["noise only", "without"] - 1) < 0.2
            if scale != "smoke"
            else None,
            ends["noise only", "with hints"] / ends["noise only", "without"],
        ),
        (
            "Under noise the regret grows no faster than the square root of the rounds (slope at most 0.6)",
            noisy <= 0.6 if scale != "smoke" else None,
            noisy,
        ),
    ]
    rows = {
        "setting": np.concatenate([np.full(places.size, title) for title, _ in runs]),
        "method": np.concatenate([np.full(places.size, name) for _, name in runs]),
        "round": np.tile(places, len(runs)),
        "regret": np.concatenate([np.mean(regret, axis=0) for regret in runs.values()]),
    }
    caption = f"Linear losses on the unit ball in five dimensions; means and ranges of {seeds} streams."
    return optlab.Figure(rows, draw, claims, caption, panels=(1, 3), figsize=(10.2, 3.3))
