"""One-dimensional toys: the limit cycle of large sigma when the minimum is positive, and growth like ln sigma.

Left and middle: ``f = x^2/2 + f*`` with the full gradient. For sigma > 2 NGN ends in a 2-cycle x <-> -x with
``|x|^2 = 2 f* a/(1 - a)``, ``a = 1/2 - 1/sigma`` (derived here); knowing f* (`lower_bound`) removes it. Right: two
logistic samples that contradict each other.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes, seed_band, style, theory_line
from optlab.reproduce import at_scale, table
from optlab.stochastic import NGN, SGD, LeastSquares, LogisticRegression, PolyakSGD, trace

from ._common import PAPER, look, run

F_STAR = 0.5
START = 3.7
SHOWN = (1.5, 3.0, 10.0, 100.0)
TOYS = {
    "NGN": lambda sigma: NGN(sigma, trace=True),
    "SPS_max (c = ½)": lambda sigma: PolyakSGD(sigma, trace=True),
    "SGD": lambda sigma: SGD(sigma, trace=True),
}


def cycle(sigma: np.ndarray) -> np.ndarray:
    """Return the amplitude of the limit cycle (curvature 1), 0 where the minimum attracts."""
    a = np.maximum(0.5 - 1.0 / np.asarray(sigma), 0.0)
    return np.sqrt(2.0 * F_STAR * a / (1.0 - a))


def amplitudes(sigma: float, steps: int, **options) -> np.ndarray:
    """Return |x_k| of NGN on ``x^2/2 + f*``: the mean of two least-squares terms, with the full gradient."""
    spread = np.sqrt(2.0 * F_STAR)
    problem = LeastSquares([[1.0], [1.0]], [spread, -spread])
    method = NGN(sigma, batch_size=2, trace=True, **options)
    # the full gradient is x itself
    return trace(run(problem, method, steps, x0=[START]))["gradient_norm"]


def shown(path: np.ndarray) -> np.ndarray:
    """Return even iterations, some in each decade: in a cycle that is not yet symmetric they are one branch."""
    return np.unique(2 * (np.geomspace(1, path.size - 1, 80).astype(int) // 2))


def farthest(method, steps: int, seed: int) -> float:
    """Return the largest |x_k| on the samples (1, +1) and (1, -1), read off the losses."""
    result = run(LogisticRegression([[1.0], [1.0]], [-1.0, 1.0]), method, steps, x0=[0.0], seed=seed)
    loss = trace(result)["loss"]
    # loss = log(1 + exp(-m)), |x| = |m|; past 30 loss and |m| are the same to rounding
    margin = np.where(loss > 30.0, loss, -np.log(np.expm1(np.clip(loss, 1e-300, 30.0))))
    return float(np.max(np.abs(margin)))


@optlab.figure(
    id="ngn-toys", paper=PAPER, title="One-dimensional toys: a limit cycle, and growth like the logarithm of σ"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    cycle_steps, logistic_steps, seeds = at_scale(
        scale, (60_000, 3_000, 2), (60_000, 200_000, 5), (200_000, 200_000, 20)
    )
    sigmas = np.concatenate([np.geomspace(1.0, 1.9, 4), np.geomspace(2.2, 100.0, at_scale(scale, 6, 14, 30))])
    paths = {sigma: amplitudes(sigma, cycle_steps) for sigma in SHOWN}
    ends = np.array([amplitudes(sigma, cycle_steps)[-1] for sigma in sigmas])
    informed = np.array([amplitudes(s, 60, lower_bound=F_STAR)[-1] for s in (10.0, 1e3, 1e6)])
    late = []
    slow = np.array([10.0, 20.0, 50.0, 100.0])
    for sigma in slow:
        off = np.flatnonzero(np.abs(amplitudes(sigma, cycle_steps) / cycle(sigma) - 1.0) > 1e-3)
        late.append(float(off[-1] + 2 if off.size else 1))

    grid = np.logspace(0, 12, at_scale(scale, 4, 13, 25))
    far = {
        name: np.array([[farthest(make(s), logistic_steps, seed + i) for s in grid] for i in range(seeds)])
        for name, make in TOYS.items()
    }
    data = {
        "path": table([{"sigma": s, "iteration": k, "x": path[k]} for s, path in paths.items() for k in shown(path)]),
        "cycle": {"sigma": sigmas, "measured": ends, "formula": cycle(sigmas)},
        "farthest": table(
            [
                {"method": name, "sigma": s, "seed": seed + i, "largest_x": values[i, j]}
                for name, values in far.items()
                for i in range(seeds)
                for j, s in enumerate(grid)
            ]
        ),
    }

    def draw(axes):
        left, middle, right = axes
        for i, (sigma, path) in enumerate(paths.items()):
            k = shown(path)
            left.plot(k + 1, np.maximum(path[k], 1e-9), label=f"σ = {sigma:g}", **(style(i) | {"markevery": (i, 7)}))
        left.set(title="Distance to the minimum", xlabel="k + 1, even iterations", ylabel=r"$|x_k|$")
        left.set(ylim=(3e-7, 10), xlim=(1, 3e4))
        log_axes(left, "xy")
        left.legend(loc="lower right")

        fine = np.geomspace(1.0, 100.0, 400)
        theory_line(middle, fine, 1.0 + cycle(fine) ** 2 / (2.0 * F_STAR), label="closed form")
        middle.plot(
            sigmas,
            1.0 + ends**2 / (2.0 * F_STAR),
            linestyle="",
            marker="o",
            color=style(0)["color"],
            label="NGN, last step",
        )
        middle.axvline(2.0, color="#9aa1ab", linewidth=0.8)
        middle.annotate(r"$2/\lambda$", (2.0, 1.9), xytext=(-4, 0), textcoords="offset points", ha="right", fontsize=8)
        middle.set(title="Where it ends", xlabel=r"$\sigma$", ylabel=r"final loss / $f^*$", ylim=(0.9, 2.1))
        log_axes(middle, "x")
        middle.legend(loc="lower right")

        lines = []
        for name, values in far.items():
            lines.append(seed_band(right, grid, values, label=name, **look(name)))
        theory_line(right, grid, np.log(grid) + 15.0)
        right.annotate(r"$\ln\sigma + 15$", (1e8, 34), xytext=(0, 10), textcoords="offset points", fontsize=8)
        right.set(
            title="Two contradicting logistic samples",
            xlabel=r"$\sigma$",
            ylabel=r"largest $|x_k|$",
            xlim=(0.5, 2e12),
            ylim=(1, 3e3),
        )
        log_axes(right, "xy")
        right.legend(handles=lines, loc="upper right")

    inside, outside = sigmas < 2.0, sigmas > 2.0
    error = float(np.max(np.abs(ends[outside] / cycle(sigmas[outside]) - 1.0)))
    growth = float(np.polyfit(np.log(slow), np.log(late), 1)[0])
    ngn, polyak, sgd = far.values()
    excess = float(np.max(ngn - np.log(grid)))
    steep = float(np.polyfit(np.log(grid[grid >= 1e2]), np.median(ngn, axis=0)[grid >= 1e2], 1)[0])
    big = grid >= 1e2
    enough = scale != "smoke"
    claims = [
        (
            "For σ < 2/λ NGN reaches the minimum (largest |x| at the end).",
            float(ends[inside].max()) < 1e-6,
            float(ends[inside].max()),
        ),
        (
            "For σ > 2/λ it ends in the 2-cycle of the closed form (largest relative error of |x|).",
            error < 1e-6 if enough else None,
            error,
        ),
        (
            "As σ grows the loss of the cycle tends to twice the minimum (loss / f* at the largest σ).",
            abs(1.0 + ends[-1] ** 2 / (2 * F_STAR) - 2.0) < 0.05,
            1.0 + float(ends[-1]) ** 2 / (2 * F_STAR),
        ),
        (
            "Reaching the cycle takes steps in proportion to σ² (log-log slope of the steps to 0.1 %, within 0.2).",
            abs(growth - 2.0) < 0.2,
            growth,
        ),
        (
            "Knowing f* removes the cycle, up to σ = 1e6 (largest |x| after 60 steps).",
            float(informed.max()) < 1e-6,
            float(informed.max()),
        ),
        (
            "Contradicting samples: |x| stays below ln σ + 15, every seed (largest |x| − ln σ).",
            excess <= 15.0,
            excess,
        ),
        (
            "Its growth for σ ≥ 100 is logarithmic (slope of |x| in ln σ, between 0.5 and 2).",
            0.5 < steep < 2.0,
            steep,
        ),
        (
            "SGD goes as far as σ/2 (smallest largest |x| / σ for σ ≥ 100, within 2 %).",
            float(np.min(sgd[:, big] / grid[big])) >= 0.49,
            float(np.min(sgd[:, big] / grid[big])),
        ),
        (
            "SPS_max goes no farther than 2.5 times NGN: bounded steps, not the smooth mean of the two, keep it near.",
            float(np.max(np.median(polyak, axis=0) / np.median(ngn, axis=0))) <= 2.5,
            float(np.max(np.median(polyak, axis=0) / np.median(ngn, axis=0))),
        ),
    ]
    caption = (
        f"Left and middle: NGN with the full gradient on x²/2 + f*, f* = 1/2, from {START}. Past σ = 2/λ the minimum "
        "repels and the run ends in a cycle x, −x; the loss there is at most twice the minimum. Right: largest |x| in "
        f"{logistic_steps} steps on two logistic samples with opposite labels, {seeds} seeds (band: 10th to 90th "
        "percentile). SGD leaves the axes."
    )
    return optlab.Figure(data, draw, claims, caption, panels=(1, 3), figsize=(12.2, 3.5))
