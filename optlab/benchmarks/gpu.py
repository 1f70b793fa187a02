"""``python -m optlab.benchmarks.gpu``: the array-API paths on CuPy, tested against and timed beside NumPy.

Needs a GPU and the extra ``optlab[cupy]``; says so and does nothing where there is none. ``--library array_api_strict``
runs the same on the CPU, as a test of the script itself. Takes a minute or two. The exit status is 0 if all results
agree, 1 if one does not, 2 if there is no GPU.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

AGREE = 1e-10  # relative to the largest number: sums on a GPU run in another order, over many iterations

Run = Callable[[Callable[[np.ndarray], Any]], Any]


def library(name: str) -> tuple[Any, str]:
    """Return the array library with a line on its device, or None and the reason why it cannot be used.

    Examples
    --------
    >>> library("no_such_library")
    (None, 'no_such_library is not installed')
    """
    try:
        xp = importlib.import_module(name)
    except ImportError:
        return None, f"{name} is not installed"
    if name != "cupy":
        return xp, name
    try:
        count = xp.cuda.runtime.getDeviceCount()
        properties = xp.cuda.runtime.getDeviceProperties(0) if count else {}
    except Exception as error:  # CuPy's own classes, for a driver that is missing or too old
        return None, f"CuPy finds no GPU: {error}"
    if not count:
        return None, "CuPy finds no GPU"
    return xp, f"CuPy {xp.__version__} on {properties['name'].decode()}"


def cases(n: int, size: int, iterations: int) -> Iterator[tuple[str, Run]]:
    """Yield names and runs; a run takes what moves a NumPy array to a library, and returns numbers to compare."""
    import optlab
    from optlab.bregman import FermiDirac, ShannonEntropy, SquaredEuclidean
    from optlab.bregman.functions import Box, KullbackLeibler, L1Norm, Linear, Simplex, SquaredDistance
    from optlab.splitting import BregmanDouglasRachford, MonotoneInclusion
    from optlab.transport import OptimalTransport, Sinkhorn
    from optlab.wrappers import Halpern

    used: Any
    rng = np.random.default_rng(0)
    q, c, start = rng.uniform(0.1, 0.9, n), rng.standard_normal(n), np.full(n, 0.5)
    method = BregmanDouglasRachford(step_size=0.7)
    for name, f, g, kernel, used in (
        ("splitting, Euclidean, 1-norm", L1Norm(0.3), SquaredDistance(c), SquaredEuclidean(), method),
        ("splitting, Shannon, simplex", Simplex(), KullbackLeibler(q), ShannonEntropy(), method),
        ("splitting, Fermi-Dirac, box", Box(0.3, 0.6), Linear(c), FermiDirac(), method),
        ("Halpern, Shannon, simplex", Simplex(), KullbackLeibler(q), ShannonEntropy(), Halpern(method)),
    ):
        problem = MonotoneInclusion(f, g, kernel, shape=n)

        def split(move: Any, problem: Any = problem, used: Any = used) -> Any:
            run = optlab.solve(problem, used, x0=move(start), max_iter=iterations, record=iterations)
            return np.asarray(run.solution)

        yield name, split
    a, b, C = rng.dirichlet(np.ones(size)), rng.dirichlet(np.ones(size)), rng.uniform(0.0, 2.0, (size, size))
    for name, used, options in (
        ("transport, Sinkhorn", Sinkhorn(), {"regularization": 0.05}),
        ("transport, Douglas-Rachford", BregmanDouglasRachford(), {}),
        ("transport, Halpern", Halpern(BregmanDouglasRachford()), {}),
    ):

        def transport(move: Any, used: Any = used, options: Any = options) -> Any:
            problem = OptimalTransport(a, b, move(C), **options)
            run = optlab.solve(problem, used, max_iter=iterations, record=iterations)
            return np.concatenate([[run.solution.cost, run.solution.gap], *run.solution.potentials])

        yield name, transport


def main(arguments: list[str] | None = None) -> int:
    """Run the script; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m optlab.benchmarks.gpu", description=__doc__)
    parser.add_argument("--library", default="cupy", help="array library (default: cupy)")
    parser.add_argument("-n", type=int, default=1_000_000, help="variables of the splittings")
    parser.add_argument("--size", type=int, default=3000, help="rows and columns of the transport cost")
    parser.add_argument("--iterations", type=int, default=50)
    options = parser.parse_args(arguments)
    xp, what = library(options.library)
    if xp is None:
        print(f"No GPU run: {what}. Nothing was tested. On a machine with an NVIDIA GPU: pip install 'optlab[cupy]'")
        return 2
    print(f"{what}; splittings of {options.n:,} variables, transport {options.size} x {options.size}")
    print(f"{'case':32}{'NumPy':>10}{'there':>10}{'ratio':>8}{'difference':>12}")
    worst = 0.0
    for name, run in cases(options.n, options.size, options.iterations):
        seconds, results = [], []
        for move in (np.asarray, xp.asarray):
            run(move)  # compiles kernels
            began = time.perf_counter()
            results.append(run(move))  # ends with numbers on the host: nothing is left running there
            seconds.append(time.perf_counter() - began)
        here, there = results
        difference = float(np.max(np.abs(here - there)) / np.max(np.abs(here)))
        worst = max(worst, difference) if np.isfinite(difference) else np.inf
        print(f"{name:32}{seconds[0]:>9.3f}s{seconds[1]:>9.3f}s{seconds[0] / seconds[1]:>8.2f}{difference:>12.1e}")
    print("all agree" if worst <= AGREE else f"RESULTS DIFFER by {worst:.1e}, more than {AGREE:g}")
    return 0 if worst <= AGREE else 1


if __name__ == "__main__":
    sys.exit(main())
