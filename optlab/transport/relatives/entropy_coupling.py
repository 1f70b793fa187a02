"""Couplings of least entropy: the greedy one, with a certificate.

The concave end of the transport polytope, where the independent coupling is the convex one; to find the best is
NP-hard. The greedy coupling takes the largest remaining atom of every marginal, and couples the smallest of these.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_float_array

Array = Any


@dataclass(frozen=True, eq=False)
class EntropyCoupling:
    """What `minimum_entropy_coupling` returns.

    Attributes
    ----------
    atoms : ndarray of int, shape (N, K)
        For each atom of the coupling the index in every marginal.
    weights : ndarray, shape (N,)
    entropy : float
        In bits.
    lower_bound : float
        No coupling has less: the entropy of the meet of the marginals in the majorisation order.
    """

    atoms: Array
    weights: Array
    entropy: float
    lower_bound: float
    shape: tuple[int, ...]

    @property
    def gap(self) -> float:
        """Bits between the entropy and the lower bound."""
        return max(self.entropy - self.lower_bound, 0.0)

    def dense(self) -> Array:
        """Return the coupling as an array with an axis for each marginal."""
        table = np.zeros(self.shape)
        np.add.at(table, tuple(self.atoms.T), self.weights)
        return table


def _entropy(p: Array) -> float:
    p = p[p > 0]
    return float(-np.sum(p * np.log2(p)))


def meet_entropy(marginals: list[Array]) -> float:
    """Return the entropy, in bits, of the meet: its cumulative sums are the smallest of the sorted marginals'."""
    size = max(p.size for p in marginals)
    sums = np.ones((len(marginals), size))
    for row, p in zip(sums, marginals):
        row[: p.size] = np.minimum(np.cumsum(np.sort(p)[::-1]), 1.0)
    least = sums.min(axis=0)
    least[-1] = 1.0
    return _entropy(np.diff(np.concatenate([[0.0], least])))


def minimum_entropy_coupling(*marginals: Any) -> EntropyCoupling:
    """Return the greedy coupling of two or more distributions, whose entropy is near the least.

    Parameters
    ----------
    *marginals : array_like
        Weights, at least 0, each of sum 1 to 1e-6 (they are rescaled).

    Returns
    -------
    EntropyCoupling

    Notes
    -----
    At most ``sum n_k - K + 1`` atoms, in O(K n log n). For two marginals the entropy is within ``log2(e)/e = 0.531``
    bits of the least, for any number within 1.221 (Compton, Katz, Qi, Greenewald, Kocaoglu 2023).

    Examples
    --------
    >>> found = minimum_entropy_coupling([0.5, 0.25, 0.25], [0.5, 0.5])
    >>> found.entropy, found.lower_bound, found.dense()
    (1.5, 1.5, array([[0.5 , 0.  ],
           [0.  , 0.25],
           [0.  , 0.25]]))
    """
    if len(marginals) < 2:
        raise ValueError(f"marginals must be two or more, got {len(marginals)}")
    given = []
    for k, values in enumerate(marginals):
        p = as_float_array(values, f"marginals[{k}]", ndim=1, nonnegative=True).astype(float)
        total = float(p.sum())
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"marginals[{k}] must have the sum 1, got {total:.9g}")
        given.append(p / total)
    heaps = [[(-float(w), int(i)) for i, w in enumerate(p) if w > 0] for p in given]
    for heap in heaps:
        heapq.heapify(heap)
    atoms, weights = [], []
    while all(heaps):
        tops = [heapq.heappop(heap) for heap in heaps]
        flow = min(-w for w, _ in tops)
        atoms.append([i for _, i in tops])
        weights.append(flow)
        for heap, (w, i) in zip(heaps, tops):
            rest = -w - flow
            if rest > 1e-16:  # what rounding leaves is none of the marginal
                heapq.heappush(heap, (-rest, i))
    found = np.array(weights)
    found /= found.sum()
    shape = tuple(p.size for p in given)
    return EntropyCoupling(np.array(atoms), found, _entropy(found), meet_entropy(given), shape)
