"""The step size NGN takes along a run, with a constant sigma: does it warm up and decay without a schedule?

``gamma = sigma / (1 + sigma q)``, ``q = ||g||^2 / (2f)``: it follows the curvature estimate q. Orvieto, Xiao 2024
report warm-up, then decay, for deep networks.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.plotting import log_axes, style
from optlab.reproduce import at_scale, table
from optlab.stochastic import NGN, trace

from ._common import PAPER, cancer_problem, digits_problem, network_problem, run

SIGMAS = (0.3, 1.0, 3.0)


def windows(n: int) -> np.ndarray:
    """Return the ends of windows that grow with the step: 1..6 singly, then a sixth of a decade each."""
    return np.unique(
        np.concatenate([np.arange(1, 7), np.geomspace(6, n, max(4, round(8 * np.log10(n / 6)))).astype(int)])
    )


def summarise(step_sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of the windows, and three quantiles (10, 50, 90 %) of the step size in them."""
    ends = windows(step_sizes.shape[1])
    starts = np.concatenate([[0], ends[:-1]])
    middles = np.sqrt((starts + 1.0) * ends)
    return middles, np.array([np.quantile(step_sizes[:, a:b], [0.1, 0.5, 0.9]) for a, b in zip(starts, ends)]).T


@optlab.figure(id="ngn-step-trace", paper=PAPER, title="The step sizes NGN takes with a constant σ")
def figure(scale: str, seed: int) -> optlab.Figure:
    n, hidden, passes, seeds = at_scale(scale, (600, 16, 10, 2), (1797, 64, 40, 3), (1797, 64, 200, 10))
    cases = {
        "breast cancer, logistic": (cancer_problem(), 32),
        "digits, softmax": (digits_problem(n), 64),
        "digits, network": (network_problem(n, hidden), 64),
    }
    curves, rows, finals = {}, [], {}
    for name, (problem, batch) in cases.items():
        steps = passes * problem.n_samples // batch
        for sigma in SIGMAS:
            results = [
                run(problem, NGN(sigma, batch_size=batch, sampling="shuffle", trace=True), steps, seed=seed + i)
                for i in range(seeds)
            ]
            gammas = np.array([trace(r)["step_size"] for r in results])
            finals[name, sigma] = float(np.median([r.metrics["objective"] for r in results]))
            k, quantiles = curves[name, sigma] = summarise(gammas)
            rows += [
                {"problem": name, "sigma": sigma, "iteration": a, "low": q[0], "median": q[1], "high": q[2]}
                for a, q in zip(k, quantiles.T)
            ]

    def draw(axes):
        for ax, name in zip(axes, cases):
            for i, sigma in enumerate(SIGMAS):
                k, (low, middle, high) = curves[name, sigma]
                look = style(i) | {"markevery": 3}
                ax.plot(k, middle / sigma, label=f"σ = {sigma:g}", **look)
                ax.fill_between(k, low / sigma, high / sigma, color=look["color"], alpha=0.18, linewidth=0)
            ax.axhline(1.0, color="#555b66", linewidth=1.0, linestyle=(0, (4, 2)))
            ax.set(title=name, xlabel="step k", ylim=(0, 1.08), xlim=(1, k[-1]))
            log_axes(ax, "x")
        axes[0].set_ylabel(r"step size $\gamma_k / \sigma$")
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    def shape(name, sigma):
        """First step, highest window, last window: as shares of sigma."""
        middle = curves[name, sigma][1][1] / sigma
        return float(middle[0]), float(middle.max()), float(middle[-1]), int(np.argmax(middle)), middle

    ends = {key: shape(*key) for key in curves}
    convex = [key for key in curves if "network" not in key[0]]
    net = {sigma: ends["digits, network", sigma] for sigma in SIGMAS}
    enough = scale != "smoke"
    after = {s: float(v[4][v[3] :].min()) for s, v in net.items()}
    claims = [
        (
            "The step never exceeds σ (largest γ / σ).",
            max(float(q[2].max()) / s for (_, s), (_, q) in curves.items()) <= 1.0,
            max(float(q[2].max()) / s for (_, s), (_, q) in curves.items()),
        ),
        (
            "Every convex run warms up: the last steps are longer than the first (smallest ratio over σ).",
            min(ends[key][2] / ends[key][0] for key in convex) > 1.0,
            min(ends[key][2] / ends[key][0] for key in convex),
        ),
        (
            "They do not decay afterwards: the last steps are within 10 % of the longest (smallest ratio).",
            min(ends[key][2] / ends[key][1] for key in convex) > 0.9 if enough else None,
            min(ends[key][2] / ends[key][1] for key in convex),
        ),
        (
            "On the network the step warms up with σ of 1 and more (longest window over the first step: σ = 1, 3).",
            all(net[s][1] / net[s][0] > 1.02 for s in (1.0, 3.0)) if enough else None,
            [net[s][1] / net[s][0] for s in (1.0, 3.0)],
        ),
        (
            "Then it decays, by a tenth or more, at every σ (smallest window after the longest, over the longest).",
            all(after[s] / net[s][1] < 0.9 for s in SIGMAS) if enough else None,
            [after[s] / net[s][1] for s in SIGMAS],
        ),
        (
            "The decay does not last: at σ = 3, once the network fits the data, the step grows (last over shortest).",
            net[3.0][2] / after[3.0] > 1.2 if enough else None,
            net[3.0][2] / after[3.0],
        ),
    ]
    fits = ", ".join(f"{finals['digits, network', s]:.2g}" for s in SIGMAS)
    caption = (
        f"Step size over σ: median and 10th to 90th percentile in windows of growing length, {seeds} seeds, {passes} "
        "passes. Warm-up, then decay, is what the network shows; on the convex problems there is only a warm-up, as "
        "the curvature of the logistic loss fades with the loss. That of a network grows while it learns, and fades "
        "once it fits the data. "
        f"Final losses of the network: {fits}."
    )
    return optlab.Figure(table(rows), draw, claims, caption, panels=(1, 3), figsize=(12.0, 3.4))
