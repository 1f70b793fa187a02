"""Public constructors, functions and methods called with one argument replaced by a hostile value.

An error is clear if optlab raised it itself, in a `raise` statement of its own; what came out of NumPy, SciPy or Python
on the way is raw. ``python -m tests.policy.hostile_calls`` runs all of it and prints the rates;
`test_hostile_calls.py` runs a slice.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

import optlab
from optlab.bregman import NegativeEntropyMap
from optlab.policy import certificates, dual_certificates

INSIDE = str(Path(optlab.__file__).parent)

HOSTILE: list[Any] = [
    None,
    "a",
    b"a",
    float("nan"),
    float("inf"),
    -1,
    0,
    -0.5,
    1e308,
    1e-320,
    10**400,
    True,
    1j,
    [],
    {},
    {"a": 1},
    [[1.0, 2.0], [3.0]],
    [None, None],
    np.array([np.nan, 1.0]),
    np.zeros((0, 3)),
    np.ones((2, 3, 2, 2)),
    np.array(["a", "b"]),
    np.array([1j, 2.0]),
    np.array([object(), 1], dtype=object),
    np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    np.array("2026-01-01", dtype="datetime64[D]"),
    np.array([2**63], dtype=np.uint64),
    sp.csr_matrix(np.ones((2, 3))),
    sp.coo_array(np.ones(3)),
    object(),
    int,
    lambda *a, **k: None,
]

S, A = 3, 2
_P = np.random.default_rng(0).dirichlet(np.ones(S), size=(S, A))
_COST = np.random.default_rng(1).random((S, A))
_MDP = optlab.policy.MDP(_P, _COST)
_POINTS = np.random.default_rng(2).random((S, 2))
_TABLE = np.full((S, A), 0.5)
_ROWS = np.full(S, 1.0 / S)
_LQR = optlab.policy.lqr(2, 1)

# what the arguments without a default are, by name; of one callable where they differ
GOOD: dict[str, Any] = {
    "P": _P,
    "cost": _COST,
    "n_states": S,
    "n_actions": A,
    "features": np.ones((S, A, 2)),
    "points": _POINTS,
    "function_class": optlab.policy.Tabular(S, A),
    "theta": np.zeros(S * A),
    "mirror_map": NegativeEntropyMap(),
    "target": np.zeros((S, A)),
    "weights": _ROWS,
    "order": "reverse",
    "temperature": 0.1,
    "pair_weights": np.ones((S, A)),
    "scores": np.zeros((S, A)),
    "soft_action_values": _COST,
    "gain": np.zeros((1, 2)),
    "covariance": np.eye(1),
    "transition": 0.5 * np.eye(2),
    "input_matrix": np.ones((2, 1)),
    "state_cost": np.eye(2),
    "input_cost": np.eye(1),
    "log_table": np.log(_TABLE),
    "probabilities": _TABLE,
    "mdp": _MDP,
    "policy": _TABLE,
    "values": np.zeros(S),
    "env": {0: {0: [(1.0, 0, 1.0, False)]}},
    "dimension": 3,
    "law": _ROWS,
    "other": _ROWS,
    "following": _ROWS,
    "state": 0,
    "rng": np.random.default_rng(0),
    "iterate": _LQR.default_start(np.random.default_rng(0)),
    "k": 3,
    "step_size": 1.0,
    "divergence": 1.0,
    "discount": 0.9,
    "theta_": 2.0,
    "gap": 1.0,
    "next_gap": 0.5,
    "next_divergence": 0.5,
    "critic_error": 0.1,
    "horizon": 5,
    "n_pairs": 6,
    "failure": 0.1,
    "sup_gap": 1.0,
    "slacks": [0.1, 0.1],
    "step_sizes": [1.0, 2.0],
    "drifts": [0.0, 0.0],
    "dual_errors": [0.1, 0.1],
    "dual_error": 0.1,
    "drift": 0.0,
    "q_gap": 1.0,
    "log_gap": 1.0,
    "divergences": [0.1],
    "log_optimal": np.log(_TABLE),
    "log_policy": np.log(_TABLE),
    "log_target": np.log(_TABLE),
}
_NUMBER_THETA = {"theta": 2.0}
SPECIAL: dict[str, dict[str, Any]] = {
    "BlockFeatures": {"features": _POINTS},
    "FunctionPolicy": {"theta": np.zeros(S * A)},
    "divergence_to_optimal": {"policy": optlab.policy.TabularPolicy.uniform(S, A)},
    "GymnasiumEnvironment": {"env": "CartPole-v1"},
    "Evaluation": {},
    "action": {},
}
SKIPPED = {"Evaluation", "OptimalSolution", "FunctionClass"}  # what methods return; a base class


def callables() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Return names, callables and arguments that work."""
    found: list[tuple[str, Any]] = []
    for name in optlab.policy.__all__:
        if name not in SKIPPED:
            found.append((name, getattr(optlab.policy, name)))
    found.append(("MDP.from_gymnasium", optlab.policy.MDP.from_gymnasium))
    found.append(("LinearFeatures.gaussian", optlab.policy.LinearFeatures.gaussian))
    tabular = optlab.policy.TabularPolicy
    found += [("TabularPolicy.uniform", tabular.uniform)]
    found += [("TabularPolicy.from_probabilities", tabular.from_probabilities)]
    for method in ("evaluate", "visitation", "transition_matrix", "policy_cost", "action_values", "backup", "measure"):
        found.append((f"MDP.{method}", getattr(_MDP, method)))
    for method in ("to_reward_value", "require_full_support", "probabilities_of"):
        found.append((f"MDP.{method}", getattr(_MDP, method)))
    for method in ("measure", "closed_loop", "cost_to_go", "action_values"):
        found.append((f"LQR.{method}", getattr(_LQR, method)))
    for module in (certificates, dual_certificates):
        found += [(name, getattr(module, name)) for name in module.__all__]
    for name, function in found:
        short = name.rsplit(".", maxsplit=1)[-1]
        special = SPECIAL.get(short, {})
        if getattr(function, "__module__", "").endswith("certificates"):
            special = _NUMBER_THETA | special
        good = {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            if parameter.default is parameter.empty or (parameter.name == "cost" and short == "MDP"):
                good[parameter.name] = special.get(parameter.name, GOOD.get(parameter.name))
        yield name, function, good


def cases() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Return all calls: each parameter of each callable takes each hostile value."""
    for name, function, good in callables():
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            for i, value in enumerate(HOSTILE):
                yield f"{name}({parameter.name}=HOSTILE[{i}])", function, good | {parameter.name: value}


def outcome(function: Any, arguments: dict[str, Any]) -> tuple[str, str]:
    """Return "accepted", "clear", "raw" or "raw below" (in a lower package), and the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            function(**arguments)
    except Exception as error:
        frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        if INSIDE in frames[-1][0] and linecache.getline(*frames[-1]).strip().startswith("raise"):
            return "clear", str(error)
        # the call itself is the last of ours where an argument never got inside
        path, number = [frame for frame in frames if INSIDE in frame[0] or frame[0] == __file__][-1]
        text = f"{type(error).__name__}: {str(error)[:150]} ({Path(path).name}:{number})"
        return ("raw" if str(Path(INSIDE) / "policy") in path or path == __file__ else "raw below"), text
    return "accepted", ""


def main(stride: int = 1, offset: int = 0, show: bool = True) -> tuple[Counter[str], list[str]]:
    """Run every `stride`-th case; return the counts and what was raw."""
    counts: Counter[str] = Counter()
    raw = []
    for i, (name, function, arguments) in enumerate(cases()):
        if i % stride == offset:
            kind, text = outcome(function, arguments)
            counts[kind] += 1
            if kind == "raw":
                raw.append(f"{name}: {text}")
    if show:
        print(*raw, sep="\n")
        print(dict(counts), f"raw: {100 * counts['raw'] / sum(counts.values()):.2f} %")
    return counts, raw


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
