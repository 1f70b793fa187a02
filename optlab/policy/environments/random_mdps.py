"""Random MDPs: Garnet (Archibald, McKinnon and Thomas 1995) and linear MDPs, fully determined by a seed."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from optlab.core.validation import as_generator, as_number
from optlab.policy.arguments import as_count
from optlab.policy.mdp.model import MDP

__all__ = ["garnet", "linear_mdp"]


def garnet(
    n_states: int = 50,
    n_actions: int = 4,
    branching: int = 5,
    discount: float = 0.9,
    seed: int = 0,
    known_optimal: bool | None = None,
) -> MDP:
    """Return a random MDP: `branching` distinct successors per state and action, uniform spacings as probabilities.

    Costs are uniform on [0, 1], the start law is uniform. Well mixing: policy iteration needs 2 to 4 steps, so this is
    a place for inequalities and for scaling, not for a contest of iteration counts.

    Parameters
    ----------
    n_states, n_actions, branching : int
        Default 50, 4, 5.
    discount : float, default 0.9
    seed : int, default 0
    known_optimal : bool, optional
        See `MDP`.

    Returns
    -------
    MDP

    Examples
    --------
    >>> garnet(20, 3, 4)
    <Garnet(20, 3, 4): 20 states, 3 actions, discount 0.9>
    """
    S = as_count(n_states, "n_states")
    A = as_count(n_actions, "n_actions")
    b = as_count(branching, "branching")
    if b > S:
        raise ValueError(f"branching must be at most n_states = {S}, got {b}")
    rng = as_generator(seed, "seed", default=None)
    rows = S * A
    if 2 * b > S:
        successors = np.argsort(rng.random((rows, S)), axis=1)[:, :b]
    else:
        # draw with replacement, and draw again the rows that hold a state twice
        successors = rng.integers(S, size=(rows, b))
        todo = np.arange(rows)
        while todo.size:
            ordered = np.sort(successors[todo], axis=1)
            todo = todo[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
            successors[todo] = rng.integers(S, size=(todo.size, b))
    cuts = np.sort(rng.random((rows, b - 1)), axis=1)
    weights = np.diff(cuts, axis=1, prepend=0.0, append=1.0)
    order = np.argsort(successors, axis=1)
    indices = np.take_along_axis(successors, order, axis=1).astype(np.int32)
    data = np.take_along_axis(weights, order, axis=1)
    P = sp.csr_matrix((data.ravel(), indices.ravel(), np.arange(rows + 1, dtype=np.int64) * b), shape=(rows, S))
    cost = rng.random((S, A))
    return MDP(P, cost, discount, known_optimal=known_optimal, name=f"Garnet({S}, {A}, {b})")


def linear_mdp(
    n_states: int = 60,
    n_actions: int = 4,
    dimension: int = 8,
    discount: float = 0.9,
    seed: int = 0,
    concentrations: tuple[float, float] = (0.3, 0.1),
) -> MDP:
    """Return a linear MDP: ``P(s' | s, a) = sum_i phi_i(s, a) mu_i(s')`` and ``c = <phi(s, a), w>``.

    The features are probability vectors, Dirichlet, as are the `dimension` laws ``mu_i`` over states; w is uniform on
    [0, 1]. Action values of every policy are linear in the features ``mdp.features`` (S, A, dimension), so methods
    with log-linear policies on them can be exact.

    Parameters
    ----------
    n_states, n_actions, dimension : int
        Default 60, 4, 8.
    discount : float, default 0.9
    seed : int, default 0
    concentrations : tuple of two floats, default (0.3, 0.1)
        Dirichlet parameters of the features and of the laws over states; small ones make them sparse.

    Returns
    -------
    MDP

    Examples
    --------
    >>> mdp = linear_mdp(seed=1)
    >>> mdp.features.shape
    (60, 4, 8)
    """
    S = as_count(n_states, "n_states")
    A = as_count(n_actions, "n_actions")
    d = as_count(dimension, "dimension")
    if not isinstance(concentrations, (tuple, list)) or len(concentrations) != 2:
        raise TypeError(f"concentrations must be two numbers, got {type(concentrations).__name__}")
    first, second = (as_number(c, "concentrations", above=0.0) for c in concentrations)
    rng = as_generator(seed, "seed", default=None)
    phi = rng.dirichlet(np.full(d, first), size=(S, A))
    mu = rng.dirichlet(np.full(S, second), size=d)
    P, cost = phi @ mu, phi @ rng.random(d)
    return MDP(P, cost, discount, features=phi, name=f"Linear MDP({S}, {A}, {d})")
