"""Residual of the last iterate over component evaluations: variance-reduced Halpern and methods that see the mean."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.games import (
    Extragradient,
    FastExtragradient,
    FiniteSumInclusion,
    GradientDescentAscent,
    VarianceReducedHalpern,
)
from optlab.plotting import log_axes, style
from optlab.reproduce import at_scale
from optlab.wrappers import Halpern


def cocoercive(n: int, seed: int, d: int = 20, unlike: float = 0.1) -> FiniteSumInclusion:
    """Return ``S ((1 - c) I + c d v_i v_i^T) S`` with unit v_i and ``S^2`` of condition 10,000: all alike for c = 0."""
    rng = np.random.default_rng([seed, n])
    v = rng.normal(size=(n, d))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    inner = (1.0 - unlike) * np.eye(d) + unlike * d * np.einsum("ni,nj->nij", v, v)
    root = np.sqrt(np.geomspace(1e-4, 1.0, d))
    return FiniteSumInclusion(root[:, None] * inner * root, 0.1 * rng.normal(size=(n, d)))


def curve(problem, method, start: np.ndarray, full: int, passes: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return component evaluations over n, and residuals, for a number of passes."""
    n, rows = problem.n, []
    for state in optlab.iterate(problem, method, x0=start, seed=seed):
        inner = getattr(state, "image", state)
        calls = inner.oracle_calls * full / n
        if not rows or calls >= rows[-1][0] + passes / 400:
            rows.append((calls, problem.measure(method.iterate(problem, state))["residual"]))
        if calls >= passes:
            break
    return tuple(np.array(rows).T)


@optlab.figure(
    id="games-component-calls", paper="games", title="Finite sums: residual of the last iterate per component"
)
def figure(scale: str, seed: int) -> optlab.Figure:
    sizes, passes = at_scale(scale, ((100, 1000), 60.0), ((400, 10_000), 600.0))
    runs = {}
    for n in sizes:
        problem = cocoercive(n, seed)
        start = problem.solution() + np.ones(problem.size)
        methods = {
            "variance-reduced Halpern": (VarianceReducedHalpern(), 1),
            "Halpern": (Halpern(GradientDescentAscent(2.0 / problem.lipschitz)), n),
            "fast extragradient": (FastExtragradient(), n),
            "extragradient": (Extragradient(), n),
        }
        for name, (method, full) in methods.items():
            runs[n, name] = curve(problem, method, start, full, passes, seed)
        scaled = problem.cocoercivity * np.sqrt(problem.size)
        runs[n, "scale"] = (np.array([problem.cocoercivity / problem.lipschitz]), np.array([scaled]))

    names = ["variance-reduced Halpern", "Halpern", "fast extragradient", "extragradient"]

    def draw(axes):
        for ax, n in zip(axes, sizes):
            for i, name in enumerate(names):
                calls, residual = runs[n, name]
                ax.plot(calls, residual, label=name, **(style(i) | {"markevery": (20 * i, 80)}))
            ax.set(title=f"{n:,} components", xlabel="component evaluations / n")
            log_axes(ax, "xy")
        axes[0].set_ylabel("norm of the operator")
        axes[0].legend(fontsize=7, loc="lower left")

    ends = {n: {name: float(runs[n, name][1][-1]) for name in names} for n in sizes}
    small, large = sizes
    claims = [
        (
            "On the larger sum variance reduction ends below Halpern's iteration (ratio of residuals)",
            ends[large][names[0]] < ends[large]["Halpern"] if scale != "smoke" else None,
            ends[large][names[0]] / ends[large]["Halpern"],
        ),
        (
            "On the smaller it does not pay yet (ratio of residuals above 1)",
            ends[small][names[0]] > ends[small]["Halpern"],
            ends[small][names[0]] / ends[small]["Halpern"],
        ),
    ]
    rows = {
        "n": np.concatenate([np.full(len(runs[n, m][0]), n) for n in sizes for m in names]),
        "method": np.concatenate([np.full(len(runs[n, m][0]), m) for n in sizes for m in names]),
        "passes": np.concatenate([runs[n, m][0] for n in sizes for m in names]),
        "residual": np.concatenate([runs[n, m][1] for n in sizes for m in names]),
    }
    ratio = ", ".join(f"{float(runs[n, 'scale'][0][0]):.2f}" for n in sizes)
    caption = f"Cocoercive sums in 20 variables; constant of the components over that of the mean: {ratio}."
    return optlab.Figure(rows, draw, claims, caption, panels=(1, 2), figsize=(8.6, 3.6))
