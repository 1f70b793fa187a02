"""What the checks of joint linked component analysis share: named deviations, runs, random problems.

Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761) states no theorem known to us; its model is
known from the abstract, its objective, penalty and tuning are reconstructed here. So the checks are of three kinds:
facts about the paper's model, facts derived here about the reconstructed objective, and measurements without a theorem.
`MODEL`, `RECONSTRUCTED` and `MEASURED` say which.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest

import optlab
from optlab.core.records.result import Result
from optlab.datasets.multiview import LinkedData, make_linked_views
from optlab.multiview import AlternatingProcrustes, LinkedComponents, permutation_test
from optlab.reproduce import Evidence

PAPER = "joint-lca"
MODEL = "the paper's decomposition (Xiao, Xiao 2024); derived here, verified numerically"
RECONSTRUCTED = "objective and algorithm reconstructed after Xiao, Xiao 2024; derived here, verified numerically"
MEASURED = "objective and algorithm reconstructed after Xiao, Xiao 2024; measured here, no theorem"

GROUPED = ("group", "mcp", "scad", "l0")
Array = np.ndarray
Blocks = dict[tuple[int, int], Array]


class Deviation(NamedTuple):
    """One thing that should be (close to) zero, and how close."""

    name: str
    value: float
    tolerance: float


def judge(deviations: Iterable[Deviation], note: str = "") -> Evidence:
    """Return the evidence that every deviation is within its own tolerance; names and numbers go into the detail."""
    found = list(deviations)
    return Evidence(
        np.arange(1, len(found) + 1),
        np.maximum([d.value for d in found], 0.0),  # what is below is as it should be: some are one-sided
        [d.tolerance for d in found],
        kind="identity",
        detail={d.name: float(d.value) for d in found},
        note=note,
        xlabel="quantity",
        ylabel="deviation, and its tolerance",
    )


def rate(failures: Sequence[bool], bound: float, what: str, **detail: float) -> Evidence:
    """Return the evidence on a claim that failures have probability at most `bound`.

    It holds if the one-sided exact 95 % upper limit of the probability is within the bound, is violated if the 99 %
    lower limit exceeds it, and is inconclusive in between: few repetitions may agree with it, or not, by luck. Without
    a failure 59 repetitions are enough for a bound of 5 %, 19 for one of 15 %.
    """
    n, hits = len(failures), int(np.sum(failures))
    low = float(binomtest(hits, n, alternative="greater").proportion_ci(0.99).low)
    high = float(binomtest(hits, n, alternative="less").proportion_ci(0.95).high)
    evidence = Evidence(
        [n],
        [high],
        [bound],
        rtol=0.0,
        detail={what: f"{hits} of {n}", "share": hits / n, "99 % lower limit": low, **detail},
        note="judged by the 95 % upper confidence limit of the probability",
        xlabel="repetitions",
        ylabel=f"share of {what}, upper limit",
    )
    if evidence.verdict == "violated" and low <= bound:
        evidence.verdict = "inconclusive"
        evidence.note += "; the limits straddle the bound"
    return evidence


def fit(
    problem: LinkedComponents,
    x0: Any = None,
    *,
    method: AlternatingProcrustes | None = None,
    tol: float = 1e-9,
    max_iter: int = 2000,
    record: int | str = 10,
) -> Result:
    """Run the method through the driver."""
    method = AlternatingProcrustes() if method is None else method
    return optlab.solve(problem, method, x0=x0, tol=tol, max_iter=max_iter, record=record, progress=False)


def relative(found: Any, wanted: Any) -> float:
    """Largest difference over the largest wanted value."""
    wanted = np.asarray(wanted, dtype=float)
    return float(np.max(np.abs(np.asarray(found) - wanted)) / max(np.max(np.abs(wanted)), 1e-300))


def group_norms(strengths: Any) -> Array:
    """Group norms ``(sum_{k<l} a_kj^2 a_lj^2)^(1/2)`` of the common-score model, largest first."""
    a = np.asarray(strengths, dtype=float)
    squares = sum((a[k] * a[l]) ** 2 for k, l in combinations(range(len(a)), 2))
    return np.sort(np.sqrt(squares))[::-1]


def oblique_covariances(strengths: Any, p: Sequence[int], seed: int) -> tuple[Blocks, list[Array]]:
    """Return the blocks of a common-score model whose loading vectors have unit length but are not orthogonal."""
    rng, a = np.random.default_rng(seed), np.asarray(strengths, dtype=float)
    V = [rng.standard_normal((size, a.shape[1])) + 1.0 for size in p]
    V = [L / np.linalg.norm(L, axis=0) for L in V]
    return {(k, l): (V[k] * (a[k] * a[l])) @ V[l].T for k, l in combinations(range(len(V)), 2)}, V


def random_blocks(p: Sequence[int], seed: int) -> Blocks:
    """Return cross-covariances without any structure: independent Gaussian entries."""
    rng = np.random.default_rng(seed)
    return {(k, l): rng.standard_normal((p[k], p[l])) for k, l in combinations(range(len(p)), 2)}


def small_problem(seed: int, penalty: str, share: float, n_views: int = 3, max_rank: int = 3) -> LinkedComponents:
    """Return a small noisy problem with unequal pair weights and ``lam`` at `share` of the largest useful one."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((12, 2))
    sizes = rng.integers(max_rank, 7, n_views)
    views = [z @ rng.standard_normal((2, p)) + rng.standard_normal((12, p)) for p in sizes]
    weights = rng.uniform(0.2, 2.0, (n_views, n_views))
    base = LinkedComponents(views, max_rank=max_rank, penalty=penalty, pair_weights=weights + weights.T)
    # the L0 penalty is on the scale of a squared norm
    return base.replace(lam=base.lambda_max() * (share**2 if penalty == "l0" else share))


def soft_threshold_value(S: Array, lam: float) -> tuple[float, Array]:
    """Return the minimum of ``1/2 ||S - M||^2 + lam ||M||_*`` and the singular values of its minimiser."""
    values = np.linalg.svd(S, compute_uv=False)
    kept = np.maximum(values - lam, 0.0)
    return 0.5 * float(np.sum((values - kept) ** 2)) + lam * float(kept.sum()), kept


class Replicate(NamedTuple):
    """Penalised and refitted fit of simulated data at the permutation choice of ``lam``."""

    data: LinkedData
    problem: LinkedComponents
    lam: float
    penalised: Any
    refitted: Any


@lru_cache(maxsize=64)
def replicate(design: str, seed: int, n_permutations: int, max_rank: int = 6) -> Replicate:
    """Draw from a design and fit it, ``lam`` by permutation, views neither scaled nor standardised.

    Cached: two checks look at the same fits.
    """
    data = make_linked_views(design, seed=seed)
    lam = permutation_test(
        data.views,
        max_rank=max_rank,
        n_permutations=n_permutations,
        scaling="none",
        random_state=seed,
    ).lam
    assert lam is not None
    problem = LinkedComponents(data.views, lam=lam, max_rank=max_rank)
    penalised = fit(problem, tol=1e-6, max_iter=500).solution
    refitted = None
    if penalised.rank:
        refitted = fit(problem.replace(lam=0.0, max_rank=penalised.rank), penalised, tol=1e-6, max_iter=500).solution
    return Replicate(data, problem, float(lam), penalised, refitted)
