"""What the driver itself costs: an empty method, recorded never and always, and the time to import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import optlab
from optlab.benchmarks import Row, benchmark, interleave
from optlab.core import Method, State


class _Nothing:
    primary_metric = "nothing"

    def default_start(self, rng: Any) -> None:
        return None

    def measure(self, iterate: Any) -> dict[str, float]:
        return {"nothing": 1.0}


@dataclass(frozen=True)
class _Empty(Method):
    def init(self, problem: Any, x0: Any, rng: Any) -> State:
        return State(0)

    def step(self, problem: Any, state: State) -> State:
        return State(state.k + 1)

    def iterate(self, problem: Any, state: State) -> None:
        return None


@benchmark(id="driver-overhead", title="The driver's own time per iteration, with an empty method")
def driver_overhead(scale: str, seed: int) -> list[Row]:
    """Microseconds per iteration; the bar is 20 where nothing is recorded."""
    n = 2_000 if scale == "smoke" else 50_000
    problem, method = _Nothing(), _Empty()

    def bare() -> None:
        state = method.init(problem, None, None)
        for _ in range(n):
            state = method.step(problem, state)

    times = interleave(
        {
            "nothing recorded": lambda: optlab.solve(problem, method, max_iter=n, record=n, progress=False),
            "time limit watched": lambda: optlab.solve(
                problem, method, max_iter=n, record=n, time_limit=1e6, progress=False
            ),
            "everything recorded": lambda: optlab.solve(problem, method, max_iter=n, record="all", progress=False),
            "bare loop": bare,
        }
    )
    rows: list[Row] = []
    for name in ("nothing recorded", "time limit watched", "everything recorded"):
        row: Row = {
            "name": name,
            "seconds": times[name].median,
            "peer": "bare Python loop over step()",
            "peer_seconds": times["bare loop"].median,
            "microseconds per iteration": 1e6 * times[name].median / n,
        }
        if name != "everything recorded":
            # the "ratio" that has a bar is the overhead itself against 20 microseconds
            row |= {"ratio": 1e6 * times[name].median / n / 20, "bar": "<= 1", "note": "ratio to 20 us an iteration"}
        rows.append(row)
    return rows


@benchmark(id="import-time", title="Seconds to `import optlab`, in a fresh process")
def import_time(scale: str, seed: int) -> list[Row]:
    """The bar is half a second; NumPy alone is the peer."""

    def fresh(statement: str) -> Any:
        return lambda: subprocess.run([sys.executable, "-c", statement], check=True)

    times = interleave({"optlab": fresh("import optlab"), "numpy": fresh("import numpy"), "python": fresh("pass")}, 5)
    start = times["python"].median
    ours, peer = times["optlab"].median - start, times["numpy"].median - start
    return [
        {
            "name": "import optlab",
            "seconds": ours,
            "peer": "import numpy",
            "peer_seconds": peer,
            "ratio": ours / 0.5,
            "bar": "<= 1",
            "note": "ratio to 0.5 s; the interpreter's own start is taken off",
        }
    ]
