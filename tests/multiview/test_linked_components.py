"""The problem and its method: exact cases, monotone descent, stationarity, thresholds, re-entry, certificates."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import optlab
from optlab.datasets.multiview import (
    chimera_covariances,
    linked_covariances,
    loading_error,
    make_linked_views,
    subspace_error,
)
from optlab.multiview import (
    MCP,
    SCAD,
    AlternatingProcrustes,
    FactoredRidge,
    GroupL0,
    GroupLasso,
    LinkedComponents,
    certify,
)
from optlab.multiview.methods.procrustes import procrustes_sweep
from optlab.multiview.methods.refinement import component_pass

GROUPED = ["group", "mcp", "scad", "l0", "adaptive"]


def solve(problem, *, refine_every=5, **options):
    options = {"tol": 1e-9, "max_iter": 2000, **options}
    return optlab.solve(problem, AlternatingProcrustes(refine_every), **options)


# ---------------------------------------------------------------------- exact cases


@pytest.mark.parametrize("n_views", [2, 3, 5])
def test_population_covariances_are_recovered_with_norms_reduced_by_lam(n_views):
    strengths = np.random.default_rng(n_views).uniform(1, 3, (n_views, 4))
    blocks, loadings = linked_covariances(strengths, [20 + 3 * k for k in range(n_views)], seed=1)
    problem = LinkedComponents.from_cross_covariances(blocks, lam=0.05, max_rank=8)
    result = solve(problem, tol=1e-12)
    assert result.success
    assert result.solution.rank == 4
    assert loading_error(result.solution.loadings, loadings) < 1e-8
    products = strengths[:, None] * strengths[None]
    true = np.sort(np.sqrt(0.5 * np.sum(products**2, axis=(0, 1)) - 0.5 * np.sum(strengths**4, axis=0)))[::-1]
    np.testing.assert_allclose(result.solution.norms[:4], true - 0.05, atol=1e-10)
    again = solve(problem.replace(lam=0.0, max_rank=4), x0=result.solution)
    np.testing.assert_allclose(again.solution.norms, true, atol=1e-10)
    assert again.metrics["objective"] < 1e-12


def test_noiseless_samples_are_recovered_to_rounding():
    data = make_linked_views("S", exact=True, noise=0.0, seed=2)
    result = solve(LinkedComponents(data.views, max_rank=3), tol=1e-12)
    assert subspace_error(result.solution.loadings, data.loadings) < 1e-8
    assert loading_error(result.solution.loadings, data.loadings) < 1e-8
    np.testing.assert_allclose(result.solution.norms, np.sort(data.norms)[::-1], rtol=1e-8)


@pytest.mark.delicate
@pytest.mark.parametrize("penalty", ["group", "factored"])
@pytest.mark.parametrize("lam", [0.0, 1.5, 6.0, 50.0])
def test_two_views_are_singular_value_soft_thresholding(penalty, lam):
    S = np.random.default_rng(3).standard_normal((20, 30))
    values = np.linalg.svd(S, compute_uv=False)
    kept = np.maximum(values - lam, 0)
    problem = LinkedComponents.from_cross_covariances({(0, 1): S}, lam=lam, penalty=penalty, max_rank=20)
    result = solve(problem)
    np.testing.assert_allclose(result.solution.norms, kept, rtol=1e-10, atol=1e-10)
    optimum = 0.5 * np.sum((values - kept) ** 2) + lam * kept.sum()
    assert result.metrics["objective"] == pytest.approx(optimum, rel=1e-10, abs=1e-10)


@pytest.mark.delicate
def test_one_component_of_three_views_against_a_general_purpose_optimiser():
    from scipy.optimize import minimize

    rng = np.random.default_rng(4)
    sizes = (3, 4, 5)
    S = {(k, l): rng.standard_normal((sizes[k], sizes[l])) for k, l in itertools.combinations(range(3), 2)}

    def negative(x):
        u = [p / np.linalg.norm(p) for p in np.split(x, np.cumsum(sizes)[:-1])]
        return -sum((u[k] @ S[k, l] @ u[l]) ** 2 for k, l in S)

    best = min(minimize(negative, rng.standard_normal(12), tol=1e-14).fun for _ in range(6))
    problem = LinkedComponents.from_cross_covariances(S, max_rank=1)
    found = max(solve(problem, x0=problem.random_start(rng)).solution.norms[0] for _ in range(10))
    assert found == pytest.approx(np.sqrt(-best), rel=1e-8)


# ---------------------------------------------------------------------- descent


def random_problem(seed, n_views, rank, penalty, share):
    rng = np.random.default_rng(seed)
    n = 12
    z = rng.standard_normal((n, 2))
    sizes = rng.integers(3, 7, n_views)
    views = [z @ rng.standard_normal((2, p)) + rng.standard_normal((n, p)) for p in sizes]
    weights = rng.uniform(0.2, 2.0, (n_views, n_views))
    base = LinkedComponents(views, max_rank=rank, penalty=penalty, pair_weights=weights + weights.T)
    top = base.lambda_max()
    return base.replace(lam=top * (share**2 if penalty == "l0" else share)), rng


def check_descent(seed, n_views, rank, penalty, share, spectral):
    problem, rng = random_problem(seed, n_views, rank, penalty, share)
    method = AlternatingProcrustes(refine_every=2)
    x0 = problem.spectral_start() if spectral else problem.random_start(rng)
    values = [
        problem.objective(state.c, state.d, state.a, state.adaptive)
        for state in itertools.islice(optlab.iterate(problem, method, x0=x0), 7)
    ]
    # rounding is relative to the squared norm of the data: the objective itself can be zero
    assert np.all(np.diff(values) <= 1e-12 * problem.total)


descent = given(
    seed=st.integers(0, 2**32 - 1),
    n_views=st.integers(2, 4),
    rank=st.integers(1, 3),
    penalty=st.sampled_from([*GROUPED, "factored"]),
    share=st.floats(0.0, 1.1),
    spectral=st.booleans(),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@descent
def test_objective_never_increases(seed, n_views, rank, penalty, share, spectral):
    check_descent(seed, n_views, rank, penalty, share, spectral)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@descent
def test_objective_never_increases_over_a_thousand_problems(seed, n_views, rank, penalty, share, spectral):
    check_descent(seed, n_views, rank, penalty, share, spectral)


def test_refining_active_components_of_the_plain_lasso_would_not_be_monotone():
    # the negative control of the test above: with the pass of the group penalties some objective rises
    risen = False
    for seed in range(60):
        problem, rng = random_problem(seed, 3, 3, "lasso", 0.5)
        V = np.concatenate(problem.random_start(rng))
        group = problem.replace(penalty="group")

        def value(V, problem=problem):
            c = problem.correlations(V)
            return problem.objective(c, problem.penalty.shrink(c, problem.lam, problem.sqrt_weights)[0])

        for _ in range(5):
            before = value(V)
            V = component_pass(group, V)
            risen |= value(V) > before * (1 + 1e-8)
    assert risen


@pytest.mark.delicate
def test_stationary_at_convergence_and_orthonormal():
    data = make_linked_views("A", seed=1)
    problem = LinkedComponents(data.views, lam=4.0, max_rank=6)
    result = solve(problem, tol=1e-7)
    assert result.success
    V, full = np.concatenate(result.solution.coordinates), result.solution.diagonals
    for k, block in enumerate(result.solution.coordinates):
        np.testing.assert_allclose(block.T @ block, np.eye(6), atol=1e-12)
        M = problem.procrustes_target(V, full, k)  # weights are 1
        H = block.T @ M
        assert np.linalg.norm(M - block @ (H + H.T) / 2) <= 1e-6 * np.linalg.norm(M)
        assert np.linalg.eigvalsh(H + H.T).min() > -1e-8


# ---------------------------------------------------------------------- thresholds and re-entry


def test_largest_useful_penalty():
    data = make_linked_views("S", p=(10, 12, 14), individual=(2,), seed=5)
    problem = LinkedComponents(data.views, max_rank=3)
    top = problem.lambda_max()
    low, high = problem.lambda_max_bounds()
    assert low <= top <= high
    assert solve(problem.replace(lam=0.999 * top), max_iter=20).solution.rank == 1
    assert solve(problem.replace(lam=1.001 * top)).solution.rank == 0
    ridge = problem.replace(penalty="factored")
    top = ridge.lambda_max()
    assert solve(ridge.replace(lam=0.99 * top), max_iter=10).solution.rank >= 1
    assert solve(ridge.replace(lam=1.001 * top)).solution.rank == 0


def test_refinement_avoids_the_collapse_to_rank_zero_from_random_starts():
    data = make_linked_views("S", seed=0)
    problem = LinkedComponents(data.views, lam=5.0, max_rank=6)
    best = solve(problem).metrics["objective"]
    for seed in range(2):
        start = problem.random_start(np.random.default_rng(seed))
        plain = solve(problem, x0=start, refine_every=0, max_iter=50)
        assert plain.solution.rank == 0
        assert not plain.success  # the residual sees the component that was left out
        refined = solve(problem, x0=start, tol=1e-7)
        assert refined.solution.rank == 3
        assert refined.metrics["objective"] == pytest.approx(best, rel=1e-6)


def test_a_component_just_above_the_threshold_enters_although_other_zeros_stand_in_its_way():
    data = make_linked_views("S", p=(20, 25, 30), seed=3)
    result = solve(LinkedComponents(data.views, lam=2.0, max_rank=8), tol=1e-8)
    assert result.success
    assert result.solution.rank == 4


@pytest.mark.parametrize("penalty", ["mcp", "scad"])
def test_concave_penalties_keep_the_rank_and_shrink_less(penalty):
    data = make_linked_views("S", p=(20, 25, 30), seed=0)
    group = solve(LinkedComponents(data.views, lam=4.0, max_rank=5)).solution
    other = solve(LinkedComponents(data.views, lam=4.0, max_rank=5, penalty=penalty)).solution
    assert other.rank == group.rank == 3
    assert np.all(other.norms[:3] > group.norms[:3] + 1)
    hard = solve(LinkedComponents(data.views, lam=8.0, max_rank=5, penalty="l0")).solution
    assert hard.rank == 3
    free = solve(LinkedComponents(data.views, lam=0.0, max_rank=3)).solution
    np.testing.assert_allclose(hard.norms[:3], free.norms, rtol=1e-4)


# ---------------------------------------------------------------------- the chimera


def test_joint_fit_finds_what_greedy_extraction_misses():
    blocks, loadings, _ = chimera_covariances()
    problem = LinkedComponents.from_cross_covariances(blocks, max_rank=2)
    assert loading_error(solve(problem).solution.loadings, loadings) < 1e-6
    greedy = solve(problem.replace(max_rank=1)).solution
    assert greedy.norms[0] == pytest.approx(np.sqrt(162), rel=1e-8)


@pytest.mark.parametrize(("lam", "truth_wins"), [(6.3, True), (6.4, False)])
def test_a_large_penalty_changes_which_components_win(lam, truth_wins):
    blocks, loadings, chimera = chimera_covariances()
    problem = LinkedComponents.from_cross_covariances(blocks, lam=lam, max_rank=2)
    values = [solve(problem, x0=tuple(V)).metrics["objective"] for V in (loadings, chimera)]
    assert (values[0] < values[1]) is truth_wins


def test_identifiability_needs_one_pair_in_which_strengths_differ():
    # tied in one pair only: found
    blocks, loadings = linked_covariances([[2, 1], [1, 2], [3, 1]], (6, 7, 8), seed=0)
    start = LinkedComponents.from_cross_covariances(blocks, max_rank=2).random_start(np.random.default_rng(0))
    found = solve(LinkedComponents.from_cross_covariances(blocks, max_rank=2), x0=start, tol=1e-12).solution
    assert loading_error(found.loadings, loadings) < 1e-6
    # tied in all pairs: the subspace only
    blocks, loadings = linked_covariances([[2, 2], [1, 1], [3, 3]], (6, 7, 8), seed=0)
    problem, errors = LinkedComponents.from_cross_covariances(blocks, max_rank=2), []
    for seed in range(5):
        result = solve(problem, x0=problem.random_start(np.random.default_rng(seed)), tol=1e-12)
        assert result.metrics["objective"] < 1e-10
        assert subspace_error(result.solution.loadings, loadings) < 1e-6
        errors.append(loading_error(result.solution.loadings, loadings))
    assert max(errors) > 0.05


# ---------------------------------------------------------------------- certificates, invariances, the driver


@pytest.mark.delicate
def test_certificates():
    data = make_linked_views("S", p=(10, 12, 14), individual=(2,), seed=3)
    for lam in (3.0, 6.0):
        factored = LinkedComponents(data.views, lam=lam, penalty="factored", max_rank=8)
        answer = certify(factored, solve(factored, tol=1e-8).solution)
        assert -1e-9 <= answer.objective - answer.lower_bound <= 1e-3 * answer.objective
        group = LinkedComponents(data.views, lam=lam, max_rank=8)
        answer = certify(group, solve(group, tol=1e-8).solution)
        assert 0 <= answer.objective - answer.lower_bound <= 0.02 * answer.objective
        # a poor point has a large gap
        poor = optlab.solve(group, AlternatingProcrustes(), max_iter=0, x0=group.random_start(np.random.default_rng(0)))
        assert certify(group, poor.solution).gap > 0.1


@pytest.mark.delicate
def test_two_views_are_certified_globally_optimal():
    S = np.random.default_rng(0).standard_normal((8, 9))
    for penalty in ("group", "factored"):
        problem = LinkedComponents.from_cross_covariances({(0, 1): S}, lam=1.0, penalty=penalty, max_rank=8)
        assert certify(problem, solve(problem).solution).gap < 1e-7


@pytest.mark.delicate
def test_convex_relaxation_against_a_semidefinite_solver():
    cvxpy = pytest.importorskip("cvxpy")
    data = make_linked_views("S", p=(5, 6, 7), individual=(), seed=3)
    problem = LinkedComponents(data.views, lam=3.0, penalty="factored", max_rank=5)
    n = problem.offsets[-1]
    off = np.ones((n, n))
    for k in range(3):
        off[problem.block(k), problem.block(k)] = 0
    M = cvxpy.Variable((n, n), PSD=True)
    loss = cvxpy.sum_squares(cvxpy.multiply(off, problem.B - M)) / 4 + 1.5 * cvxpy.trace(M)
    value = cvxpy.Problem(cvxpy.Minimize(loss)).solve(solver="CLARABEL")
    bound = certify(problem, solve(problem).solution).lower_bound
    assert bound == pytest.approx(value, rel=1e-5)


def test_other_penalties_have_no_certificate():
    problem = LinkedComponents.from_cross_covariances({(0, 1): np.eye(2)}, penalty="mcp", lam=0.1)
    with pytest.raises(TypeError, match="certify knows"):
        certify(problem, solve(problem).solution)


@pytest.mark.delicate
@pytest.mark.parametrize("penalty", ["group", "mcp", "factored"])
def test_invariances(penalty):
    data = make_linked_views("S", seed=0, p=(8, 9, 10), individual=(2,))
    views = data.views
    rng = np.random.default_rng(0)
    base = solve(LinkedComponents(views, lam=3.0, penalty=penalty, max_rank=3), tol=1e-10).solution
    turned = solve(
        LinkedComponents([views[2], views[0], views[1]], lam=3.0, penalty=penalty, max_rank=3), tol=1e-10
    ).solution
    np.testing.assert_allclose(turned.norms, base.norms, rtol=1e-6)
    assert loading_error([turned.loadings[i] for i in (1, 2, 0)], base.loadings) < 1e-6
    Q = [np.linalg.qr(rng.standard_normal((X.shape[1],) * 2))[0] for X in views]
    rotated = solve(
        LinkedComponents([X @ q for X, q in zip(views, Q)], lam=3.0, penalty=penalty, max_rank=3), tol=1e-10
    ).solution
    np.testing.assert_allclose(rotated.norms, base.norms, rtol=1e-6)
    assert loading_error([q @ V for q, V in zip(Q, rotated.loadings)], base.loadings) < 1e-6
    order = rng.permutation(200)
    shuffled = solve(LinkedComponents([X[order] for X in views], lam=3.0, penalty=penalty, max_rank=3), tol=1e-10)
    np.testing.assert_allclose(shuffled.solution.norms, base.norms, rtol=1e-8)


def test_weights_are_a_scaling_of_views():
    data = make_linked_views("S", seed=0, p=(8, 9, 10), individual=(2,))
    s = np.array([1.0, 2.0, 0.5])
    scaled = solve(LinkedComponents([X / q for X, q in zip(data.views, s)], lam=1.0, max_rank=3)).solution
    weights = 1 / np.outer(s**2, s**2)
    weighted = solve(LinkedComponents(data.views, lam=1.0, max_rank=3, pair_weights=weights)).solution
    np.testing.assert_allclose(weighted.norms, scaled.norms, rtol=1e-6)
    assert loading_error(weighted.loadings, scaled.loadings) < 1e-5
    np.testing.assert_allclose(weighted.diagonals[0, 1] / (s[0] * s[1]), scaled.diagonals[0, 1], rtol=1e-5)


def test_signs_and_order_by_convention():
    data = make_linked_views("S", seed=0)
    rng = np.random.default_rng(1)
    problem = LinkedComponents(data.views, max_rank=3)
    solution = solve(problem).solution
    flipped = tuple(V[:, ::-1] * rng.choice([-1.0, 1.0], 3) for V in solution.coordinates)
    again = solve(problem, x0=flipped).solution
    for V, W in zip(solution.coordinates, again.coordinates):
        np.testing.assert_allclose(V, W, atol=1e-6)
    assert np.all(np.diff(solution.norms) <= 0)
    assert np.all(solution.diagonals[0, 1:] > 0)


def test_driver_contract(tmp_path):
    data = make_linked_views("A", p=(8, 9, 10), individual=(2,), seed=0)
    for penalty in ["group", "adaptive", "factored"]:
        problem = LinkedComponents(data.views, lam=1.0, penalty=penalty, max_rank=4)
        method = AlternatingProcrustes()
        whole = optlab.solve(problem, method, max_iter=12, record=4, seed=0)
        part = optlab.solve(problem, method, max_iter=5, record=4, seed=0)
        joined = optlab.solve(problem, method, max_iter=7, x0=part, record=4)
        np.testing.assert_array_equal(joined.state.V, whole.state.V)
        path = tmp_path / f"{penalty}.npz"
        optlab.solve(problem, method, max_iter=4, record=4, seed=0, checkpoint=path)
        resumed = optlab.solve(problem, method, max_iter=12, record=4, seed=0, checkpoint=path, resume=True)
        assert resumed.history.equals(whole.history)
        state = method.init(problem, problem.default_start(np.random.default_rng(0)), np.random.default_rng(0))
        kept = state.V.copy(), state.d.copy()
        method.step(problem, state)
        np.testing.assert_array_equal(state.V, kept[0])
        np.testing.assert_array_equal(state.d, kept[1])
    assert optlab.cite(method).startswith("@article{xiao2024joint")


def test_starts_with_too_few_or_too_many_columns():
    data = make_linked_views("S", p=(8, 9, 10), individual=(2,), seed=0)
    problem = LinkedComponents(data.views, max_rank=4)
    reference = solve(problem)
    for r in (0, 2, 6):
        start = tuple(V[:, :r] for V in problem.replace(max_rank=6).random_start(np.random.default_rng(0)))
        result = solve(problem, x0=start, tol=1e-7)
        assert result.solution.norms.shape == (4,)
        assert result.metrics["objective"] <= 1.02 * reference.metrics["objective"]


def test_full_dimension_and_equal_columns():
    # every direction is taken: the refinement has no room, and a duplicated column makes covariances singular
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 3))
    views = [X, np.hstack([X, X[:, :1]]), rng.standard_normal((20, 3))]
    result = solve(LinkedComponents(views, max_rank=3), max_iter=200)
    assert np.isfinite(result.metrics["objective"])
    zero = solve(LinkedComponents.from_cross_covariances({(0, 1): np.zeros((3, 4))}, lam=0.1))
    assert zero.solution.rank == 0
    assert zero.success


@pytest.mark.delicate
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_extreme_scales_are_no_harder(scale):
    data = make_linked_views("S", p=(8, 9, 10), individual=(2,), seed=0)
    base = solve(LinkedComponents(data.views, lam=2.0, max_rank=3)).solution
    views = [X * scale for X in data.views]
    scaled = solve(LinkedComponents(views, lam=2.0 * scale**2, max_rank=3)).solution
    np.testing.assert_allclose(scaled.norms, base.norms * scale**2, rtol=1e-6)


# ---------------------------------------------------------------------- penalties


@pytest.mark.parametrize("penalty", [GroupLasso(), MCP(2.5), SCAD(3.2), GroupL0()])
@pytest.mark.parametrize("lam", [0.0, 0.7, 2.0])
def test_shrinkage_factors_minimise_the_penalised_distance(penalty, lam):
    grid = np.linspace(0, 12, 120_001)
    for g in (0.0, 0.3, 0.69, 1.3, 1.9, 3.0, 4.2, 7.0, 11.0):
        ours = float(penalty.factor(np.array([g]), lam)[0]) * g
        values = 0.5 * (grid - g) ** 2 + penalty.penalty(grid, lam)
        assert 0.5 * (ours - g) ** 2 + float(penalty.penalty(np.array([ours]), lam)[0]) <= values.min() + 1e-8
        if g <= penalty.threshold(lam) * (1 - 1e-9):
            assert ours == 0


def test_factored_shrinkage_is_exact_at_its_threshold():
    rng = np.random.default_rng(0)
    c = rng.standard_normal((3, 1)) + 2
    C = np.zeros((3, 3))
    C[np.triu_indices(3, 1)] = c[:, 0]
    top = np.linalg.eigvalsh(C + C.T)[-1]
    ones = 1 - np.eye(3)
    assert not np.any(FactoredRidge().shrink(c, top * (1 + 1e-9), ones)[0])
    d, a = FactoredRidge().shrink(c, 0.9 * top, ones)
    assert np.all(a != 0)
    i, j = np.triu_indices(3, 1)
    np.testing.assert_allclose(d[:, 0], a[i, 0] * a[j, 0])


@pytest.mark.parametrize("bad", [lambda: MCP(1.0), lambda: SCAD(2.0), lambda: FactoredRidge.factor(None, 1, 1)])
def test_penalty_parameters_are_checked(bad):
    with pytest.raises((ValueError, NotImplementedError)):
        bad()


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lam": -1}, "lam must be a number at least 0"),
        ({"max_rank": 9}, "max_rank must be at most 8"),
        ({"penalty": "grup"}, "did you mean 'group'"),
        ({"penalty": 3}, "penalty must be a name or a Penalty"),
        ({"pair_weights": np.ones((2, 2))}, "pair_weights must have shape"),
        ({"pair_weights": np.zeros((3, 3))}, "positive weight"),
        ({"pair_weights": np.arange(9.0).reshape(3, 3)}, "symmetric"),
    ],
)
def test_bad_settings(change, message):
    views = [np.random.default_rng(0).standard_normal((20, p)) for p in (8, 9, 10)]
    with pytest.raises((ValueError, TypeError), match=message):
        LinkedComponents(views, **change)


def test_bad_blocks_and_starts():
    with pytest.raises(ValueError, match=r"\(1, 2\) is missing"):
        LinkedComponents.from_cross_covariances({(0, 1): np.eye(2), (0, 2): np.eye(2)})
    with pytest.raises(ValueError, match=r"blocks\[\(1, 2\)\] must have shape"):
        LinkedComponents.from_cross_covariances({(0, 1): np.eye(2), (0, 2): np.eye(2), (1, 2): np.eye(3)})
    problem = LinkedComponents.from_cross_covariances({(0, 1): np.eye(2)})
    with pytest.raises(TypeError, match="tuple of 2 matrices"):
        solve(problem, x0=np.eye(2))
    with pytest.raises(ValueError, match=r"x0\[1\] must be a finite matrix with 2 rows"):
        solve(problem, x0=(np.eye(2), np.eye(3)))
    assert AlternatingProcrustes().accepts(object()).startswith("needs a LinkedComponents")


def test_procrustes_sweep_leaves_its_arguments_alone():
    problem = LinkedComponents.from_cross_covariances({(0, 1): np.diag([3.0, 2.0, 1.0])}, max_rank=2)
    V = np.concatenate(problem.random_start(np.random.default_rng(0)))
    kept, d = V.copy(), problem.correlations(V)
    procrustes_sweep(problem, V, d)
    component_pass(problem, V, d)
    np.testing.assert_array_equal(V, kept)
