"""Policy, modified policy and value iteration: the same optimum, honest error bounds, rates, starts, and refusals."""

import numpy as np
import pytest

import optlab
from optlab.policy import (
    MDP,
    ModifiedPolicyIteration,
    PolicyIteration,
    TabularPolicy,
    ValueIteration,
    cliff_walking,
    deep_sea,
    frozen_lake,
    garnet,
    lqr,
    mountain_car,
    taxi,
)

PROBLEMS = [
    garnet(150, discount=0.99),
    garnet(40, 2, 3, discount=0.5),
    frozen_lake("8x8"),
    cliff_walking(),
    deep_sea(6),
]


def optimum(mdp):
    """V* by plain value iteration, to rounding."""
    V = np.zeros(mdp.n_states)
    for _ in range(20_000):
        new = (mdp.cost + mdp.discount * (mdp.transitions @ V).reshape(mdp.cost.shape)).min(axis=1)
        if np.array_equal(new, V):
            break
        V = new
    return V


@pytest.mark.parametrize("mdp", PROBLEMS, ids=repr)
@pytest.mark.parametrize("start", ["policy", "values"])
def test_all_three_find_the_optimum(mdp, start):
    best = optimum(mdp)
    assert np.abs(mdp.optimal.values - best).max() < 1e-10
    x0 = None if start == "policy" else np.zeros(mdp.n_states)
    for method, tol in (
        (PolicyIteration(), {"changes": 0}),
        (ModifiedPolicyIteration(), {"value_error": 1e-10}),
        (ModifiedPolicyIteration(sweeps=5, contraction=0.0), {"value_error": 1e-10}),
        (ModifiedPolicyIteration(sweeps=0), {"value_error": 1e-10}),
        (ValueIteration(), {"value_error": 1e-10}),
    ):
        run = optlab.solve(mdp, method, x0=x0, tol=tol, max_iter=5000, record=1 if mdp.discount < 0.9 else 20)
        assert run.success, run.message
        assert mdp.unit * np.abs(run.state.values - best).max() < 2e-10
        assert np.abs(mdp.evaluate(run.solution.greedy()).values - best).max() < 1e-8


@pytest.mark.parametrize("method", [ModifiedPolicyIteration(), ModifiedPolicyIteration(3, 0.5), ValueIteration()])
@pytest.mark.parametrize("mdp", PROBLEMS, ids=repr)
def test_the_recorded_error_bounds_the_true_one(mdp, method):
    best = mdp.optimal.values
    rng = np.random.default_rng(0)
    for x0 in (None, 10.0 * rng.standard_normal(mdp.n_states)):
        state = method.init(mdp, mdp.default_start(rng) if x0 is None else x0, rng)
        for _ in range(15):
            assert np.abs(state.values - best).max() <= state.value_error * (1 + 1e-9) + 1e-9
            state = method.step(mdp, state)


def test_policy_iteration_improves_every_state_and_stops_for_good():
    mdp = frozen_lake("8x8")
    run = optlab.solve(mdp, PolicyIteration(), max_iter=12, record="all")
    assert (np.diff(run.history["value"]) >= -1e-12).all()  # of the reward
    # 2 or 3 evaluations from the uniform policy on garnets
    assert optlab.solve(garnet(50), PolicyIteration(), tol={"changes": 0}, record="all").n_iter <= 4
    # past the end nothing moves and nothing is solved, and a run does not go there
    assert run.status is optlab.Status.CONVERGED
    assert run.n_iter < 12
    assert PolicyIteration().step(mdp, run.state).policy_evaluations == run.state.policy_evaluations
    again = optlab.solve(mdp, PolicyIteration(), x0=run.solution, tol={"changes": 0})
    assert again.n_iter == 0


def test_ties_do_not_cycle():
    # two actions that are the same up to rounding
    rng = np.random.default_rng(0)
    P = np.repeat(rng.dirichlet(np.ones(300), size=(300, 2)), 2, axis=1)
    cost = np.repeat(rng.random((300, 2)), 2, axis=1)
    cost[:, 1::2] += 1e-16
    run = optlab.solve(MDP(P, cost, 0.99), PolicyIteration(), tol={"changes": 0}, max_iter=50, record="all")
    assert run.success
    assert run.n_iter < 15


def test_value_iteration_contracts_by_the_discount():
    mdp = garnet(30, discount=0.8, seed=4)
    state = ValueIteration().init(mdp, np.zeros(30), None)
    errors = []
    for _ in range(30):
        errors.append(np.abs(state.values - mdp.optimal.values).max())
        state = ValueIteration().step(mdp, state)
    ratios = np.array(errors[1:]) / errors[:-1]
    assert ratios.max() <= 0.8 * (1 + 1e-9)
    assert ratios[-1] == pytest.approx(0.8, abs=1e-3)


def test_modified_policy_iteration_does_not_mind_a_discount_close_to_one():
    # the constant is added in closed form: without that, thousands of sweeps
    few = optlab.solve(garnet(300, discount=0.9), ModifiedPolicyIteration(), tol={"value_error": 1e-8}, record=1)
    many = optlab.solve(garnet(300, discount=0.9999), ModifiedPolicyIteration(), tol={"value_error": 1e-6}, record=1)
    assert few.success
    assert many.success
    assert many.history["oracle_calls"][-1] < 3 * few.history["oracle_calls"][-1]


@pytest.mark.parametrize("method", [PolicyIteration(), ModifiedPolicyIteration(), ValueIteration()])
def test_starts_and_states(method):
    mdp = garnet(30)
    table = np.random.default_rng(0).dirichlet(np.ones(4), size=30)
    for x0 in (table, TabularPolicy.from_probabilities(table), np.zeros(30, dtype=int), np.zeros(30), None):
        run = optlab.solve(mdp, method, x0=x0, max_iter=60, record=60)
        assert run.metrics["gap"] < 1e-2
        assert run.solution.probabilities().shape == (30, 4)
    first = optlab.solve(mdp, method, x0=table, max_iter=0)
    np.testing.assert_allclose(first.solution.probabilities(), table)
    state = method.init(mdp, table, None)
    before = state.values.copy()
    method.step(mdp, method.step(mdp, state))
    assert np.array_equal(state.values, before)
    with pytest.raises(ValueError, match=r"values must be finite, of shape \(30,\)"):
        method.init(mdp, np.zeros(29), None)
    with pytest.raises(optlab.IncompatibleError, match=r"needs an optlab\.policy\.MDP, got LQR"):
        optlab.solve(lqr(), method)


def test_methods_on_unavailable_actions():
    base = taxi()
    available = np.ones((501, 6), dtype=bool)
    available[:500, 4:] = base.cost[:500, 4:] < 1.0  # picking up and putting down only where it is possible
    mdp = MDP(base.transitions, base.cost, base.discount, available=available)
    for method, tol in ((PolicyIteration(), {"changes": 0}), (ModifiedPolicyIteration(), {"value_error": 1e-9})):
        run = optlab.solve(mdp, method, tol=tol, record=1, max_iter=100)
        assert run.success
        assert available[np.arange(501), run.solution.greedy()].all()
        np.testing.assert_allclose(run.state.values, base.optimal.values, atol=1e-8)


@pytest.mark.parametrize("n", [60, 300])
def test_small_problems_take_the_same_steps_as_those_cut_into_ranges(monkeypatch, n):
    from optlab.policy.mdp import passes

    made = []
    for grain in (passes._GRAIN, 200):
        monkeypatch.setattr(passes, "_GRAIN", grain)
        mdp = garnet(n, discount=0.99, seed=1)
        assert (len(mdp.rows.ranges) > 1) == (grain == 200)
        state = ModifiedPolicyIteration().init(mdp, np.zeros(n), None)
        run = []
        for _ in range(6):
            state = ModifiedPolicyIteration().step(mdp, state)
            run.append(state)
        made.append(run)
    for whole, cut in zip(*made):
        np.testing.assert_allclose(whole.values, cut.values, rtol=1e-12)
        np.testing.assert_array_equal(whole.policy, cut.policy)
        assert whole.value_error == pytest.approx(cut.value_error, rel=1e-3, abs=1e-10)
        assert whole.oracle_calls == cut.oracle_calls


@pytest.mark.delicate
@pytest.mark.parametrize("mdp", PROBLEMS, ids=repr)
def test_policy_iteration_from_zeros_on_small_problems_ends_with_accurate_values(mdp):
    run = optlab.solve(mdp, PolicyIteration(), x0=np.zeros(mdp.n_states), tol={"changes": 0}, record=1)
    assert run.success
    exact = mdp.evaluate(run.state.policy).values
    assert np.abs(run.state.values - exact).max() <= 2e-12 * np.abs(exact).max()


def test_a_measured_iterate_is_not_evaluated_again(monkeypatch):
    mdp = mountain_car(12, 9)
    method = PolicyIteration(forcing=0.0)
    state = method.step(mdp, method.init(mdp, np.zeros(108), None))
    policy = method.iterate(mdp, state)
    monkeypatch.setattr("optlab.policy.mdp.model.solve_values", None)
    assert mdp.evaluate(policy).values is state.values


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PolicyIteration(tol=0.0), "tol must be a number above 0"),
        (lambda: ModifiedPolicyIteration(sweeps=-1), "sweeps must be an integer of at least 0"),
        (lambda: ModifiedPolicyIteration(contraction=1.0), "contraction must be a number at least 0 and below 1"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
