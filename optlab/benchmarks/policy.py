"""Policy optimization: dynamic programming against three packages, and mirror descent at a million states.

Every solver gets the same tables and starts cold: quantecon from its default, pymdptoolbox from a new object, mdpsolver
from a new model (a second ``solve`` of the same model goes on from the first one's values and takes no time at all).
Reading the tables into each package's own objects is timed apart. All answers are compared with the same V*.
"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import optlab
from optlab.benchmarks import Row, Timing, benchmark, compare_row, peak_memory

_ACCURACY = 1e-9
_TOO_SLOW = 20.0  # seconds: a contender that a tenfold size would take that long is not tried at it

Contender = Callable[[], tuple[float, np.ndarray, float]]


@benchmark(id="policy-dynamic-programming", title="Policy and modified policy iteration against three MDP packages")
def dynamic_programming(scale: str, seed: int) -> list[Row]:
    """Seconds of solving to the same V* (1e-9 absolute): garnets of growing size, and a mountain car.

    Ours: ``Result.solve_time`` of `optlab.solve`, stopped on the method's own certificate (measuring excluded: the
    others measure nothing); the column `whole call` has the seconds of the call with everything in it. The bar is on
    the fastest peer of all, with any of its algorithms. Contenders take turns, round by round.
    """
    from optlab.policy import garnet, mountain_car

    sizes = (60, 200) if scale == "smoke" else (60, 200, 1000, 10_000, 100_000)
    problems = [garnet(n, 4, 5, discount=0.99, seed=seed, known_optimal=False) for n in sizes]
    if scale != "smoke":
        problems += [mountain_car(41, 31)]
    if scale == "paper":
        problems += [mountain_car(101, 101)]
    rows: list[Row] = []
    slow: dict[str, float] = {}
    for mdp in problems:
        if mdp.grid is not None and mdp.n_states < 2000:
            slow = {}
        reference = mdp.optimal.values
        contenders = {name: _ours(mdp, method, tol) for name, (method, tol) in _methods().items()}
        for make in (_quantecon, _toolbox, _mdpsolver):
            # ten times the size takes ten times as long at best
            contenders |= {n: call for n, call in make(mdp).items() if slow.get(n, 0.0) < 0.1 * _TOO_SLOW}
        times, errors, whole = _rounds(
            contenders, reference, rounds=1 if scale == "smoke" else 5 if mdp.n_states <= 2000 else 2
        )
        slow |= {name: timing.minimum for name, timing in times.items()}
        peers = [name for name in times if name not in _methods() and errors[name] <= _ACCURACY]
        best = min(peers, key=lambda name: times[name].median)
        others = [f"{name} {times[name].median:.3g} s" for name in peers]
        missed = [f"{name}: error {errors[name]:.0e}" for name in times if errors[name] > _ACCURACY]
        for name in _methods():
            bar = ">= 1" if scale != "smoke" else None
            row = compare_row(
                f"{mdp.name}, discount {mdp.discount:g}: {name}",
                times,
                ours=name,
                peer=best,
                bar=bar,
                error=errors[name],
            )
            row |= {"whole call": whole[name], "note": "; ".join(others + missed)}
            if errors[name] > _ACCURACY:
                row["ratio"] = None
            rows.append(row)
    return rows


@benchmark(id="policy-mirror-descent", title="One iteration of policy mirror descent on large sparse MDPs")
def mirror_descent(scale: str, seed: int) -> list[Row]:
    """The mirror step, the evaluation of the new policy and the bookkeeping; seconds per iteration over the first ones.

    The bars: 0.3 s at 10^5 states and 6 s at 10^6 (two cores, four actions, five successors, discount 0.99). Evaluation
    is as accurate as the method asks for by default (see its `forcing`); a row each has it to 1e-12 instead. A million
    states are for the scale *paper*.
    """
    from optlab.policy import PolicyMirrorDescent, garnet

    cases: tuple[tuple[int, float | None], ...] = ((2000, None),) if scale == "smoke" else ((100_000, 0.3),)
    if scale == "paper":
        cases += ((1_000_000, 6.0),)
    rows: list[Row] = []
    for n, limit in cases:
        mdp = garnet(n, 4, 5, discount=0.99, seed=seed, known_optimal=False)
        for mirror_map, exact in itertools.product(("negative-entropy", "euclidean"), (False, True)):
            method = PolicyMirrorDescent(mirror_map, step_size=1.0)
            method = replace(method, forcing=0.0) if exact else method
            state = method.init(mdp, mdp.default_start(np.random.default_rng(0)), np.random.default_rng(0))
            state = method.step(mdp, state)
            samples, busy = [], []
            for _ in range(3 if n >= 10**6 else 7):
                began, work = time.perf_counter(), time.process_time()
                state = method.step(mdp, state)
                method.iterate(mdp, state)
                samples.append(time.perf_counter() - began)
                busy.append(time.process_time() - work)
            seconds = float(np.median(samples))
            name = f"{n:,} states, {mirror_map}" + (", evaluation to 1e-12" if exact else "")
            row: Row = {"name": name, "seconds": seconds, "minimum": min(samples)}
            row["processor seconds"] = float(np.median(busy))  # of all threads, whatever else the machine is doing
            if limit is not None:
                row |= {"ratio": seconds / limit, "ratio_is": f"seconds / {limit:g} s"}
                row["bar"] = None if exact else "<= 1"
            rows.append(row)
        del mdp
    return rows


@benchmark(id="policy-memory", title="Peak memory of solving a sparse MDP, ours against the packages")
def memory(scale: str, seed: int) -> list[Row]:
    """Fresh processes; the tables are built before measuring, reading them into each package's form is part of it."""
    n = 1000 if scale == "smoke" else 100_000
    setup = (
        "import numpy as np, scipy.sparse as sp, optlab, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from optlab.policy import ModifiedPolicyIteration, PolicyIteration, MDP, garnet\n"
        "def solve(mdp, method, tol):\n"
        "    x0 = np.zeros(mdp.n_states)\n"
        "    return optlab.solve(mdp, method, x0=x0, tol=tol, max_iter=100, record='all', progress=False)\n"
        "def ours(P, cost, method, tol):\n"
        "    return solve(MDP(P, cost, 0.99, known_optimal=False), method, tol)\n"
        "small = garnet(300, 4, 5, discount=0.99)\n"
        "import quantecon.markov, mdpsolver\n"
        "def quantecon_mpi(P, cost, n):\n"
        "    s, a = np.repeat(np.arange(n), 4), np.tile(np.arange(4), n)\n"
        "    ddp = quantecon.markov.DiscreteDP(-cost.ravel(), P, 0.99, s, a)\n"
        "    return ddp.solve(method='mpi', epsilon=1e-9, max_iter=10000)\n"
        "def mdpsolver_mpi(P, cost, n):\n"
        "    model = mdpsolver.model()\n"
        "    model.mdp(discount=0.99, rewards=(-cost).tolist(),\n"
        "              tranMatProbs=P.data.reshape(n, 4, -1).tolist(),\n"
        "              tranMatColumns=P.indices.reshape(n, 4, -1).tolist())\n"
        "    model.solve(algorithm='mpi', tolerance=1e-9, update='gs', parallel=False)\n"
        "    return model.getValueVector()\n"
        "ours(small.transitions, small.cost, PolicyIteration(), {'changes': 0})\n"  # loads the compiled code
        "ours(small.transitions, small.cost, ModifiedPolicyIteration(), {'value_error': 1e-9})\n"
        "quantecon_mpi(small.transitions, small.cost, 300)\n"
        f"mdp = garnet({n}, 4, 5, discount=0.99, seed={seed}, known_optimal=False)\n"
        "P, cost = mdp.transitions, mdp.cost\n"
    )
    calls = {
        "PolicyIteration": "ours(P, cost, PolicyIteration(), {'changes': 0})",
        "ModifiedPolicyIteration": "ours(P, cost, ModifiedPolicyIteration(), {'value_error': 1e-9})",
        "quantecon mpi": f"quantecon_mpi(P, cost, {n})",
        "mdpsolver mpi": f"mdpsolver_mpi(P, cost, {n})",
    }
    peaks = {name: peak_memory(call, setup) for name, call in calls.items()}
    rows: list[Row] = []
    for ours in ("PolicyIteration", "ModifiedPolicyIteration"):
        for peer in ("quantecon mpi", "mdpsolver mpi"):
            row: Row = {"name": f"{n:,} states: {ours}", "memory": peaks[ours], "peer": peer}
            row |= {"ratio": peaks[ours] / max(peaks[peer], 1), "ratio_is": "ours / peer", "peer_memory": peaks[peer]}
            rows.append(row)
    return rows


# ---------------------------------------------------------------------- contenders: (seconds, values, whole call)


def _rounds(
    contenders: dict[str, Contender], reference: np.ndarray, rounds: int
) -> tuple[dict[str, Timing], dict[str, float], dict[str, float]]:
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    whole: dict[str, float] = {}
    first: dict[str, float] = {}
    errors: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(rounds + 1):
            for name, call in contenders.items():
                if k and first[name] > 2.0:  # once is enough
                    samples[name].append(first[name])
                    continue
                seconds, values, whole[name] = call()
                if k == 0:  # loads and compiles
                    first[name], errors[name] = seconds, float(np.abs(values - reference).max())
                else:
                    samples[name].append(seconds)
    return {name: Timing(tuple(samples[name]), first[name]) for name in contenders}, errors, whole


def _methods() -> dict[str, tuple[Any, dict[str, float]]]:
    from optlab.policy import ModifiedPolicyIteration, PolicyIteration

    # policy iteration ends when no action changes, modified policy iteration on its bound
    return {
        "PolicyIteration": (PolicyIteration(), {"changes": 0.0}),
        "ModifiedPolicyIteration": (ModifiedPolicyIteration(), {"value_error": 0.5 * _ACCURACY}),
    }


def _ours(mdp: Any, method: Any, tol: dict[str, float]) -> Contender:
    x0 = np.zeros(mdp.n_states)

    def call() -> tuple[float, np.ndarray, float]:
        began = time.perf_counter()
        run = optlab.solve(mdp, method, x0=x0, tol=tol, max_iter=1000, record="all", progress=False)
        return run.solve_time, run.state.values, time.perf_counter() - began

    return call


# in reward form, r = 1 - c


def _quantecon(mdp: Any) -> dict[str, Contender]:
    from quantecon.markov import DiscreteDP

    S, A = mdp.n_states, mdp.n_actions
    pairs = np.repeat(np.arange(S), A), np.tile(np.arange(A), S)
    model = DiscreteDP((1.0 - mdp.cost).ravel(), mdp.transitions, mdp.discount, *pairs)

    def contender(method: str) -> Contender:
        def call() -> tuple[float, np.ndarray, float]:
            began = time.perf_counter()
            result = model.solve(method=method, epsilon=_ACCURACY, max_iter=100_000)
            seconds = time.perf_counter() - began
            return seconds, 1.0 / (1.0 - mdp.discount) - result.v, seconds

        return call

    # its policy iteration factorises with fill: minutes at 10^4 states of a garnet
    names = ("pi", "mpi", "vi") if S <= 2000 or mdp.grid is not None else ("mpi", "vi")
    return {f"quantecon {name}": contender(name) for name in names}


def _toolbox(mdp: Any) -> dict[str, Contender]:
    import mdptoolbox.mdp as toolbox
    import scipy.sparse as sp

    A, reward = mdp.n_actions, 1.0 - mdp.cost
    matrices = [sp.csr_matrix(mdp.transitions[a::A]) for a in range(A)]

    def contender(make: Callable[[], Any]) -> Contender:
        def call() -> tuple[float, np.ndarray, float]:
            model = make()
            began = time.perf_counter()
            model.run()
            seconds = time.perf_counter() - began
            return seconds, 1.0 / (1.0 - mdp.discount) - np.asarray(model.V), seconds

        return call

    gamma = mdp.discount
    if mdp.n_states > 2000:  # its sparse products go row by row: an hour at 10^4 states
        return {}
    return {
        "pymdptoolbox pi": contender(lambda: toolbox.PolicyIteration(matrices, reward, gamma)),
        "pymdptoolbox vi": contender(
            # its own bound on the iterations ends before the accuracy asked for
            lambda: toolbox.ValueIteration(matrices, reward, gamma, epsilon=_ACCURACY, max_iter=100_000)
        ),
    }


def _mdpsolver(mdp: Any) -> dict[str, Contender]:
    import mdpsolver

    S, A = mdp.n_states, mdp.n_actions
    P, splits = mdp.transitions, mdp.transitions.indptr[1:-1]
    rows = [part.tolist() for part in np.split(P.data, splits)]
    columns = [part.tolist() for part in np.split(P.indices, splits)]
    tables = {
        "rewards": (1.0 - mdp.cost).tolist(),
        "tranMatProbs": [rows[s * A : (s + 1) * A] for s in range(S)],
        "tranMatColumns": [columns[s * A : (s + 1) * A] for s in range(S)],
    }

    def contender(algorithm: str, update: str, parallel: bool = False) -> Contender:
        def call() -> tuple[float, np.ndarray, float]:
            model = mdpsolver.model()  # a new one: an old one goes on from its last values
            model.mdp(discount=mdp.discount, **tables)
            began = time.perf_counter()
            model.solve(algorithm=algorithm, tolerance=_ACCURACY, update=update, parallel=parallel)
            seconds = time.perf_counter() - began
            return seconds, 1.0 / (1.0 - mdp.discount) - np.asarray(model.getValueVector()), seconds

        return call

    found = {
        "mdpsolver mpi": contender("mpi", "standard"),
        "mdpsolver mpi, Gauss-Seidel": contender("mpi", "gs"),
        "mdpsolver pi": contender("pi", "gs"),
    }
    if S >= 10_000:  # below, its threads spend their time waiting for one another
        found["mdpsolver mpi, parallel"] = contender("mpi", "standard", parallel=True)
    return found
