"""What the checks of dual approximation policy optimization share: maps, environments, runs and their certificates.

The paper's own numbered theorems could not be consulted. Bounds on dual approximation are derived here and cited as
such; those on exact policy mirror descent are Xiao's (2022, JMLR 23) and Johnson, Pike-Burke and Rebeschini's (2023).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman import EuclideanMap, HyperbolicMap, NegativeEntropyMap, TsallisMap

PAPER = "dapo"
DERIVED = "derived here, verified numerically"
XIAO = "Xiao 2022, On the convergence rates of policy gradient methods"
JOHNSON = "Johnson, Pike-Burke, Rebeschini 2023"

STEEP_MAPS = (NegativeEntropyMap(), TsallisMap(0.5), TsallisMap(0.8))
OTHER_MAPS = (EuclideanMap(), TsallisMap(1.5), TsallisMap(2.0), HyperbolicMap())
MAPS = (*STEEP_MAPS, *OTHER_MAPS)

Array = Any


def random_scores(rng: np.random.Generator, n: int, n_actions: int) -> Array:
    """Return rows of dual coordinates at scales from 0.1 to 10: flat, ordinary and nearly deterministic policies."""
    return rng.normal(size=(n, n_actions)) * 10.0 ** rng.uniform(-1, 1, size=(n, 1))


def random_rows(rng: np.random.Generator, n: int, n_actions: int) -> Array:
    """Return probability rows of all kinds: inside, near a vertex, and a few vertices."""
    rows = rng.dirichlet(np.ones(n_actions), size=n)
    concentrated = rng.dirichlet(np.full(n_actions, 0.1), size=n)
    rows[1::3] = concentrated[1::3]
    rows[2::9] = np.eye(n_actions)[rng.integers(n_actions, size=len(rows[2::9]))]
    return rows / rows.sum(axis=1, keepdims=True)
