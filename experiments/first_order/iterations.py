"""F2: certified gap against gradients on a random lasso, for the proximal gradient method and what is faster."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.bregman.functions import L1Norm, LeastSquares
from optlab.composite import CompositeProblem
from optlab.firstorder import FISTA, PANOC, AdaptiveProximalGradient, Backtracking, ProximalGradient
from optlab.plotting import label_lines, log_axes, style
from optlab.reproduce import at_scale

METHODS = {
    "proximal gradient": ProximalGradient(),
    "FISTA": FISTA(),
    "FISTA, restarted": FISTA(restart="gradient"),
    "FISTA, restarted, L falling": FISTA(restart="gradient", backtracking=Backtracking(decrease=0.9)),
    "adaPGM": AdaptiveProximalGradient(),
    "PANOC": PANOC(),
}
TOLERANCE = 1e-9


@optlab.figure(id="first-order-lasso", paper="first-order", title="Gradients to a certified accuracy on a random lasso")
def figure(scale: str, seed: int) -> optlab.Figure:
    m, n = at_scale(scale, (50, 200), (200, 800))
    rng = np.random.default_rng(seed)
    A, x = rng.standard_normal((m, n)), np.zeros(n)
    x[rng.choice(n, n // 40, replace=False)] = rng.standard_normal(n // 40)
    b = A @ x + 0.1 * rng.standard_normal(m)
    problem = CompositeProblem(LeastSquares(A, b), 0.05 * float(np.max(np.abs(A.T @ b))) * L1Norm())
    curves, needed = {}, {}
    for name, method in METHODS.items():
        history = optlab.solve(
            problem, method, tol={"relative_gap": TOLERANCE}, max_iter=3000, record="all", progress=False
        ).history
        curves[name] = np.asarray(history["gradients"]), np.maximum(np.asarray(history["relative_gap"]), 1e-16)
        needed[name] = float(curves[name][0][-1]) if curves[name][1][-1] <= TOLERANCE else np.inf
    rows = {
        "method": np.concatenate([np.full(len(k), name) for name, (k, _) in curves.items()]),
        "gradients": np.concatenate([k for k, _ in curves.values()]),
        "relative_gap": np.concatenate([gap for _, gap in curves.values()]),
    }

    def draw(ax):
        for i, (name, (k, gap)) in enumerate(curves.items()):
            ax.plot(k + 1, gap, label=name, **(style(i) | {"markevery": (i, 19)}))
        ax.set(xlabel="gradients + 1", ylabel="certified relative gap")
        log_axes(ax, "xy")
        label_lines(ax)

    ratio = needed["FISTA"] / needed["FISTA, restarted"]
    fastest = min(needed, key=needed.get)
    claims = [
        ("Gradient restarts need fewer gradients than FISTA without (ratio above 1.5).", ratio > 1.5, ratio),
        (
            "adaPGM needs no more gradients than restarted FISTA, without a constant (ratio).",
            needed["adaPGM"] <= needed["FISTA, restarted"],
            needed["adaPGM"] / needed["FISTA, restarted"],
        ),
        (
            "Plain proximal gradient is not the fastest (gradients of the fastest).",
            fastest != "proximal gradient",
            needed[fastest],
        ),
    ]
    caption = (
        f"Certified relative duality gap against gradients on a lasso of {m} x {n} Gaussian entries, weight a "
        "twentieth of the largest useful one."
    )
    return optlab.Figure(rows, draw, claims, caption)
