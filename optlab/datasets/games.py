"""Matrix games ``min_x max_y x^T M y`` over two simplices: the row player pays M to the column player."""

from __future__ import annotations

import math

import numpy as np

from optlab.core.validation import as_integer, as_number

# k ways are a k x k game: 200 MB of numbers
_LARGEST_BLOTTO = 5_000


def wine_tournament() -> np.ndarray:
    """Return how often one wine beats another: the share of 13 chemical properties in which it has the larger value.

    Ties count half, so that ``P + P^T = 1``. It is real and intransitive: 23,243 of its 924,176 triads are cycles.

    Returns
    -------
    ndarray, shape (178, 178)

    Examples
    --------
    >>> P = wine_tournament()
    >>> P.shape, bool(np.all(P + P.T == 1.0))
    ((178, 178), True)
    """
    from sklearn.datasets import load_wine

    X = load_wine().data
    wins = np.zeros((len(X), len(X)))
    for column in X.T:
        wins += (column[:, None] > column) + 0.5 * (column[:, None] == column)
    return np.triu(wins / X.shape[1], 1) + np.tril(1.0 - wins.T / X.shape[1], -1) + 0.5 * np.eye(len(X))


def rock_paper_scissors(perturbation: float = 0.0, seed: int = 0) -> np.ndarray:
    """Return the 3 x 3 game of rock, paper, scissors, with Gaussian noise if wanted.

    Parameters
    ----------
    perturbation : float, default 0.0
        Standard deviation of the noise added to every entry; it makes the equilibrium something to look for.
    seed : int
        Seed of the noise.

    Returns
    -------
    ndarray, shape (3, 3)

    Examples
    --------
    >>> rock_paper_scissors()
    array([[ 0.,  1., -1.],
           [-1.,  0.,  1.],
           [ 1., -1.,  0.]])
    """
    perturbation = as_number(perturbation, "perturbation", minimum=0)
    noise = np.random.default_rng(as_integer(seed, "seed", minimum=0)).standard_normal((3, 3))
    return np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0]]) + perturbation * noise


def gaussian_game(n: int, m: int | None = None, seed: int = 0) -> np.ndarray:
    """Return an n x m game with independent standard normal entries.

    Parameters
    ----------
    n, m : int
        Numbers of pure strategies of the row and column player; m defaults to n.
    seed : int
        Seed.

    Examples
    --------
    >>> gaussian_game(2, 3).shape
    (2, 3)
    """
    n = as_integer(n, "n", minimum=1)
    m = n if m is None else as_integer(m, "m", minimum=1)
    return np.random.default_rng(as_integer(seed, "seed", minimum=0)).standard_normal((n, m))


def blotto_game(soldiers: int, fields: int = 3) -> np.ndarray:
    """Return Colonel Blotto's game: two sides spread soldiers over fields, each field goes to the larger troop.

    Parameters
    ----------
    soldiers : int
        Soldiers of each side, at least 0.
    fields : int, default 3
        Battlefields, at least 1.

    Returns
    -------
    ndarray, shape (k, k)
        Fields won by the column player less those won by the row player, for the k = C(soldiers + fields - 1,
        fields - 1) ways to spread the soldiers (in lexicographic order); skew-symmetric, so its value is 0.

    Examples
    --------
    >>> blotto_game(1, fields=2)
    array([[0., 0.],
           [0., 0.]])
    >>> blotto_game(5).shape
    (21, 21)
    """
    soldiers, fields = as_integer(soldiers, "soldiers", minimum=0), as_integer(fields, "fields", minimum=1)
    ways = math.comb(soldiers + fields - 1, fields - 1) if soldiers + fields < 100_000 else math.inf
    if ways > _LARGEST_BLOTTO or fields > 10_000:
        raise ValueError(
            f"soldiers and fields must give at most {_LARGEST_BLOTTO:,} ways to spread the soldiers, C(soldiers + "
            f"fields - 1, fields - 1), got soldiers={soldiers} and fields={fields}"
        )

    def spread(left: int, places: int) -> list[tuple[int, ...]]:
        if places == 1:
            return [(left,)]
        return [(first, *rest) for first in range(left + 1) for rest in spread(left - first, places - 1)]

    troops = np.array(spread(soldiers, fields))
    wins = np.sign(troops[None, :, :] - troops[:, None, :])
    return np.asarray(wins.sum(axis=-1), dtype=np.float64)
