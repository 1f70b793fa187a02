"""Joint linked component analysis: exact identities.

On the model of Xiao, Xiao (2024, arXiv 2406.11761): noiseless recovery, the two-view case in closed form, the profile
form of the objective, the compressed form of wide views, and what a fit does not depend on. The objective is
reconstructed; nothing here is a theorem of the paper.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.datasets.multiview import linked_covariances, loading_error, make_linked_views, subspace_error
from optlab.multiview import JointLCA, LinkedComponents, certify
from optlab.multiview.views import read_views, standardised
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.joint_lca._instances import (
    GROUPED,
    MODEL,
    PAPER,
    RECONSTRUCTED,
    Deviation,
    fit,
    group_norms,
    judge,
    oblique_covariances,
    random_blocks,
    relative,
    small_problem,
    soft_threshold_value,
)

# ------------------------------------------------------------------------------------------- noiseless recovery


def _recovery(seed: int, view_counts: tuple[int, ...], covariances: Any) -> Evidence:
    lam, found = 0.05, []
    for K in view_counts:
        strengths = np.random.default_rng([seed, K]).uniform(1, 3, (K, 4))
        blocks, loadings = covariances(strengths, [20 + 3 * k for k in range(K)], seed)
        problem = LinkedComponents.from_cross_covariances(blocks, lam=lam, max_rank=8)
        solution = fit(problem, tol=1e-12, max_iter=40).solution
        again = fit(problem.replace(lam=0.0, max_rank=4), solution, tol=1e-12, max_iter=40)
        truth = group_norms(strengths)
        found += [
            Deviation(f"K = {K}: |rank - 4|", abs(solution.rank - 4), 0),
            Deviation(f"K = {K}: loading error", loading_error(solution.loadings, loadings), 1e-7),
            Deviation(f"K = {K}: penalised norms", float(np.abs(solution.norms[:4] - (truth - lam)).max()), 1e-10),
            Deviation(f"K = {K}: refitted norms", float(np.abs(again.solution.norms - truth).max()), 1e-10),
            Deviation(f"K = {K}: objective of the refit", again.metrics["objective"], 1e-12),
        ]
    return judge(found)


@theorem(
    id="joint-lca-exact-recovery",
    paper=PAPER,
    title="Population cross-covariances: rank, loadings and strengths are recovered",
    statement="""With S_kl = V_k A_k A_l V_l', rank 4, K = 2, 3, 5 views, eight components carried and lam = 0.05, the
    fit has rank 4, the true loadings, and the group norms ||d_j|| - lam; the refit has ||d_j|| exactly.""",
    assumptions=("orthonormal loadings in every view", "a common score", "group norms above lam", "no noise"),
    source=MODEL,
)
def exact_recovery(scale: str, seed: int) -> Evidence:
    return _recovery(seed, at_scale(scale, (2, 3, 5), (2, 3, 5, 8)), linked_covariances)


@exact_recovery.control("loading vectors that are not orthogonal")
def _(scale: str, seed: int) -> Evidence:
    return _recovery(seed, (3,), oblique_covariances)


def _spectral(seed: int, sizes: tuple[tuple[int, ...], ...], weighted: bool) -> Evidence:
    found = []
    for p in sizes:
        K = len(p)
        strengths = np.random.default_rng([seed, K]).uniform(1, 3, (K, 3))
        blocks, loadings = linked_covariances(strengths, p, seed)
        W = np.full((K, K), 0.01 if weighted else 1.0)
        W[: K // 2, : K // 2] = W[K // 2 :, K // 2 :] = 1.0  # two halves, hardly linked if weighted
        problem = LinkedComponents.from_cross_covariances(blocks, max_rank=3, pair_weights=W)
        values = np.linalg.eigvalsh(problem.B)
        positive = int(np.sum(values > 1e-9 * values[-1]))
        start = problem.spectral_start()
        found += [
            Deviation(f"K = {K}: |positive eigenvalues - 3|", abs(positive - 3), 0),
            Deviation(f"K = {K}: subspace error of the start", subspace_error(start, loadings), 1e-7),
        ]
    return judge(found)


@theorem(
    id="joint-lca-spectral-start",
    paper=PAPER,
    title="The spectral start spans the joint subspaces exactly",
    statement="""In the noiseless common-score model with equal pair weights the matrix of all cross-covariances, with
    zero diagonal blocks, acts on component j as a_j a_j' - diag(a_j^2): it has exactly r positive eigenvalues, and the
    blocks of their eigenvectors span the loadings of every view.""",
    assumptions=("a common score", "equal pair weights", "no noise"),
    source=MODEL,
)
def spectral_start(scale: str, seed: int) -> Evidence:
    return _spectral(seed, ((9, 8), (7, 9, 8), (9, 6, 8, 7), (6, 6, 7, 7, 8, 8)), False)


@spectral_start.control("pair weights that all but cut the views into two halves")
def _(scale: str, seed: int) -> Evidence:
    return _spectral(seed, ((9, 6, 8, 7), (6, 6, 7, 7, 8, 8)), True)


# ------------------------------------------------------------------------------------------------- two views


def _against_pairs(seed: int, p: tuple[int, ...], lams: tuple[float, ...], penalty: str = "group") -> Evidence:
    """Compare the fit with singular-value soft-thresholding of every pair by itself."""
    blocks, found = random_blocks(p, seed), []
    for lam in lams:
        problem = LinkedComponents.from_cross_covariances(blocks, lam=lam, max_rank=min(p), penalty=penalty)
        result = fit(problem, max_iter=50)
        optima = [soft_threshold_value(S, lam) for S in blocks.values()]
        wanted = np.zeros(min(p))
        kept = np.sqrt(sum(np.pad(d, (0, min(p)))[: min(p)] ** 2 for _, d in optima))
        wanted[: kept.size] = kept
        scale = np.linalg.norm(blocks[0, 1], 2)
        value = sum(v for v, _ in optima)
        found += [
            Deviation(f"lam = {lam:g}: objective", abs(result.metrics["objective"] - value) / problem.total, 1e-10),
            Deviation(f"lam = {lam:g}: values", float(np.abs(result.solution.norms - wanted).max() / scale), 1e-10),
        ]
    return judge(found)


@theorem(
    id="joint-lca-two-views",
    paper=PAPER,
    title="Two views: singular-value soft-thresholding",
    statement="""For K = 2 the group-penalised objective is that of nuclear-norm denoising of S_12; from the spectral
    start the fit is its global solution, the singular values of S_12 reduced by lam, for any lam.""",
    assumptions=("K = 2",),
    source=RECONSTRUCTED,
)
def two_views(scale: str, seed: int) -> Evidence:
    return _against_pairs(seed, (30, 45), at_scale(scale, (0.0, 1.0, 5.0, 9.0, 20.0), tuple(np.linspace(0, 20, 41))))


@two_views.control("three views, each pair thresholded by itself")
def _(scale: str, seed: int) -> Evidence:
    return _against_pairs(seed, (5, 6, 7), (1.0,))


def _three_ways(seed: int, p: tuple[int, ...], lams: tuple[float, ...], max_iter: int = 25) -> Evidence:
    blocks, found = random_blocks(p, seed), []
    for lam in lams:
        pairwise = LinkedComponents.from_cross_covariances(blocks, lam=lam, max_rank=min(p))
        factored = pairwise.replace(penalty="factored")
        ends = {"pairwise": fit(pairwise, max_iter=max_iter), "factored": fit(factored, max_iter=max_iter)}
        bound = certify(factored, ends["factored"].solution).lower_bound
        values = [r.metrics["objective"] for r in ends.values()]
        found += [
            Deviation(f"lam = {lam:g}: factored and pairwise", abs(values[1] - values[0]) / values[0], 1e-8),
            Deviation(f"lam = {lam:g}: factored and convex relaxation", abs(values[1] - bound) / values[1], 1e-8),
        ]
    return judge(found)


@theorem(
    id="joint-lca-factored-two-views",
    paper=PAPER,
    title="Two views: the factored, the pairwise and the convex problem have one optimum",
    statement="""For K = 2 the ridge lam/2 (a_1^2 + a_2^2) at a_1 a_2 = d costs at least lam |d|, attained at |a_1| =
    |a_2|: the factored optimum equals the pairwise optimum, and both equal the semidefinite relaxation.""",
    assumptions=("K = 2", "equal pair weights"),
    source=RECONSTRUCTED,
)
def factored_two_views(scale: str, seed: int) -> Evidence:
    return _three_ways(seed, at_scale(scale, (8, 11), (20, 25)), (0.5, 2.0, 4.0))


@factored_two_views.control("three views")
def _(scale: str, seed: int) -> Evidence:
    return _three_ways(seed, (4, 5, 6), (3.0,), 5)


# ------------------------------------------------------------------------------------------------- the profile form


def _profile(seed: int, count: int, shrink: bool) -> Evidence:
    """Compare ``F(V, prox(c(V)))`` with ``(sum w ||S||^2 - sum_j (||c_j|| - lam)_+^2) / 2`` at random loadings."""
    worst = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        problem = small_problem(seed + i, "group", rng.uniform(0.05, 0.9), n_views=2 + i % 4)
        c = problem.correlations(np.concatenate(problem.random_start(rng)))
        d = problem.penalty.shrink(c, problem.lam, problem.sqrt_weights)[0] if shrink else c
        kept = np.maximum(np.linalg.norm(c, axis=0) - problem.lam, 0.0)
        value = 0.5 * (problem.total - float(kept @ kept))
        worst.append((problem.objective(c, d) - value) / problem.total)
    return Evidence(
        np.arange(1, count + 1), worst, kind="identity", slack=1e-12, xlabel="problem", ylabel="relative difference"
    )


@theorem(
    id="joint-lca-profile",
    paper=PAPER,
    title="Minimised over the strengths, the objective is a function of the group norms",
    statement="""At any orthonormal loadings, min over D of the objective is half of sum_kl w_kl ||S_kl||^2 less half
    of sum_j (||c_j|| - lam)_+^2 with c_kl,j = v_kj' S_kl v_lj: a component is worth what its norm exceeds lam by,
    squared.""",
    assumptions=("orthonormal loadings", "the same weights in the loss and in the group norm"),
    source=RECONSTRUCTED,
)
def profile(scale: str, seed: int) -> Evidence:
    return _profile(seed, at_scale(scale, 20, 1000), True)


@profile.control("strengths that are not the minimiser: D = diag(V_k' S_kl V_l)")
def _(scale: str, seed: int) -> Evidence:
    return _profile(seed, 10, False)


# ------------------------------------------------------------------------------------------------- compression


def _compressed(seed: int, n: int, p: tuple[int, ...], compression: str | int) -> Evidence:
    """Compare the estimator, on compressed views, with the method on all p_k x p_l cross-covariances."""
    data, lam = make_linked_views("C", n=n, p=p, seed=seed), 0.1
    model = JointLCA(
        lam=lam, max_rank=5, variant="covariance", tol=1e-11, max_iter=3000, compression=compression, refit=False
    )
    compressed = model.fit(data.views).result_
    views = [v.dense() for v in standardised(read_views(data.views))]
    blocks = {(k, l): views[k].T @ views[l] / (n - 1) for k in range(len(p)) for l in range(k + 1, len(p))}
    dense = fit(LinkedComponents.from_cross_covariances(blocks, lam=lam, max_rank=5), tol=1e-11, max_iter=3000)
    a, b = compressed.solution, dense.solution
    gram = max(float(np.abs(V.T @ V - np.eye(V.shape[1])).max()) for V in a.loadings)
    values = [r.metrics["objective"] for r in (compressed, dense)]
    return judge(
        [
            Deviation("difference in rank", abs(a.rank - b.rank), 0),
            Deviation("objective, relative", abs(values[0] - values[1]) / values[1], 1e-8),
            Deviation("strengths of all pairs, relative", relative(np.abs(a.diagonals), np.abs(b.diagonals)), 1e-8),
            Deviation("V' V - I in the features", gram, 1e-8),
            Deviation("loading error", loading_error(a.loadings, b.loadings), 1e-6),
        ]
    )


@theorem(
    id="joint-lca-compressed",
    paper=PAPER,
    title="The compressed form of wide views is exact",
    statement="""With p_k > n everything can run on the n x (n - 1) coordinates U_k s_k of each view: rank, objective,
    strengths and loadings are those of the fit to the full p_k x p_l cross-covariances, and the loadings are
    orthonormal.""",
    assumptions=("no direction of a view is dropped",),
    source=RECONSTRUCTED,
)
def compressed(scale: str, seed: int) -> Evidence:
    n, p = at_scale(scale, (30, (45, 50, 60)), (60, (150, 200, 250)))
    return _compressed(seed, n, p, "exact")


@compressed.control("a randomised compression to 5 directions")
def _(scale: str, seed: int) -> Evidence:
    return _compressed(seed, 30, (45, 50, 60), 5)


# ------------------------------------------------------------------------------------------------- invariances


def _invariances(seed: int, n: int, scaling: str, only: str = "") -> Evidence:
    data = make_linked_views("S", n=n, p=(8, 9, 10), individual=(2,), seed=seed)
    views, rng = data.views, np.random.default_rng(seed)
    # scaled by total variance lam is a share; unscaled the first singular value is about 20
    lam = 0.06 if scaling == "frobenius" else 2.0
    model = JointLCA(lam=lam, max_rank=3, variant="covariance", tol=1e-11, max_iter=3000, scaling=scaling)

    def fitted(changed: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
        model.fit(changed)
        return model.singular_values_, model.loadings_

    norms, loadings = fitted(views)
    Q = [np.linalg.qr(rng.standard_normal((X.shape[1],) * 2))[0] for X in views]
    order, factors = rng.permutation(n), (0.1, 30.0, 1.0)
    cases = {
        "another order of the views": ([views[i] for i in (2, 0, 1)], lambda V: [V[i] for i in (1, 2, 0)]),
        "rotated features": (
            [X @ q for X, q in zip(views, Q, strict=True)],
            lambda V: [q @ v for q, v in zip(Q, V, strict=True)],
        ),
        "permuted samples": ([X[order] for X in views], lambda V: V),
        "shifted features": ([X + rng.standard_normal(X.shape[1]) for X in views], lambda V: V),
        "rescaled views": ([X * s for X, s in zip(views, factors, strict=True)], lambda V: V),
    }
    found = []
    for name, (changed, back) in cases.items():
        if only and name != only:
            continue
        other, V = fitted(changed)
        same = other.size == norms.size
        found += [
            Deviation(f"{name}: singular values", relative(other, norms) if same else np.inf, 1e-6),
            Deviation(f"{name}: loadings", loading_error(back(V), loadings), 1e-6),
        ]
    return judge(found)


@theorem(
    id="joint-lca-invariances",
    paper=PAPER,
    title="What a fit does not depend on",
    statement="""Another order of the views or the samples, a shift of features, and, with views scaled to unit total
    variance, the scale of a view leave singular values and loadings unchanged; a rotation of a view's features rotates
    its loadings.""",
    assumptions=("the optimum is unique", "views scaled to unit total variance"),
    source=RECONSTRUCTED,
)
def invariances(scale: str, seed: int) -> Evidence:
    return _invariances(seed, at_scale(scale, 200, 1000), "frobenius")


@invariances.control("views left at their own scale")
def _(scale: str, seed: int) -> Evidence:
    return _invariances(seed, 200, "none", "rescaled views")


def _weights(seed: int, exponent: float, penalties: tuple[str, ...]) -> Evidence:
    """Compare views divided by s_k with pair weights ``(s_k s_l)^-exponent`` on the views as they are."""
    data = make_linked_views("S", p=(8, 9, 10), individual=(2,), seed=seed)
    s, found = np.array([1.0, 2.0, 0.5]), []
    for penalty in penalties:
        scaled = LinkedComponents([X / q for X, q in zip(data.views, s, strict=True)], max_rank=3, penalty=penalty)
        scaled = scaled.replace(lam=0.2 * scaled.lambda_max())
        weighted = LinkedComponents(
            data.views, lam=scaled.lam, max_rank=3, penalty=penalty, pair_weights=np.outer(s, s) ** -exponent
        )
        a, b = fit(scaled, tol=1e-11, max_iter=3000).solution, fit(weighted, tol=1e-11, max_iter=3000).solution
        found += [
            Deviation(f"{penalty}: norms", relative(b.norms, a.norms), 1e-6),
            Deviation(f"{penalty}: loadings", loading_error(b.loadings, a.loadings), 1e-6),
        ]
    return judge(found)


@theorem(
    id="joint-lca-weights",
    paper=PAPER,
    title="Pair weights 1 / (s_k^2 s_l^2) are the same as views divided by s_k",
    statement="""With w_kl = (s_k s_l)^-2 in the loss and in the group norm, loadings and group norms are those of the
    views X_k / s_k with equal weights, for every group penalty at the same lam.""",
    assumptions=("the same weights in the loss and in the group norm",),
    source=RECONSTRUCTED,
)
def weights(scale: str, seed: int) -> Evidence:
    return _weights(seed, 2.0, at_scale(scale, ("group", "mcp"), GROUPED))


@weights.control("weights 1 / (s_k s_l)")
def _(scale: str, seed: int) -> Evidence:
    return _weights(seed, 1.0, ("group",))
