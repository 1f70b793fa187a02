"""What the conformance tests run: every public method of every family, on small problems of that family.

Methods are found by walking the families' ``__all__``: a new method is picked up without touching this file, if it can
be made without arguments; `arguments` has those of the others. A pair that a method refuses in ``init`` with a
`TypeError` or `ValueError` ("needs a problem that ...") is left out; a method that accepts no problem at all fails.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

FAMILIES = ("splitting", "transport", "stochastic", "policy", "multiview")


def arguments(cls: type) -> dict[str, Any]:
    """Constructor arguments of the methods that have no defaults for all of theirs, or slow ones."""
    if cls.__name__ == "SGD":
        return {"step_size": 0.01}
    if cls.__name__ == "PeerSinkhorn":
        return {"max_iter": 50}  # an iteration of it is a whole run
    if cls.__name__ == "Averaged":
        from optlab.stochastic import NGN

        return {"method": NGN()}
    return {}


def transport_problems() -> Iterator[Any]:
    from optlab.transport import (
        OptimalTransport,
        PartialOptimalTransport,
        PointCloudCost,
        QuadraticOptimalTransport,
        UnbalancedOptimalTransport,
        WassersteinBarycenter,
    )

    rng = np.random.default_rng(0)
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(8))
    yield OptimalTransport(a, b, rng.random((6, 8)))
    yield OptimalTransport(a, b, PointCloudCost(rng.random((6, 2)), rng.random((8, 2))))
    a[2] = 0.0
    yield OptimalTransport(a / a.sum(), b, rng.random((6, 8)), regularization=0.1)
    yield UnbalancedOptimalTransport(np.full(6, 0.2), b, rng.random((6, 8)), regularization=0.1)
    yield PartialOptimalTransport(np.full(6, 0.2), b, rng.random((6, 8)), mass=0.5, regularization=0.1)
    yield QuadraticOptimalTransport(a / a.sum(), b, rng.random((6, 8)), regularization=1.0)
    yield QuadraticOptimalTransport(np.full(6, 1 / 6), np.full(8, 1 / 8), rng.random((6, 8)), 1.0, max_nonzeros=2)
    yield WassersteinBarycenter(np.stack([b, b[::-1]]), rng.random((8, 8)), regularization=0.1)


def splitting_problems() -> Iterator[Any]:
    from optlab.bregman import ShannonEntropy, SquaredEuclidean
    from optlab.bregman.functions import Box, Linear, Simplex, SquaredDistance
    from optlab.splitting import CompositeProblem, LinearlyConstrained

    rng = np.random.default_rng(1)
    q = rng.standard_normal(5)
    yield CompositeProblem(Box(0.0, 1.0), SquaredDistance(q), SquaredEuclidean())
    yield CompositeProblem(Simplex(1.0), Linear(q), ShannonEntropy(), shape=5)
    M, N = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    u, v = SquaredDistance(rng.standard_normal(4)), SquaredDistance(rng.standard_normal(2))
    yield LinearlyConstrained(u, v, M, N, np.ones(3), SquaredEuclidean())
    yield LinearlyConstrained(u, v, M, N, np.ones(3), ShannonEntropy())


def stochastic_problems() -> Iterator[Any]:
    from optlab.stochastic import LeastSquares, LogisticRegression

    rng = np.random.default_rng(2)
    A = rng.standard_normal((30, 4))
    yield LeastSquares(A, A @ np.ones(4), l2=0.01)
    yield LogisticRegression(A, np.sign(A[:, 0] + 0.1), l2=0.01)


def policy_problems() -> Iterator[Any]:
    from optlab.policy.environments import frozen_lake, garnet, lqr

    yield garnet(6, 3, 2, discount=0.9, seed=0)
    yield frozen_lake("4x4")
    yield lqr(seed=0)


def multiview_problems() -> Iterator[Any]:
    from optlab.datasets.multiview import make_linked_views
    from optlab.multiview import LinkedComponents

    views = make_linked_views("S", seed=0).views
    yield LinkedComponents([view - view.mean(0) for view in views], lam=1.0, max_rank=3)


PROBLEMS: dict[str, Callable[[], Iterator[Any]]] = {
    "splitting": splitting_problems,
    "transport": transport_problems,
    "stochastic": stochastic_problems,
    "policy": policy_problems,
    "multiview": multiview_problems,
}


def families() -> list[str]:
    """The families that this version of the library has."""
    found = []
    for name in FAMILIES:
        try:
            importlib.import_module(f"optlab.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"optlab.{name}":
                raise
        else:
            found.append(name)
    return found


def methods(family: str) -> list[type]:
    """All public method classes of a family."""
    module = importlib.import_module(f"optlab.{family}")
    names = [name for name in module.__all__ if inspect.isclass(getattr(module, name))]
    classes = [getattr(module, name) for name in names]
    found = [c for c in classes if callable(getattr(c, "init", None)) and callable(getattr(c, "iterate", None))]
    # a base class for methods of one's own is no method: others in the list derive from it and it is no dataclass
    return [
        c
        for c in found
        if dataclasses.is_dataclass(c) or not any(issubclass(other, c) for other in found if other is not c)
    ]


def pairs() -> list[tuple[str, type]]:
    return [(family, method) for family in families() for method in methods(family)]
