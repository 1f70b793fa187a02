"""Certificates: coefficients by hand, and the bounds with a dual error along runs with a synthetic one."""

import numpy as np
import pytest

from optlab.bregman import mirror_map
from optlab.policy import garnet
from optlab.policy.tabular import certificates, dual_certificates
from optlab.policy.tabular.step_sizes import greedy_divergence

GARNET = garnet(20, 4, 4, discount=0.9, seed=1)


def noisy_run(name, step_sizes, noise, critic_noise=0.0, seed=0):
    """Policy mirror descent whose dual point is missed by Gaussian noise; returns what the bounds speak of."""
    phi, rng, mdp = mirror_map(name), np.random.default_rng(seed), GARNET
    best, law = mdp.optimal.values, certificates.optimal_visitation(mdp)
    with np.errstate(divide="ignore"):
        log_best = np.log(mdp.optimal.probabilities)
    log_policy = mdp.uniform_log_probabilities()
    rows, start = [], None
    for eta in step_sizes:
        table = np.exp(log_policy)
        evaluation, visitation = mdp.evaluate(table), mdp.visitation(table)
        state = {
            "gap": float(mdp.start @ (evaluation.values - best)),
            "sup_gap": float(np.max(evaluation.values - best)),
            "divergence": float(law @ phi.divergence_from_log(log_best, log_policy)),
            "theta": certificates.mismatch(law, visitation),
            "visitation": visitation,
        }
        if start is None:
            start = state
        else:
            rows[-1]["after"] = state
        Q = evaluation.action_values + critic_noise * rng.uniform(-1, 1, table.shape)
        target = phi.gradient_from_log(log_policy) - eta * Q
        fitted = target + noise * rng.standard_normal(table.shape)
        new = phi.log_project(fitted)
        zeta = dual_certificates.drift(phi, log_best, new, phi.log_project(target))
        errors = phi.dual_divergence(target, fitted)
        slack = float(np.max(greedy_divergence(phi, Q, log_policy))) / eta
        rows.append({"before": state, "eta": eta, "Z": float(law @ zeta), "errors": errors, "slack": slack})
        log_policy = new
    return start, rows[:-1]


@pytest.mark.parametrize("name", ["kl", "euclidean", "euclidean-full", "tsallis:0.5", "tsallis:1.5"])
@pytest.mark.parametrize(("noise", "critic_noise"), [(0.3, 0.0), (0.3, 0.1), (0.0, 0.0)])
def test_bounds_with_dual_error(name, noise, critic_noise):
    gamma, etas = GARNET.discount, 1.5 ** np.arange(13.0)
    start, rows = noisy_run(name, etas, noise, critic_noise)
    Z = np.array([r["Z"] for r in rows])
    next_errors = np.array([r["after"]["visitation"] @ r["errors"] for r in rows])
    theta = max(r["after"]["theta"] for r in rows)
    for r, error in zip(rows, next_errors):
        before, after = r["before"], r["after"]
        left, right = dual_certificates.dual_recursion(
            after["theta"],
            before["gap"],
            after["gap"],
            before["divergence"],
            after["divergence"],
            r["eta"],
            gamma,
            drift=r["Z"],
            dual_error=error,
            critic_error=critic_noise,
        )
        assert left <= right + 1e-10
        rise = dual_certificates.dual_improvement_bound(error, r["eta"], gamma, critic_noise)
        assert after["gap"] - before["gap"] <= rise + 1e-12
    common = (start["gap"], start["divergence"], etas[:-1], Z, next_errors)
    gaps = np.array([r["before"]["gap"] for r in rows])
    average = dual_certificates.dual_average_bound(*common, theta, gamma, critic_noise)
    assert np.all(np.cumsum(gaps) / np.arange(1, 13) <= average)
    large = max(theta, 3.0)  # steps grow by 1.5 = 3/(3 - 1)
    last = dual_certificates.dual_linear_bound(*common, large, gamma, critic_noise)
    assert np.all([r["after"]["gap"] for r in rows] <= last)
    sup = dual_certificates.dual_sup_bound(
        start["sup_gap"], [r["slack"] for r in rows], etas[:-1], [r["errors"].max() for r in rows], gamma, critic_noise
    )
    assert np.all([start["sup_gap"], *(r["after"]["sup_gap"] for r in rows)] <= sup)


def test_the_error_terms_are_needed():
    # without them the inequality is that of exact steps, which noise breaks
    _, rows = noisy_run("kl", np.full(40, 0.3), 1.0)
    broken = 0
    for r in rows:
        before, after = r["before"], r["after"]
        left, right = certificates.basic_recursion(
            after["theta"], before["gap"], after["gap"], before["divergence"], after["divergence"], 0.3, GARNET.discount
        )
        broken += left > right + 1e-6
    assert broken > 5


def test_bounded_dual_noise_leaves_no_floor_under_geometric_steps():
    growth = 1 / 0.9
    _, rows = noisy_run("kl", growth ** np.arange(90.0), 0.3)
    assert rows[-1]["after"]["gap"] < 1e-10
    _, rows = noisy_run("kl", np.ones(90), 0.3)
    assert rows[-1]["after"]["gap"] > 1e-4  # constant steps do not get there


def test_coefficients_by_hand():
    assert certificates.mismatch([0.5, 0.5], [0.5, 0.5]) == 1.0
    assert certificates.mismatch([0.5, 0.5], [1.0, 0.0]) == np.inf
    assert certificates.concentrability([0.9, 0.1], [0.6, 0.4]) == pytest.approx(1.5)
    with pytest.raises(ValueError, match="other must have shape"):
        certificates.mismatch([1.0], [0.5, 0.5])
    uniform = GARNET.default_start(None)
    law = certificates.optimal_visitation(GARNET)
    assert law.sum() == pytest.approx(1.0)
    euclidean = certificates.divergence_to_optimal(GARNET, uniform, mirror_map("euclidean"))
    assert euclidean == pytest.approx(0.5 * (0.75**2 + 3 * 0.25**2))
    assert certificates.start_mismatch(GARNET) == pytest.approx(np.max(law) * 20 / 0.1)
    gap = np.max(GARNET.evaluate(uniform).values - GARNET.optimal.values)
    assert gap <= certificates.advantage_gap(GARNET, uniform)


def test_bounds_by_hand():
    assert certificates.linear_growth_factor(1.0) == np.inf
    assert certificates.simple_linear_bound(1, 4.0, 0.5) == 3.0
    assert certificates.inexact_linear_bound(0, 2.0, 0.1, 0.5) == pytest.approx(4 + 1.6)
    assert certificates.sublinear_bound(np.array([0, 1]), 2.0, 1.0, 0.5, cost_span=0.5).tolist() == [3.0, 1.5]
    assert certificates.monte_carlo_error(2, 0.5) == 1.0
    assert dual_certificates.soft_bellman_bound(1.0, [0.1, 0.0], 2.0, 0.5, critic_error=0.05).tolist() == pytest.approx(
        [1.0, 1.1, 0.75]
    )
    with pytest.raises(ValueError, match="must not decrease"):
        dual_certificates.dual_average_bound(1.0, 1.0, [2.0, 1.0], [0, 0], [0, 0], 2.0, 0.5)
    with pytest.raises(
        ValueError, match=r"must grow by theta/\(theta - 1\) = 2 at least, but grow by 1.5 from iteration 1"
    ):
        dual_certificates.dual_linear_bound(1.0, 1.0, [1.0, 2.0, 3.0], [0, 0, 0], [0, 0, 0], 2.0, 0.5)


def test_error_terms_of_the_dual_bounds_by_hand():
    histories = ([1.0, 2.0], [1.0, -1.0], [0.5, 0.0])  # step sizes, drifts, dual errors
    average = dual_certificates.dual_average_bound(1.0, 1.0, *histories, 2.0, 0.5, critic_error=0.125)
    np.testing.assert_allclose(average, [9.0, 4.5])
    last = dual_certificates.dual_linear_bound(1.0, 1.0, *histories, 2.0, 0.5, critic_error=0.125)
    np.testing.assert_allclose(last, [4.0, 2.0])
    np.testing.assert_allclose(dual_certificates.dual_sup_bound(4.0, [1.0], [2.0], [4.0], 0.5, 0.25), [4.0, 9.0])


@pytest.mark.parametrize("K", [1, 2, 7])
@pytest.mark.parametrize("discount", [0.1, 0.5, 0.99])
def test_running_bounds_are_those_of_the_theorems(K, discount):
    from optlab.policy.tabular.dual_error import COLUMNS, running_bounds

    rng = np.random.default_rng(K)
    trace = rng.random((K, len(COLUMNS))) + 0.1
    column = {name: trace[:, i] for i, name in enumerate(COLUMNS)}
    column["mismatch"][:] += 1.5
    theta = column["mismatch"].max()
    column["critic_error"][:] = 0.03
    errors = {"drifts": column["drift"], "dual_errors": column["dual_error_next"], "critic_error": 0.03}
    first = {"gap": column["gap"][0], "divergence": column["divergence_to_optimal"][0], "theta": theta}
    for growth, name, bound in (
        (1.0, "average_gap_bound", dual_certificates.dual_average_bound),
        (theta / (theta - 1) * 1.001, "gap_bound", dual_certificates.dual_linear_bound),
    ):
        column["step_size"][:] = 0.7 * growth ** np.arange(K)
        wanted = bound(step_sizes=column["step_size"], discount=discount, **first, **errors)[-1]
        assert running_bounds(trace, discount)[name] == pytest.approx(wanted, rel=1e-12)
    # one iteration by hand: (D*_0 + Z + theta (error + 2 tau eta)) / ((1 - gamma) eta) + theta delta_0
    one = trace[:1]
    at = dict(zip(COLUMNS, one[0]))
    terms = (
        at["divergence_to_optimal"] + at["drift"] + at["mismatch"] * (at["dual_error_next"] + 0.06 * at["step_size"])
    )
    by_hand = terms / ((1 - discount) * at["step_size"]) + at["mismatch"] * at["gap"]
    assert running_bounds(one, discount)["average_gap_bound"] == pytest.approx(by_hand, rel=1e-12)
    by_hand = terms / ((1 - discount) * at["step_size"] * at["mismatch"]) + (1 - 1 / at["mismatch"]) * at["gap"]
    assert running_bounds(one, discount)["gap_bound"] == pytest.approx(by_hand, rel=1e-12)
    slack = at["greedy_divergence"] / at["step_size"] + 0.06 + at["dual_error_max"] / at["step_size"]
    by_hand = discount * at["sup_gap"] + slack / (1 - discount)
    assert running_bounds(one, discount)["sup_gap_bound"] == pytest.approx(by_hand, rel=1e-12)
