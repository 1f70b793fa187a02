"""E4: an optimal transport instance on which Bregman Douglas-Rachford diverges, and two cures.

Found here by search and confirmed in 60-digit arithmetic; there is no proof. The convergence theorem of Ma, Xiao, Zhao
(2025) needs an assumption that optimal transport violates, and this instance says that some assumption is needed.
The optimal dual potentials are absorbed into the cost, so that bounded potentials mean convergence.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets import divergence_counterexample
from optlab.plotting import PALETTE, label_lines, log_axes, theory_line
from optlab.reproduce import at_scale
from optlab.splitting import BregmanDouglasRachford, Geometric
from optlab.transport import GaugedCost, MirrorPlan, OptimalTransport

from ._common import PAPER, dual_of_plan, exact_transport, log_points, slope

CURE_ITERATIONS = 5000
LOOKS = {
    "60": (PALETTE[0], "-"),
    "70": (PALETTE[4], "-"),
    "80": (PALETTE[1], "-"),
    "100": (PALETTE[2], "-"),
    "growing": (PALETTE[5], (0, (1, 1))),
    "damped": (PALETTE[3], (0, (3, 1, 1, 1))),
}
LABELS = {
    "60": r"$\gamma=60$",
    "70": r"$\gamma=70$",
    "80": r"$\gamma=80$",
    "100": r"$\gamma=100$",
    "growing": r"$\gamma$: 3 to 100",
    "damped": r"100, $\varepsilon=10^{-5}$",
}


def follow(problem, method, start, n_iter: int) -> dict[str, np.ndarray]:
    """Return marginal error and size of the potentials at log-spaced iterations."""
    wanted, rows = {*log_points(n_iter), n_iter // 2, n_iter}, []
    for k, state in zip(range(n_iter + 1), optlab.iterate(problem, method, x0=start)):
        if k in wanted:
            size = max(np.max(np.abs(state.z.row)), np.max(np.abs(state.z.column)))
            rows.append((k, problem.primal(state.x).marginal_error, size))
    k, error, size = np.array(rows).T
    return {"iteration": k, "marginal_error": error, "potential_size": size}


@optlab.figure(id="bdrs-counterexample", paper=PAPER, title="Optimal transport: a large constant step size can diverge")
def figure(scale: str, seed: int) -> optlab.Figure:
    n_iter = at_scale(scale, 1500, 20_000, 100_000)
    a, b, C = divergence_counterexample()
    _, psi = potentials = dual_of_plan(exact_transport(a, b, C)[0], C)
    absorbed = OptimalTransport(a, b, GaugedCost(C, *potentials))

    def start(step_size: float) -> MirrorPlan:
        # the plan of ones, seen through the absorbed potentials
        return MirrorPlan(np.zeros(3), -step_size * psi, 0.0)

    runs = {}
    for gamma in at_scale(scale, (60, 100), (60, 70, 80, 100), (60, 70, 80, 100)):
        runs[str(gamma)] = follow(absorbed, BregmanDouglasRachford(float(gamma)), start(gamma), n_iter)
    cure_iter = min(n_iter, CURE_ITERATIONS)
    growing = BregmanDouglasRachford(Geometric(3.0, 1.003, 100.0))
    runs["growing"] = follow(absorbed, growing, start(3.0), cure_iter)
    if scale != "smoke":
        # the damping acts on the potentials themselves: no gauge here, and their size is not shown
        damped = OptimalTransport(a, b, C, regularization=1e-5, cost_split=1.0)
        runs["damped"] = follow(damped, BregmanDouglasRachford(100.0), None, CURE_ITERATIONS)
        runs["damped"]["potential_size"] = np.full_like(runs["damped"]["iteration"], np.nan)
    rows = {
        "run": np.concatenate([[LABELS[name]] * len(run["iteration"]) for name, run in runs.items()]),
        **{
            key: np.concatenate([run[key] for run in runs.values()])
            for key in ("iteration", "marginal_error", "potential_size")
        },
    }

    def draw(axes):
        for name, run in runs.items():
            color, line = LOOKS[name]
            for ax, key in zip(axes, ("marginal_error", "potential_size")):
                ax.plot(run["iteration"], run[key], color=color, linestyle=line, linewidth=1.3, label=LABELS[name])
        axes[0].set(ylabel="marginal error (L1)", ylim=(1e-16, 10), title="Distance from the marginals")
        axes[1].set(ylabel="largest potential", title="Potentials, optimal duals absorbed")
        tail = runs["100"]
        k = tail["iteration"][tail["iteration"] >= 30]
        line = theory_line(axes[1], k, 3.0 * tail["potential_size"][-1] * k / k[-1])
        axes[1].annotate(
            "slope 1",
            (k[0] * 4, line.get_ydata()[0] * 4),
            xytext=(-3, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=line.get_color(),
        )
        for ax in axes:
            ax.set(xlabel="iteration k", xlim=(1, n_iter))
            log_axes(ax, "xy")
        label_lines(axes[0])
        if scale == "smoke":  # few enough to fit; otherwise the left panel's legend serves both
            label_lines(axes[1])

    end = {name: float(run["marginal_error"][-1]) for name, run in runs.items()}
    late = {
        name: np.interp([n_iter / 2, n_iter], run["iteration"], run["potential_size"]) for name, run in runs.items()
    }
    ratio = {name: float(sizes[1] / sizes[0]) for name, sizes in late.items()}
    half = runs["100"]["iteration"] >= n_iter / 10
    rate = slope(runs["100"]["iteration"][half], runs["100"]["potential_size"][half])
    claims = [
        (
            "Step size 60 converges: marginal error below 1e-10.",
            None if n_iter < 3000 else end["60"] < 1e-10,
            end["60"],
        ),
        ("Step size 70 converges.", None if "70" not in end else end["70"] < 1e-10, end.get("70")),
        (
            "Step size 80 does not: its marginal error keeps returning above 1e-2.",
            None if "80" not in end else float(np.max(runs["80"]["marginal_error"][-20:])) > 1e-2,
            None if "80" not in end else float(np.max(runs["80"]["marginal_error"][-20:])),
        ),
        (
            "Nor does step size 100.",
            float(np.max(runs["100"]["marginal_error"][-20:])) > 1e-2 if end["60"] < 1e-2 else None,
            float(np.max(runs["100"]["marginal_error"][-20:])),
            "not tested: nor does step size 60 in this budget",
        ),
        (
            "At step size 100 the potentials grow linearly: 1.5-fold or more over the last half (slope about 33).",
            None if scale == "smoke" else ratio["100"] >= 1.5,
            f"{ratio['100']:.3g}-fold, slope {rate:.3g}",
        ),
        ("Growing the step size from 3 to 100 cures it.", end["growing"] < 1e-10, end["growing"]),
        (
            "So does a regularization of 1e-5: below 1e-6 after 5000 iterations.",
            None if "damped" not in end else end["damped"] < 1e-6,
            end.get("damped"),
        ),
    ]
    caption = (
        "The 3 x 4 instance C = ((10,2,3,4),(5,8,9,4),(9,9,3,6))/10, a = (17,14,19)/50, b = (3,16,14,17)/50, rows "
        "first, from the plan of ones. Left: marginal error; right: largest potential after the optimal duals have "
        "been "
        "absorbed. Up to step size 70 the iteration converges, from 80 on its potentials grow linearly for ever. "
        "Dotted: step size growing by 0.3 % an iteration; dash-dotted: entropic damping."
    )
    return optlab.Figure(rows, draw, claims, caption, panels=(1, 2), figsize=(9.0, 3.4))
