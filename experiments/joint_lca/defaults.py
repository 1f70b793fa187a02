"""What `JointLCA` does by default, and why: variants and rules for the rank over sixteen designs.

Captured share: mean squared canonical correlation of the true joint scores with those of the fit, 0 where no component
is found. No method is told the rank. Designs with letters are those of `optlab.datasets.multiview.DESIGNS`. "Latent"
designs are of the kind that CCA packages simulate: z with r columns, ``X_k = sqrt(snr) z W_k' + E``, entries of W_k
standard normal, 20 features (8 in the last). "Mouse" designs have the size of the nutrimouse study (Martin et al. 2007;
40 mice, 120 genes, 21 lipids; the data themselves are not here): two strong individual factors per view, and one link
with a correlation of .75 ("weak") or two of .95 and .9 ("strong") between single directions of middling variance.
"""

from __future__ import annotations

import time
import warnings

import numpy as np

import optlab
from optlab.datasets.multiview import make_linked_views
from optlab.multiview import ModelFitWarning
from optlab.reproduce import at_scale

from ._common import PAPER, joint, repeat, table

RULES = {
    "covariance, cv": {"variant": "covariance", "lam": "cv"},
    "covariance, permutation": {"variant": "covariance", "lam": "permutation"},
    "whitened, permutation": {"variant": "whitened", "lam": "permutation"},
    "hybrid, cv": {"variant": "hybrid", "lam": "cv"},
    "hybrid, permutation": {"variant": "hybrid", "lam": "permutation"},
}
DEFAULT = "hybrid, permutation"
LATENT = {  # views, rank, features, samples, signal to noise
    "latent K2 r2": (2, 2, 20, 200, 0.05),
    "latent K2 r2, low": (2, 2, 20, 200, 0.03),
    "latent K3 r3, low": (3, 3, 20, 200, 0.03),
    "latent K2 r8": (2, 8, 20, 300, 0.5),
    "latent K3 r4": (3, 4, 8, 300, 0.2),
}
LETTERS = ("S", "A", "B", "C", "D", "E", "F", "H", "X", "Y", "chimera", "N")
MICE = {  # correlations of the linked directions, their standard deviations beside .5 and .35 of the individual ones
    "mouse, weak": ((0.8,), 0.3),
    "mouse, strong": ((0.95, 0.9), 0.3),
    "mouse, leading": ((0.6,), 0.8),
    "mouse, none": ((), 0.0),
}
DESIGNS = (*LETTERS, *LATENT, *MICE)


def latent(views: int, rank: int, p: int, n: int, snr: float, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return views ``sqrt(snr) z W_k' + E`` and z."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, rank))
    return [np.sqrt(snr) * z @ rng.standard_normal((rank, p)) + rng.standard_normal((n, p)) for _ in range(views)], z


def mice(
    correlations: tuple[float, ...], size: float, seed: int, n: int = 40, p: tuple[int, ...] = (120, 21)
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return two views in which single directions correlate, beside stronger individual ones, and the common scores."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, len(correlations)))
    views = []
    root = np.sqrt(correlations)
    for features in p:
        Q = np.linalg.qr(rng.standard_normal((features, 2 + z.shape[1])))[0]
        own = rng.standard_normal((n, 2)) * (0.5, 0.35)
        linked = size * (root * z + np.sqrt(1.0 - np.square(root)) * rng.standard_normal(z.shape))
        noise = 0.3 * rng.standard_normal((n, features))
        views.append(np.sqrt(features) * np.hstack([own, linked]) @ Q.T + noise)
    return views, z


def draw_design(name: str, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the views and the true joint scores."""
    if name in LATENT:
        return latent(*LATENT[name], seed)
    if name in MICE:
        return mice(*MICE[name], seed)
    data = make_linked_views(name, seed=seed)
    return data.views, data.scores


def captured(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean squared canonical correlation of the true scores with the span of the estimated ones."""
    if truth.shape[1] == 0:
        return float("nan")
    if scores.shape[1] == 0:
        return 0.0
    P, Q = (np.linalg.qr(Z - Z.mean(axis=0))[0] for Z in (scores, truth))
    return float(np.sum((P.T @ Q) ** 2) / truth.shape[1])


def one(design: str, seed: int, rules: tuple[str, ...]) -> list[dict]:
    """Return one row per rule."""
    views, truth = draw_design(design, seed)
    rows = []
    for rule in rules:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ModelFitWarning)
            start = time.process_time()
            fit = joint(**RULES[rule], random_state=seed).fit(views)
            seconds = time.process_time() - start
        rows.append(
            {
                "design": design,
                "seed": seed,
                "rule": rule,
                "rank": fit.rank_,
                "true_rank": truth.shape[1],
                "captured": captured(fit.scores_[:, : fit.rank_], truth),
                "undecided": fit.selection_.decided is False,
                "seconds": seconds,
            }
        )
    return rows
