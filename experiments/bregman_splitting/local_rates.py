"""E5: local linear rates, predicted by linearisation and measured (derived here).

* Linear transport with a unique, nondegenerate solution X*: with sigma_2 the second singular value of
  ``diag(a)^{-1/2} X* diag(b)^{-1/2}`` and s_min the smallest reduced cost off the support,
  ``rate = max( sqrt(1 - lam (2 - lam) (1 - sigma_2^2)), exp(-lam gamma s_min) )``.
* Entropic transport, ``r = 1 / (1 + gamma eps)``: the largest modulus of the eigenvalues of
  ``((1 - r, -(2r - 1) s), (s r, 2 s^2 r))`` over the singular values s < 1, or r if that is larger.
"""

from __future__ import annotations

import numpy as np

import optlab
from optlab.datasets import transport_family
from optlab.plotting import PALETTE, log_axes, theory_line
from optlab.reproduce import at_scale, table
from optlab.splitting import BregmanDouglasRachford
from optlab.transport import GaugedCost, MirrorPlan, OptimalTransport

from ._common import PAPER, dual_of_plan, exact_transport
from ._rates import entropic_rate, fitted_rate, singular_values

# relaxation, step size of the runs on linear programs
LINEAR = ((1.0, 3.0), (1.0, 20.0), (0.7, 3.0), (1.3, 20.0), (1.6, 3.0))
# regularization, multiples of the optimal step size
ENTROPIC = (("rand", 0.02), ("gauss2d", 0.01), ("l2", 0.02))
MULTIPLES = (0.1, 1.0, 3.0, 10.0)


def linear_case(size: tuple[int, int], seed: int, relaxation: float, step_size: float) -> dict | None:
    """Return predicted and measured rate, or None if the instance is degenerate, too slow or too close to call."""
    a, b, C = transport_family("rand", *size, seed=seed)
    plan = exact_transport(a, b, C)[0]
    if np.count_nonzero(plan > 1e-9) != sum(size) - 1:
        return None
    f, g = dual_of_plan(plan, C)
    reduced = C - f[:, None] - g
    s_min = float(reduced[plan <= 1e-9].min())
    sigma = float(singular_values(plan)[0])
    projected = np.sqrt(1.0 - relaxation * (2.0 - relaxation) * (1.0 - sigma**2))
    emptying = float(np.exp(-relaxation * step_size * s_min))
    rate = max(projected, emptying)
    # two modes of nearly the same rate do not part before rounding
    if not 0.5 < rate < 0.992 or abs(projected - emptying) < 0.02:
        return None
    problem = OptimalTransport(a, b, GaugedCost(C, f, g))
    start = MirrorPlan(np.zeros(size[0]), -step_size * g, 0.0)
    errors = []
    n_iter = min(int(np.log(1e-13) / np.log(rate)) + 400, 5000)
    for k, state in zip(
        range(n_iter), optlab.iterate(problem, BregmanDouglasRachford(step_size, relaxation), x0=start)
    ):
        if k:
            x = state.x
            logs = x.row[:, None] + x.column - x.inverse_temperature * reduced
            errors.append(float(np.max(np.abs(np.exp(logs) - plan))))
            if errors[-1] < 1e-14:
                break
    return {"case": "linear", "relaxation": relaxation, "step_size": step_size, "predicted": rate,
            "measured": fitted_rate(np.array(errors), 1e-5, 1e-12)}  # fmt: skip


def entropic_cases(family: str, n: int, eps: float, seed: int, multiples=MULTIPLES) -> list[dict]:
    """Return predicted and measured rate at multiples of the optimal step size."""
    a, b, C = transport_family(family, n, seed=seed)
    problem = OptimalTransport(a, b, C, regularization=eps, cost_split=1.0)
    limit = optlab.solve(problem, BregmanDouglasRachford(), max_iter=4000, tol=1e-15).state.x
    values = singular_values(problem.primal(limit).raw.dense())
    best = 2.0 * values[0] * np.sqrt(1.0 - values[0] ** 2) / eps
    rows = []
    for multiple in multiples:
        rate = entropic_rate(values, eps, multiple * best)
        n_iter = min(int(np.log(1e-14) / np.log(rate)) + 300, 6000)
        points = []
        method, ones = BregmanDouglasRachford(multiple * best), MirrorPlan.zeros(n, n)
        for _, state in zip(range(n_iter), optlab.iterate(problem, method, x0=ones)):
            points.append(np.append(state.x.row, state.x.inverse_temperature))
        path = np.array(points)
        errors = np.max(np.abs(path - path[-1]), axis=1)
        scale = errors.max()
        rows.append({"case": "entropic", "relaxation": 1.0, "step_size": multiple, "predicted": rate,
                     "measured": fitted_rate(errors / scale, 1e-4, 1e-11)})  # fmt: skip
    return rows


@optlab.figure(id="bdrs-local-rates", paper=PAPER, title="Local linear rates: predicted against measured")
def figure(scale: str, seed: int) -> optlab.Figure:
    per_setting, sizes = at_scale(scale, (1, ((5, 6),)), (2, ((5, 6), (8, 8))), (6, ((5, 6), (8, 8), (12, 12))))
    rows = []
    for size in sizes:
        for relaxation, step_size in LINEAR[:: at_scale(scale, 2, 1, 1)]:
            found, trial = 0, 100 * seed
            while found < per_setting and trial < 100 * seed + 60:
                row = linear_case(size, trial, relaxation, step_size)
                trial += 1
                if row is not None:
                    rows.append(row | {"instance": f"{size[0]}x{size[1]} seed {trial - 1}"})
                    found += 1
    for family, eps in ENTROPIC[: at_scale(scale, 1, 3, 3)]:
        n = at_scale(scale, 15, 30, 60)
        rows += [
            row | {"instance": f"{family} eps {eps:g}"}
            for row in entropic_cases(family, n, eps, seed, at_scale(scale, MULTIPLES[1:3], MULTIPLES, MULTIPLES))
        ]
    data = table(rows)
    linear, predicted, measured = data["case"] == "linear", data["predicted"], data["measured"]

    def draw(ax):
        lams = sorted({*data["relaxation"][linear]})
        for i, lam in enumerate(lams):
            pick = linear & (data["relaxation"] == lam)
            ax.plot(1 - predicted[pick], 1 - measured[pick], ("o", "s", "^", "D")[i % 4], color=PALETTE[i % 8],
                    label=rf"linear program, $\lambda={lam:g}$", markersize=5)  # fmt: skip
        for marker, multiple in zip(("v", "P", "X", "*"), MULTIPLES):
            pick = ~linear & (data["step_size"] == multiple)
            if not pick.any():
                continue
            ax.plot(1 - predicted[pick], 1 - measured[pick], marker, color=PALETTE[4], markeredgecolor=PALETTE[7],
                    markeredgewidth=0.6, markersize=7, linestyle="none",
                    label=rf"entropic, ${multiple:g}\,\gamma^\ast$")  # fmt: skip
        ends = np.array([0.8 * np.min(1 - predicted), 1.25 * np.max(1 - predicted)])
        theory_line(ax, ends, ends, label="equal")
        ax.set(xlabel="1 − predicted rate", ylabel="1 − measured rate", xlim=ends, ylim=ends)
        log_axes(ax, "xy")
        ax.legend(loc="upper left", labelspacing=0.25)

    difference = np.abs(predicted - measured)
    at_best = ~linear & (data["step_size"] == 1.0)
    slow = ~linear & (data["step_size"] == 0.1)
    wide = ~linear & (data["step_size"] > 1.0)
    claims = [
        (
            "Linear transport: measured and predicted rates agree to 1e-3, for every step size and relaxation "
            "(largest).",
            bool(np.all(difference[linear] < 1e-3)),
            float(np.max(difference[linear])),
        ),
        (
            "Entropic, at 3 and 10 times the optimal step size: to 1e-3.",
            bool(np.all(difference[wide] < 1e-3)),
            float(np.max(difference[wide])),
        ),
        (
            "Entropic, at the optimal step size: to 0.03 (a double root: the error is k times the rate to the k).",
            bool(np.all(difference[at_best] < 0.03)),
            float(np.max(difference[at_best])),
        ),
        (
            "Entropic, at a tenth of it: to 1e-3; there the inverse temperature is the slowest mode.",
            bool(np.all(difference[slow] < 1e-3)) if slow.any() else None,
            float(np.max(difference[slow], initial=0.0)),
        ),
    ]
    caption = (
        f"Distance of predicted and measured linear rates from 1, on {int(linear.sum())} runs on small linear programs "
        f"(the plan's error, step sizes 3 and 20) and {int((~linear).sum())} on entropic transport (potentials). "
        f"Dashed: equality."
    )
    return optlab.Figure(data, draw, claims, caption, figsize=(5.6, 4.6))
