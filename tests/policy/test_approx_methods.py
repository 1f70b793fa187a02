"""DAPO and its kin: special cases against each other, exactness, sampled runs, bounds, refusals."""

import numpy as np
import pytest

import optlab
from optlab.core.serialization import pack
from optlab.policy import (
    AMPO,
    DAPO,
    MDPO,
    MLP,
    DiscountGrowth,
    FisherScoring,
    FunctionPolicy,
    LinearFeatures,
    MonteCarlo,
    NaturalPolicyGradient,
    Newton,
    PolicyMirrorDescent,
    QNaturalPolicyGradient,
    RandomFourier,
    SoftPolicyIteration,
    Tabular,
    TileCoding,
    frozen_lake,
    garnet,
    linear_mdp,
    pendulum,
)
from optlab.policy.lqr import lqr

MDP = garnet(20, 3, 4, discount=0.9, seed=0)
PHI = LinearFeatures.gaussian(20, 3, 12, seed=1)


def probabilities(problem, method, iterations):
    """Policies of the iterations, shape (iterations + 1, S, A)."""
    found = []
    for state in optlab.iterate(problem, method, seed=0):
        found.append(method.iterate(problem, state).probabilities())
        if state.k == iterations:
            return np.array(found)


def same(problem, first, second, iterations=20, atol=1e-10):
    np.testing.assert_allclose(
        probabilities(problem, first, iterations), probabilities(problem, second, iterations), rtol=0, atol=atol
    )


# ---------------------------------------------------------------- special cases


@pytest.mark.parametrize("order", ["reverse", "forward"])
@pytest.mark.parametrize("name", ["negative-entropy", "euclidean", "tsallis:0.5", "tsallis:1.5"])
def test_with_a_table_it_is_policy_mirror_descent(name, order):
    same(MDP, DAPO(mirror_map=name, order=order, step_size=2.0), PolicyMirrorDescent(name, 2.0))


@pytest.mark.parametrize("name", ["negative-entropy", "euclidean"])
def test_so_it_is_with_unavailable_actions_and_growing_steps(name):
    problem = garnet(15, 4, 3, discount=0.9, seed=3)
    available = np.random.default_rng(0).random((15, 4)) < 0.7
    available[:, 0] = True
    problem = optlab.policy.MDP(problem.transitions, problem.cost, 0.9, available=available)
    rule = DiscountGrowth(1.0)
    same(problem, DAPO(mirror_map=name, step_size=rule), PolicyMirrorDescent(name, rule), atol=1e-9)


def test_iterative_inner_solvers_find_the_table_too():
    method = DAPO(step_size=1.0, policy=LinearFeatures(np.eye(60).reshape(20, 3, 60)), inner=FisherScoring(30))
    same(MDP, method, PolicyMirrorDescent(step_size=1.0), atol=1e-6)


def test_one_full_fisher_step_is_the_natural_gradient_step():
    fisher = DAPO(policy=PHI, step_size=0.7, inner=FisherScoring(1, line_search=False))
    same(MDP, fisher, NaturalPolicyGradient(policy=PHI, step_size=0.7))


def test_natural_gradient_direction_is_the_regression_of_the_advantage():
    """argmin_w E (A - w' (phi - E_pi phi))^2, by least squares on the centred features themselves."""
    problem, phi = garnet(50, 4, 5, discount=0.9, seed=0), LinearFeatures.gaussian(50, 4, 40, seed=2)
    method = NaturalPolicyGradient(policy=phi, step_size=1.3, ridge=0.0)
    states = [s for s, _ in zip(optlab.iterate(problem, method, seed=0), range(3))]
    pi = method.iterate(problem, states[1]).probabilities()
    evaluation, law = problem.evaluate(pi), problem.visitation(pi)
    centred = phi.features - np.einsum("sa,sad->sd", pi, phi.features)[:, None]
    root = np.sqrt(law[:, None] * pi)
    advantage = evaluation.action_values - evaluation.values[:, None]
    w = np.linalg.lstsq((root[..., None] * centred).reshape(200, -1), (root * advantage).ravel(), rcond=None)[0]
    np.testing.assert_allclose(states[2].theta, states[1].theta - 1.3 * w, atol=1e-10)


def test_lazy_ampo_with_the_entropy_is_q_npg():
    for weights in ("uniform", "policy"):
        same(
            MDP,
            AMPO(policy=PHI, step_size=0.5, weights=weights),
            QNaturalPolicyGradient(policy=PHI, step_size=0.5, weights=weights),
            atol=1e-8,
        )


def test_normalised_euclidean_ampo_is_dapo_on_the_full_domain():
    same(
        MDP,
        AMPO(policy=PHI, step_size=2.0, mirror_map="euclidean", dual="normalised"),
        DAPO(policy=PHI, step_size=2.0, mirror_map="euclidean-full"),
    )


@pytest.mark.parametrize("name", ["negative-entropy", "euclidean", "tsallis:1.5"])
def test_both_duals_of_ampo_agree_in_a_table_with_the_lazy_and_mirror_forms(name):
    same(MDP, AMPO(mirror_map=name, dual="normalised"), PolicyMirrorDescent(name, 1.0), iterations=10)
    # raised to the threshold, a clipped action is as near as in the mirror form
    same(MDP, AMPO(mirror_map=name, dual="lazy"), PolicyMirrorDescent(name, 1.0), iterations=10, atol=1e-8)


def test_a_long_inner_solve_makes_mdpo_reverse_dapo():
    short = probabilities(MDP, MDPO(policy=PHI, steps=2, learning_rate=0.05), 2)
    long = probabilities(MDP, MDPO(policy=PHI, steps=1000, learning_rate=0.03), 2)
    full = probabilities(MDP, DAPO(policy=PHI, inner=FisherScoring(100)), 2)
    np.testing.assert_allclose(long, full, atol=1e-3)
    assert np.abs(short - full).max() > 0.05


def test_temperature_is_regularised_mirror_descent_and_its_limit_soft_policy_iteration():
    same(MDP, DAPO(temperature=0.1, step_size=3.0), SoftPolicyIteration(0.1, 3.0))
    gaps = []
    for eta in (1e3, 1e4):
        limit = probabilities(MDP, SoftPolicyIteration(0.1), 1)[1]
        gaps.append(np.abs(probabilities(MDP, DAPO(temperature=0.1, step_size=eta), 1)[1] - limit).max())
    assert gaps[1] == pytest.approx(gaps[0] / 10, rel=0.05)


@pytest.mark.delicate
def test_on_a_linear_mdp_consistent_methods_are_exact_and_the_normalised_dual_is_not():
    problem = linear_mdp(60, 4, 8, discount=0.9, seed=0)
    phi = LinearFeatures(problem.features)
    exact = probabilities(problem, PolicyMirrorDescent(step_size=5.0), 30)
    cases = [  # what is left is due to the ridge, and proportional to it
        (DAPO(policy=phi, step_size=5.0), 1e-4),
        (DAPO(policy=phi, step_size=5.0, order="forward", inner=Newton(ridge=1e-13, tol=1e-20)), 1e-6),
        (NaturalPolicyGradient(policy=phi, step_size=5.0, ridge=1e-12), 1e-6),
        (QNaturalPolicyGradient(policy=phi, step_size=5.0), 1e-10),
    ]
    for method, tol in cases:
        assert np.abs(probabilities(problem, method, 30) - exact).max() < tol, method
    for method in (
        AMPO(policy=phi, step_size=5.0, dual="normalised"),
        QNaturalPolicyGradient(policy=phi, step_size=5.0, centered=True),
    ):
        assert np.abs(probabilities(problem, method, 30) - exact).max() > 0.1, method


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "method",
    [
        DAPO(policy=PHI, step_size=1.0, diagnostics=True),
        DAPO(policy=PHI, step_size=DiscountGrowth(1.0), diagnostics=True),
        DAPO(policy=PHI, step_size=5.0, order="forward", diagnostics=True),
        DAPO(policy=PHI, step_size=lambda k: 5.0 / (k + 1), diagnostics=True),
        DAPO(policy=PHI, step_size=1.0, mirror_map="euclidean", order="forward", diagnostics=True),
        DAPO(policy=PHI, step_size=1.0, mirror_map="euclidean-full", diagnostics=True),
        DAPO(step_size=DiscountGrowth(1.0), critic=MonteCarlo(rollouts=20, tol=0.1), diagnostics=True),
        NaturalPolicyGradient(policy=PHI, step_size=5.0, diagnostics=True),
    ],
    ids=lambda m: f"{type(m).__name__}-{getattr(m, 'mirror_map', '')}-{getattr(m, 'order', '')}",
)
def test_running_bounds_hold(method):
    history = optlab.solve(MDP, method, max_iter=30, record="all", seed=0).history
    assert np.all(history["gap"] <= history["gap_bound"] * (1 + 1e-9))
    assert np.all(history["average_gap"] <= history["average_gap_bound"] * (1 + 1e-9))
    assert np.all(history["sup_gap"] <= history["sup_gap_bound"] * (1 + 1e-9))
    assert np.all(np.isfinite([history[name] for name in history.columns]))


def test_without_dual_errors_the_bounds_would_fail():
    """The terms of the approximation are needed: dropping them, the bound on the gap is exceeded."""
    from optlab.policy.tabular.dual_error import COLUMNS, running_bounds

    phi = LinearFeatures.gaussian(20, 3, 3, seed=5)
    method = DAPO(policy=phi, step_size=DiscountGrowth(10.0), diagnostics=True)
    result = optlab.solve(MDP, method, max_iter=60, seed=0)
    trace = result.state.trace.copy()
    for name in ("drift", "dual_error_next"):
        trace[:, COLUMNS.index(name)] = 0.0
    assert result.metrics["gap"] <= result.metrics["gap_bound"]
    assert result.metrics["gap"] > running_bounds(trace, 0.9)["gap_bound"]


# ---------------------------------------------------------------- runs


def test_a_solution_is_a_policy_and_a_start():
    first = optlab.solve(MDP, DAPO(policy=PHI), max_iter=5, seed=0)
    assert isinstance(first.solution, FunctionPolicy)
    table = first.solution.probabilities()
    np.testing.assert_allclose(table.sum(axis=1), 1)
    np.testing.assert_array_equal(first.solution.probabilities([3, 4]), table[[3, 4]])
    np.testing.assert_array_equal(first.solution.greedy(), table.argmax(axis=1))
    draws = first.solution.sample(np.full(4000, 7), np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(draws, minlength=3) / 4000, table[7], atol=0.03)
    again = optlab.solve(MDP, DAPO(policy=PHI, order="forward"), x0=first.solution, max_iter=0, seed=0)
    np.testing.assert_array_equal(again.solution.theta, first.solution.theta)
    fitted = optlab.solve(MDP, DAPO(), x0=first.solution, max_iter=0, seed=0)
    np.testing.assert_allclose(fitted.solution.probabilities(), table, atol=1e-12)


SAMPLED = [
    DAPO(policy=PHI, sampled_states=50, critic=MonteCarlo(rollouts=2)),
    MDPO(policy=PHI, sampled_states=50, critic=MonteCarlo(rollouts=2), batch_size=10),
    NaturalPolicyGradient(policy=PHI, sampled_states=50),
    DAPO(sampled_states=50, critic=MonteCarlo(rollouts=2)),
]


@pytest.mark.parametrize("method", SAMPLED, ids=["dapo", "mdpo", "npg", "table"])
def test_sampled_runs_do_not_depend_on_how_they_are_cut(method):
    whole = optlab.solve(MDP, method, max_iter=6, seed=3)
    part = optlab.solve(MDP, method, max_iter=2, seed=3)
    joined = optlab.solve(MDP, method, x0=part, max_iter=4)
    arrays, others = {}, {}
    assert repr(pack(whole.state, arrays)) == repr(pack(joined.state, others))
    assert all(arrays[name].tobytes() == others[name].tobytes() for name in arrays)
    assert whole.metrics["environment_steps"] > 0


def test_samples_approach_the_exact_iteration():
    exact = probabilities(MDP, DAPO(policy=PHI, step_size=1.0), 1)[1]
    errors = []
    for n, rollouts in ((30, 1), (1500, 5)):
        method = DAPO(policy=PHI, step_size=1.0, sampled_states=n, critic=MonteCarlo(rollouts=rollouts, tol=0.1))
        errors.append(np.abs(probabilities(MDP, method, 1)[1] - exact).max())
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize("name", ["negative-entropy", "euclidean", "tsallis:0.5"])
@pytest.mark.parametrize("step_size", [1e-12, 1e12, DiscountGrowth(1.0)], ids=str)
def test_extreme_steps_stay_finite(name, step_size):
    problem, phi = garnet(8, 3, 3, discount=0.9, seed=1), LinearFeatures.gaussian(8, 3, 6)
    for method in (
        DAPO(mirror_map=name, policy=phi, step_size=step_size),
        DAPO(mirror_map=name, policy=phi, step_size=step_size, order="forward"),
        AMPO(mirror_map=name, policy=phi, step_size=step_size),
        NaturalPolicyGradient(policy=phi, step_size=step_size),
    ):
        result = optlab.solve(problem, method, max_iter=20, seed=0)
        assert result.status is optlab.Status.MAX_ITER, result.message


@pytest.mark.slow
def test_a_thousand_growing_steps():
    problem, phi = garnet(8, 3, 3, discount=0.9, seed=1), LinearFeatures.gaussian(8, 3, 6)
    result = optlab.solve(problem, DAPO(policy=phi, step_size=DiscountGrowth(1.0)), max_iter=1000, seed=0)
    assert result.status is optlab.Status.MAX_ITER, result.message
    assert result.metrics["gap"] < result.history["gap"][0]


def test_tiles_of_one_state_each_are_a_table():
    problem = pendulum(5, 5)
    tiles = TileCoding(problem.coordinates, 5, tiles=5, tilings=1)
    assert np.all(tiles.features.sum(axis=0) <= 1)
    same(problem, AMPO(policy=tiles, step_size=5.0), PolicyMirrorDescent(step_size=5.0), iterations=10, atol=1e-9)


@pytest.mark.parametrize("make", [RandomFourier, MLP])
def test_control_by_features_of_coordinates(make):
    problem = pendulum(11, 11)
    angle, speed = problem.coordinates.T
    points = np.stack([np.cos(angle), np.sin(angle), speed / 8], axis=1)
    method = DAPO(policy=make(points, problem.n_actions), step_size=20.0)
    result = optlab.solve(problem, method, max_iter=20, seed=0)
    assert result.metrics["gap"] < (0.5 if make is MLP else 0.1) * result.history["gap"][0]


def test_refusals():
    with pytest.raises(TypeError, match="policy must be a FunctionClass"):
        DAPO(policy="linear")
    with pytest.raises(ValueError, match="order must be one of"):
        DAPO(order="backward")
    with pytest.raises(ValueError, match="diagnostics need all states"):
        DAPO(diagnostics=True, sampled_states=5)
    with pytest.raises(ValueError, match="temperature above 0 needs"):
        DAPO(temperature=1.0, mirror_map="euclidean")
    with pytest.raises(ValueError, match="a row for each of the 20 states"):
        optlab.solve(MDP, DAPO(policy=Tabular(19, 3)), max_iter=1)
    with pytest.raises(TypeError, match="linear class"):
        QNaturalPolicyGradient(policy=MLP(3, 2))
    with pytest.raises(TypeError, match="got LQR"):
        optlab.solve(lqr(), DAPO(), max_iter=1)
    with pytest.raises(ValueError, match="start must give every state positive"):
        optlab.solve(frozen_lake("4x4", start="initial"), DAPO(diagnostics=True), max_iter=1)


# ---------------------------------------------------------------- approximation on Garnet problems


def last_gaps(method, seeds=3, d=40):
    found = []
    for seed in range(seeds):
        problem = garnet(50, 4, 5, discount=0.9, seed=seed)
        phi = LinearFeatures.gaussian(50, 4, d, seed=100 + seed)
        result = optlab.solve(problem, method(phi), max_iter=60, record=[60], seed=0)
        assert result.n_iter == 60
        found.append(result.metrics["gap"])
    return np.array(found)


@pytest.mark.slow
def test_garnet_with_log_linear_policies():
    """Last-iterate gaps of an independent prototype (other seeds), from 3.2 at the start; orderings hold per seed."""
    growing = DiscountGrowth(1.0)
    reverse = last_gaps(lambda phi: DAPO(policy=phi, step_size=1.0))
    reverse_growing = last_gaps(lambda phi: DAPO(policy=phi, step_size=growing))
    forward = last_gaps(lambda phi: DAPO(policy=phi, step_size=1.0, order="forward"))
    npg = last_gaps(lambda phi: NaturalPolicyGradient(policy=phi, step_size=1.0))
    npg_growing = last_gaps(lambda phi: NaturalPolicyGradient(policy=phi, step_size=growing))
    damped = last_gaps(lambda phi: NaturalPolicyGradient(policy=phi, step_size=growing, line_search=True))
    q_npg = last_gaps(lambda phi: QNaturalPolicyGradient(policy=phi, step_size=1.0, centered=True))
    ampo = last_gaps(lambda phi: AMPO(policy=phi, step_size=1.0, dual="normalised", centered=True))
    sparsemax = last_gaps(lambda phi: DAPO(policy=phi, step_size=1.0, mirror_map="euclidean", order="forward"))
    for found, prototype in (
        (reverse, 0.292),
        (reverse_growing, 0.261),
        (forward, 0.292),
        (npg, 0.332),
        (damped, 0.318),
        (q_npg, 0.966),
        (ampo, 1.93),
        (sparsemax, 0.631),
    ):
        assert found.mean() == pytest.approx(prototype, rel=0.4)
    assert np.all(reverse < q_npg)
    assert np.all(q_npg < ampo)
    assert npg_growing.mean() > 2 * damped.mean()
