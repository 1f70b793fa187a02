"""The figures on dual approximation policy optimization: what they are made of."""

from pathlib import Path

import numpy as np
import pytest

from optlab.policy import MonteCarlo, PolicyMirrorDescent, TabularPolicy, garnet, lower_bound_chain, lower_bound_start
from optlab.policy import NaturalPolicyGradient as NPG
from optlab.reproduce import discovery

ROOT = Path(__file__).resolve().parents[2] / "experiments" / "dapo"
FILES = ("tabular_rates", "discount_rate", "realisable", "regulator", "linear_features", "inner_solvers", "sampled")


@pytest.fixture(scope="module")
def modules():
    return {stem: discovery.load(str(ROOT / f"{stem}.py")) for stem in FILES}


def test_stationary_start_is_the_law_of_the_optimal_policy(modules):
    mdp = modules["tabular_rates"].stationary_start(garnet(12, 3, 4, discount=0.9, seed=1))
    P = mdp.transition_matrix(mdp.optimal.probabilities).toarray()
    assert mdp.start.sum() == pytest.approx(1.0, rel=1e-12)
    assert np.abs(mdp.start @ P - mdp.start).sum() < 0.02  # up to the one per cent of uniform law
    assert mdp.start.min() >= 0.01 / 12 * (1 - 1e-12)


def test_distances_are_of_the_maximum_norm_and_start_where_told(modules):
    chain = lower_bound_chain(4, 0.05, 0.9)
    start = TabularPolicy.from_probabilities(lower_bound_start(4, 0.05))
    found = modules["discount_rate"].distances(chain, PolicyMirrorDescent("kl", 1.0), 2, start)
    assert len(found) == 3
    assert found[0] == np.abs(chain.evaluate(start).values - chain.optimal.values).max()
    assert found[0] > modules["discount_rate"].distances(chain, PolicyMirrorDescent("kl", 1.0), 0)[0]


def test_a_full_fisher_step_is_told_from_a_damped_one(modules):
    inner = modules["inner_solvers"]
    mdp, features = modules["linear_features"].instance(40, 3)
    assert inner.same_step(mdp, features) < 1e-9
    damped = inner.methods(features)["Fisher, 1 step"]
    full = inner.run(mdp, NPG(policy=features, step_size=damped.step_size), 40).history["gap"][-1]
    assert inner.run(mdp, damped, 40).history["gap"][-1] < 0.8 * full


def test_table_of_the_policy_changes_no_estimate(modules):
    mdp, features = modules["linear_features"].instance(20, 0)
    policy = modules["sampled"].run(mdp, NPG(policy=features), 2).solution
    states = np.array([3, 3, 17])
    critics = (MonteCarlo(2, 10), modules["sampled"].TableMonteCarlo(2, 10))
    estimates = [c.estimate(mdp, policy, states, np.random.default_rng(5), np.empty(0)) for c in critics]
    assert np.array_equal(estimates[0].action_values, estimates[1].action_values)
    assert estimates[0].environment_steps == estimates[1].environment_steps == 3 * 4 * 2 * 10


def test_methods_of_the_comparisons_keep_to_what_their_names_say(modules):
    linear, sampled = modules["linear_features"], modules["sampled"]
    _, features = linear.instance(20, 0)
    assert features.n_parameters == 20
    made = linear.methods(features, 5.0)
    assert {m.step_size for m in made.values()} == {5.0}
    assert all(m.policy == features for m in made.values())
    assert (made["MDPO, 10 steps"].steps, made["MDPO, 1 step"].steps) == (10, 1)
    assert set(linear.BY_SQUARES) < set(made)
    made = sampled.methods(features, 2.0, 30, 2, 10)
    assert set(made) == set(sampled.LOOKS)
    assert set(sampled.GROWING) < set(made)
    assert {(m.sampled_states, m.critic) for m in made.values()} == {(30, sampled.TableMonteCarlo(2, 10))}
