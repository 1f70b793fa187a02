"""The first minute: processor seconds of a first call in a fresh process, the Numba cache empty, and then warm.

Processor time, not wall time, of the whole process: importing, compiling and solving, over all threads. Each call is
one line that a newcomer types, on 100 points; peers do the same in a process of their own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import textwrap
from typing import Any

from optlab.benchmarks import Row, benchmark

_DATA = """
import numpy as np
rng = np.random.default_rng(0)
x, y = rng.random((100, 2)), rng.random((100, 2))
a = b = np.full(100, 0.01)
C = ((x[:, None] - y) ** 2).sum(-1)
"""

# call -> program, goal in processor seconds with an empty cache
CALLS: dict[str, tuple[str, float]] = {
    "import of a method": ("from optlab.transport import Sinkhorn", 4.0),
    "transport, auto": ("from optlab.transport import transport; transport(a, b, C)", 4.0),
    "transport, entropic": ("from optlab.transport import transport; transport(a, b, C, regularization=0.01)", 4.0),
    "transport, exact": ("from optlab.transport import transport; transport(a, b, C, method='exact')", 6.0),
    "transport, quadratic": (
        "import optlab; from optlab.transport import QuadraticOptimalTransport, SemismoothNewton\n"
        "optlab.solve(QuadraticOptimalTransport(a, b, C, 0.1), SemismoothNewton(), tol=1e-6)",
        6.0,
    ),
    "NGN on logistic regression": (
        "import optlab; from optlab.stochastic import NGN, LogisticRegression\n"
        "optlab.solve(LogisticRegression(x, np.sign(x[:, 0] - 0.5), l2=0.01), NGN(), max_iter=1000)",
        4.0,
    ),
    "policy iteration": (
        "from optlab.policy import MDP, PolicyIteration; import optlab\n"
        "P = rng.dirichlet(np.ones(20), size=(20, 3))\n"
        "optlab.solve(MDP(P, rng.random((20, 3)), 0.9), PolicyIteration(), tol=1e-9)",
        4.0,
    ),
}

PEERS: dict[str, tuple[str, str]] = {
    "POT": ("ot", "import ot; ot.emd2(a, b, C)"),
    "OTT-JAX": (
        "ott",
        "from ott.geometry import geometry; from ott.solvers import linear\n"
        "linear.solve(geometry.Geometry(C, epsilon=0.01)).reg_ot_cost.block_until_ready()",
    ),
}

_REPORT = """
import os
spent = os.times()
print(spent.user + spent.system)
"""


def processor_seconds(program: str, cache: str) -> float:
    """Return what a program costs in a process of its own whose compiled code lies in the folder `cache`.

    Raises
    ------
    RuntimeError
        If it fails, with its traceback.
    """
    source = _DATA + textwrap.dedent(program) + _REPORT
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=os.environ | {"NUMBA_CACHE_DIR": cache},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the program of a cold start failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


@benchmark(id="cold-start", title="The first call in a fresh process, compiler included")
def cold_start(scale: str, seed: int) -> list[Row]:
    """Measure every call once with an empty cache and once with the cache that it left; peers once."""
    rows: list[dict[str, Any]] = []
    calls = dict(list(CALLS.items())[:2]) if scale == "smoke" else CALLS
    for name, (program, goal) in calls.items():
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = processor_seconds(program, cache), processor_seconds(program, cache)
        rows.append({"name": name, "seconds": cold, "ratio": cold / goal, "bar": "<= 1", "note": f"warm: {warm:.2f} s"})
    for name, (package, program) in PEERS.items():
        if importlib.util.find_spec(package) is None:
            rows.append({"name": name, "note": "not installed"})
            continue
        with tempfile.TemporaryDirectory() as cache:
            rows.append({"name": name, "seconds": processor_seconds(program, cache)})
    return rows
