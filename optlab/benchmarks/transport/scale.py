"""What an exact plan between many points costs, phase by phase: the model behind the guide's page on scale.

Phases are called one by one, as the first round of `optlab.transport.ExactTransport` calls them, in seconds of
processor time (over all threads), which say what the work is whatever else the machine does. The exponents are fitted
to the larger sizes; the last rows extrapolate to a million points.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.benchmarks import Row, benchmark, peak_memory
from optlab.benchmarks.transport.contenders import make_problem
from optlab.reproduce import at_scale

MILLION = 1_000_000


def first_round(problem: Any) -> dict[str, float]:
    """Return the processor seconds of each phase of the first round, and how many pairs it left violated."""
    from optlab.transport.exact.candidates import candidates, solve_sparse
    from optlab.transport.exact.multiscale import anneal
    from optlab.transport.exact.rounds import _Layout

    seconds: dict[str, float] = {}

    def clock(phase: str, call: Callable[[], Any]) -> Any:
        began = time.process_time()
        answer = call()
        seconds[phase] = time.process_time() - began
        return answer

    layout = clock("order and hierarchy", lambda: _Layout(problem))
    cost, a, b = layout.cost, layout.a, layout.b
    start = clock("annealed scaling", lambda: anneal(cost, a, b, problem.cost_range, layout.hierarchies))
    arcs = clock("candidates", lambda: candidates(cost, layout.transposed, a, b, start))
    _, f, g = clock("sparse linear program", lambda: solve_sparse(a, b, arcs, start.f, start.g))
    found = clock("pricing of all pairs", lambda: cost.price(f, g))
    clock("sparse linear program, from its own potentials", lambda: solve_sparse(a, b, arcs, f, g))
    return seconds | {"arcs": float(arcs.size), "violated": float(found.rows.size)}


@benchmark(id="transport-scale", title="Exact transport, phase by phase: what a million points would cost")
def scale_model(scale: str, seed: int) -> list[Row]:
    """Processor seconds of the first round's phases in the plane; exponents; the extrapolation."""
    sizes = at_scale(scale, [100, 200, 400], [10_000, 20_000, 40_000], [25_000, 50_000, 100_000, 200_000])
    first_round(make_problem("2-D", 1500 if scale != "smoke" else 100, seed + 1))  # compiles
    measured = [first_round(make_problem("2-D", n, seed)) for n in sizes]
    rows: list[Row] = []
    total = 0.0
    extrapolated = scale != "smoke"  # from hundreds of points to a million is no prediction
    for phase in (key for key in measured[0] if key not in ("arcs", "violated")):
        seconds = [max(point[phase], 1e-6) for point in measured]
        exponent, level = np.polyfit(np.log(sizes[-3:]), np.log(seconds[-3:]), 1)
        predicted = float(np.exp(level + exponent * np.log(MILLION)))
        total += predicted
        shown = ", ".join(f"{n:,}: {s:.3g} s" for n, s in zip(sizes, seconds))
        rows.append(
            {"name": phase, "processor seconds": seconds[-1], "exponent": float(exponent)}
            | ({"seconds at 1e6": predicted} if extrapolated else {})
            | {"note": shown}
        )
    left = ", ".join(f"{n:,}: {point['violated']:g}" for n, point in zip(sizes, measured))
    arcs = measured[-1]["arcs"] / sizes[-1]
    rows.append(
        {"name": "one round and a repetition"}
        | ({"seconds at 1e6": total} if extrapolated else {})
        | {"note": f"{arcs:.1f} arcs a point; pairs left violated by the first round: {left}"}
    )
    n = sizes[-1] if scale == "smoke" else sizes[1]
    setup = (
        "import optlab\n"
        "from optlab.benchmarks.transport.contenders import make_problem\n"
        "from optlab.transport import ExactTransport\n"
        "def run(n):\n"
        f"    optlab.solve(make_problem('2-D', n, {seed}), ExactTransport(), tol=1e-9, max_iter=100, progress=False)\n"
        "run(1000)"  # what is loaded and compiled once does not count
    )
    peak = peak_memory(f"run({n})", setup)
    rows.append(
        {"name": f"peak memory, n = m = {n:,}", "memory": peak}
        | {"note": f"{peak / n:,.0f} bytes a point" + (f", {peak / n * MILLION / 1e9:.2g} GB at 1e6" * extrapolated)}
    )
    return rows
