"""Policy mirror descent on continuous actions: rates on the linear-quadratic regulator, exact at every step."""

from __future__ import annotations

from itertools import islice

import numpy as np

import optlab
from optlab.plotting import log_axes, style, theory_line
from optlab.policy import GaussianMirrorDescent, HewerPolicyIteration
from optlab.policy.environments import lqr
from optlab.reproduce import at_scale, table
from optlab.splitting import Geometric

from ._common import PAPER, visible

RATIOS = (1 / 0.95, 1.5, 2.0, 10.0)


@optlab.figure(id="dapo-regulator", paper=PAPER, title="Gaussian policies on the linear-quadratic regulator")
def figure(scale: str, seed: int) -> optlab.Figure:
    n, draws = at_scale(scale, (60, 2), (300, 10), (1000, 50))
    methods = {"constant": GaussianMirrorDescent(1.0)}
    for ratio in RATIOS:
        methods[f"growing by {ratio:.3g}"] = GaussianMirrorDescent(Geometric(1.0, growth=ratio, maximum=1e300))
    methods["policy iteration"] = HewerPolicyIteration()
    errors = {name: [] for name in methods}
    for i in range(draws):
        problem = lqr(seed=seed + i)
        for name, method in methods.items():
            gains = (state.gain for state in islice(optlab.iterate(problem, method), n + 1))
            errors[name].append([np.linalg.norm(gain - problem.optimal_gain) for gain in gains])
    middle = {name: np.median(values, axis=0) for name, values in errors.items()}
    k = np.arange(n + 1)
    rows = [
        {"steps": name, "iteration": i, "gain_error": value} for name, v in middle.items() for i, value in enumerate(v)
    ]

    def draw(axes):
        for i, (name, values) in enumerate(middle.items()):
            axes[0].plot(k, visible(values), label=name, **style(i) | {"markevery": 0.1})
        axes[0].set(
            title="all rules", xlabel="iteration k", ylabel=r"$\|K_k - K^*\|$", xlim=(0, 120), ylim=(1e-13, 1e1)
        )
        log_axes(axes[0], "y")
        axes[0].legend(loc="lower right", title="step sizes", title_fontsize=8)
        axes[1].plot(k[1:], middle["constant"][1:], **style(0) | {"markevery": 0.1})
        theory_line(axes[1], k[1:], middle["constant"][-1] * n / k[1:], "slope −1")
        axes[1].set(title="constant steps", xlabel="iteration k", xlim=(1, n))
        log_axes(axes[1], "xy")
        axes[1].legend(loc="upper right")

    slope = float(np.log(middle["constant"][n] / middle["constant"][n // 4]) / np.log(4.0))
    fitted = []
    for ratio in RATIOS[:3]:
        error = middle[f"growing by {ratio:.3g}"]
        seen = np.flatnonzero((error < 1e-3) & (error > 1e-11))
        seen = seen[len(seen) // 2 :]
        fitted.append(float(np.exp(-np.polyfit(seen, np.log(error[seen]), 1)[0])) if len(seen) > 4 else np.nan)
    deviation = max(abs(np.log(value) / np.log(ratio) - 1) for value, ratio in zip(fitted, RATIOS))
    hewer = int(np.argmax(middle["policy iteration"] < 1e-10))
    claims = [
        ("Constant steps: the error of the gain falls like 1/k (slope).", abs(slope + 1) < 0.1, slope),
        (
            "Steps growing by a factor r: it falls like r^-k (fitted factors for 1.05, 1.5, 2).",
            bool(deviation < 0.1) if scale != "smoke" else None,
            fitted,
        ),
        ("Policy iteration, the limit of infinite steps, needs at most 8 iterations to 1e-10.", hewer <= 8, hewer),
    ]
    caption = (
        f"Three states, two inputs, discount 0.95; median over {draws} random regulators; start K = 0, covariance I."
    )
    return optlab.Figure(table(rows), draw, claims, caption, panels=(1, 2), figsize=(10.5, 3.8))
