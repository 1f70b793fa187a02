"""E6: on entropic transport Bregman Douglas-Rachford at its best step size is an accelerated Sinkhorn iteration.

With sigma_2 the second singular value of ``diag(a)^{-1/2} X diag(b)^{-1/2}`` at the solution, the best step size is
``2 sigma_2 sqrt(1 - sigma_2^2) / eps``; its rate is about ``1 - sqrt(2 (1 - sigma_2))`` against Sinkhorn's
``1 - 2 (1 - sigma_2)`` (derived here). The best over-relaxation is ``2 / (1 + sqrt(1 - sigma_2^2))``.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets import transport_family
from optlab.plotting import PALETTE, log_axes, theory_line
from optlab.reproduce import at_scale, first_below, table
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import OptimalTransport, Sinkhorn

from ._common import PAPER, slope
from ._rates import entropic_rate, fitted_rate, singular_values

LEVEL = 1e-9
METHODS = {
    "sinkhorn": ("Sinkhorn", "-", "o"),
    "best": (r"Douglas–Rachford, $\gamma^\ast$", "-", "s"),
    "adaptive": (r"Douglas–Rachford, $\sigma_2$ estimated", ":", "^"),
    "overrelaxed": ("over-relaxed Sinkhorn, best ω", "-.", "D"),
}
COLORS = {"sinkhorn": PALETTE[7], "best": PALETTE[1], "adaptive": PALETTE[2], "overrelaxed": PALETTE[4]}


def scaled_row(state, problem) -> np.ndarray:
    """Return the dual potential f of a state of either method, without its mean."""
    point = state.mirror if hasattr(state, "mirror") else state.x
    f = point.row / point.inverse_temperature
    return f - f.mean()


def errors(problem, method, limit: np.ndarray, n_iter: int) -> np.ndarray:
    """Return the largest error of the potential after 1, 2, ... iterations, until well below the level."""
    values: list[float] = []
    try:
        for k, state in zip(range(n_iter + 1), optlab.iterate(problem, method)):
            if k:
                values.append(float(np.max(np.abs(scaled_row(state, problem) - limit))))
                if values[-1] < 0.01 * LEVEL or not np.isfinite(values[-1]):
                    break
    except ArithmeticError:  # over-relaxation from a cold start can diverge
        pass
    return np.array(values)


def reference(a, b, C, eps: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the limit of the potential f and the singular values of the optimal plan."""
    problem = OptimalTransport(a, b, C, regularization=eps, cost_split=1.0)
    result = optlab.solve(problem, BregmanDouglasRachford(), max_iter=30_000, tol={"marginal_error": 1e-14})
    return scaled_row(result.state, problem), singular_values(result.solution.raw.dense())


@optlab.figure(
    id="bdrs-entropic-acceleration", paper=PAPER, title="Entropic transport: an accelerated Sinkhorn iteration"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    n, budget = at_scale(scale, (20, 1500), (100, 8000), (100, 40_000))
    grid = {
        "rand": at_scale(
            scale, (0.1, 0.03, 0.01), (0.1, 0.03, 0.01, 0.003, 0.001), (0.1, 0.03, 0.01, 0.003, 0.001, 0.0005)
        ),
        "l2": at_scale(scale, (0.1, 0.03), (0.1, 0.03, 0.01, 0.003), (0.1, 0.03, 0.01, 0.003, 0.002)),
    }
    rows, example = [], {}
    for family, levels in grid.items():
        a, b, C = transport_family(family, n, seed=seed)
        for eps in levels:
            limit, values = reference(a, b, C, eps)
            sigma = float(values[0])
            best = 2.0 * sigma * np.sqrt(1.0 - sigma**2) / eps
            omega = 2.0 / (1.0 + np.sqrt(1.0 - sigma**2))
            problem = OptimalTransport(a, b, C, regularization=eps, cost_split=1.0)
            methods = {
                "sinkhorn": Sinkhorn(),
                "best": BregmanDouglasRachford(best),
                "adaptive": BregmanDouglasRachford(),
                "overrelaxed": Sinkhorn(overrelaxation=omega),
            }
            row = {"family": family, "regularization": eps, "sigma_2": sigma}
            for name, method in methods.items():
                curve = errors(problem, method, limit, budget)
                row[name] = first_below(np.arange(1, curve.size + 1), curve, LEVEL)
            rows.append(row)
            if family == "rand" and eps == 0.01:
                example = {"problem": problem, "limit": limit, "values": values, "best": best, "eps": eps}
    data = table(rows)

    # rate over the step size, on one instance
    multiples = np.array(
        at_scale(scale, (0.3, 1.0, 3.0), (0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0), np.geomspace(0.1, 10, 21))
    )
    sigma, eps, best = float(example["values"][0]), example["eps"], example["best"]
    fine = np.geomspace(0.1, 10, 200)
    # started at the inverse temperature 1 / eps, its own mode is absent
    theory = [entropic_rate(example["values"][:3], eps, m * best, temperature_mode=False) for m in fine]
    measured = []
    for m in multiples:
        curve = errors(example["problem"], BregmanDouglasRachford(m * best), example["limit"], 4000)
        measured.append(fitted_rate(curve, 1e-2 * curve.max(), 3e-11))
    measured = np.array(measured)

    def draw(axes):
        left, right = axes
        marks = {"rand": "full", "l2": "none"}
        for family in grid:
            pick = data["family"] == family
            for name, (_, line, marker) in METHODS.items():
                left.plot(data["regularization"][pick], data[name][pick], linestyle=line, marker=marker, markersize=5.5,
                          color=COLORS[name], fillstyle=marks[family], linewidth=1.2)  # fmt: skip
        handles = [
            left.plot([], [], linestyle=line, marker=marker, color=COLORS[name], label=label)[0]
            for name, (label, line, marker) in METHODS.items()
        ]
        handles += [
            left.plot([], [], "o", color="0.4", fillstyle=fill, label=label)[0]
            for fill, label in (("full", "uniform random costs"), ("none", "Euclidean distance"))
        ]
        ends = np.array([min(grid["rand"]), max(grid["rand"])])
        top = 1.6 * np.nanmax(data["sinkhorn"])
        theory_line(left, ends, top * ends[0] / ends)
        theory_line(left, ends, 0.16 * top * np.sqrt(ends[0] / ends))
        for y, text in ((top, r"$\propto 1/\varepsilon$"), (0.16 * top, r"$\propto 1/\sqrt{\varepsilon}$")):
            left.annotate(text, (ends[0], y), xytext=(-4, -2), textcoords="offset points", fontsize=8, ha="right")
        left.set(xlabel=r"regularization $\varepsilon$ (over the largest cost)",
                 ylabel=r"iterations to an error of $10^{-9}$",
                 title="Error of the potentials", xlim=(0.35 * ends[0], 1.3 * ends[1]), ylim=(5, 4 * top))  # fmt: skip
        log_axes(left, "xy")
        left.legend(handles=handles, loc="upper right", fontsize=7, labelspacing=0.25)
        theory_line(right, fine, theory, label="predicted")
        right.plot(multiples, measured, "s", color=COLORS["best"], label="measured")
        right.axhline(sigma**2, color=COLORS["sinkhorn"], linewidth=1.3)
        right.annotate(
            r"Sinkhorn, $\sigma_2^2$", (10, sigma**2), xytext=(0, 3), ha="right", textcoords="offset points", fontsize=8
        )
        right.set(
            xlabel=r"step size $\gamma/\gamma^\ast$",
            ylabel="linear rate",
            title=rf"Rate, random costs, $\varepsilon={eps:g}$",
        )
        log_axes(right, "x")
        right.legend(loc="lower right")

    def exponent(family: str, name: str) -> float:
        pick = (data["family"] == family) & np.isfinite(data[name]) & (data["regularization"] <= 0.03)
        return slope(np.log(data["regularization"][pick]), np.log(data[name][pick])) if pick.sum() > 1 else float("nan")

    enough = scale != "smoke"
    last = {family: np.flatnonzero(data["family"] == family)[-1] for family in grid}
    gains = [float(data["sinkhorn"][i] / data["best"][i]) for i in last.values()]
    adaptive = data["adaptive"] / data["best"]
    sinkhorn_power, best_power = ([exponent(f, name) for f in grid] for name in ("sinkhorn", "best"))
    at = {
        m: abs(float(measured[i]) - float(np.interp(np.log(m), np.log(fine), theory))) for i, m in enumerate(multiples)
    }
    claims = [
        (
            "At the smallest regularization Douglas–Rachford at its best step size needs less than a fifth of "
            "Sinkhorn's "
            "iterations (ratios, random costs and Euclidean distance).",
            min(gains) > 5 if enough else None,
            gains,
        ),
        (
            "Sinkhorn's iterations grow at least like 1/eps (fitted exponents at most -1).",
            all(p <= -1 for p in sinkhorn_power) if enough else None,
            sinkhorn_power,
        ),
        (
            "Those of Douglas–Rachford grow like its square root: exponents half as large (ratios within 0.5 +- 0.1).",
            all(abs(p / q - 0.5) < 0.1 for p, q in zip(best_power, sinkhorn_power)) if enough else None,
            [p / q for p, q in zip(best_power, sinkhorn_power)],
        ),
        (
            "Estimating sigma_2 on the way costs less than a factor of 2 against knowing it (largest ratio).",
            bool(np.nanmax(adaptive) < 2 and np.all(np.isfinite(adaptive))),
            float(np.nanmax(adaptive)),
        ),
        (
            "The measured rates follow the prediction to 0.03 over two decades of step sizes (largest difference).",
            max(at.values()) < 0.03,
            max(at.values()),
        ),
        (
            "Ten times too large or too small a step size loses most of the gain: the rate is closer to Sinkhorn's "
            "than to the best.",
            bool(min(measured[0], measured[-1]) > 0.5 * (sigma**2 + measured.min())) if enough else None,
            [float(measured[0]), float(measured.min()), float(measured[-1]), sigma**2],
        ),
    ]
    caption = (
        f"Left: iterations until the potential is within {LEVEL:g} of its limit ({n} x {n}; filled: uniform random "
        f"costs, "
        "open: Euclidean distance; missing points: not reached, over-relaxation can diverge from a cold start). Right: "
        "measured and predicted linear rate over the step size, and Sinkhorn's."
    )
    rates = {
        "multiple": multiples,
        "measured": measured,
        "predicted": np.interp(np.log(multiples), np.log(fine), theory),
    }
    return optlab.Figure({"iterations": data, "rates": rates}, draw, claims, caption, panels=(1, 2), figsize=(9.4, 3.9))
