"""Losses and inner solvers: gradients, identities between losses, convexity, Newton against CVXPY."""

import numpy as np
import pytest

from optlab.bregman.mirror_maps import mirror_map
from optlab.policy import LinearFeatures, Tabular
from optlab.policy.approximate.inner import LBFGS, SGD, Adam, FisherScoring, LeastSquares, Newton
from optlab.policy.approximate.losses import DualDivergence, PenalizedCost, SquaredError, soft_actor_loss

KL = mirror_map("kl")
MAPS = ["negative-entropy", "euclidean", "euclidean-full", "tsallis:0.5"]


def draws(seed=0, n=6, actions=4):
    rng = np.random.default_rng(seed)
    target = rng.standard_normal((n, actions))
    return rng, target, rng.dirichlet(np.ones(n)), rng.standard_normal((n, actions))


def numerical_gradient(loss, f, h=1e-6):
    gradient = np.zeros_like(f)
    for index in np.ndindex(f.shape):
        step = np.zeros_like(f)
        step[index] = h
        gradient[index] = (loss.value(f + step) - loss.value(f - step)) / (2 * h)
    return gradient


@pytest.mark.parametrize("order", ["reverse", "forward"])
@pytest.mark.parametrize("name", MAPS)
def test_gradient_of_the_dual_divergence(name, order):
    _, g, w, f = draws()
    if name == "tsallis:0.5":
        g, f = g - 4, f - 4
    loss = DualDivergence(mirror_map(name), g, w, order)
    np.testing.assert_allclose(loss.gradient(f), numerical_gradient(loss, f), atol=3e-8)
    assert loss.value(g) == pytest.approx(0, abs=1e-12)


def test_gradients_of_the_other_losses():
    rng, Q, w, f = draws(1)
    for loss in (
        PenalizedCost(Q, w, 0.3, KL.log_project(rng.standard_normal(f.shape))),
        PenalizedCost(Q, w, 0.3),
        SquaredError(Q, rng.random(f.shape)),
    ):
        np.testing.assert_allclose(loss.gradient(f), numerical_gradient(loss, f), atol=3e-8)


@pytest.mark.parametrize("name", MAPS)
def test_forward_curvature_is_the_hessian(name):
    _, g, w, f = draws(2)
    loss = DualDivergence(mirror_map(name), g - 4, w, "forward")
    h, direction = 1e-6, np.random.default_rng(3).standard_normal(f.shape)
    change = (loss.gradient(f - 4 + h * direction) - loss.gradient(f - 4 - h * direction)) / (2 * h)
    product = np.einsum("nab,nb->na", loss.curvature(f - 4), direction)
    np.testing.assert_allclose(product, change, atol=1e-7)


def test_mdpo_is_the_reverse_order_up_to_factor_and_constant():
    rng, Q, w, f = draws(4)
    eta, log_pi = 1.7, KL.log_project(rng.standard_normal(f.shape))
    mdpo = PenalizedCost(Q, w, 1 / eta, log_pi)
    dapo = DualDivergence(KL, log_pi - eta * Q, w, "reverse")
    np.testing.assert_allclose(eta * mdpo.gradient(f), dapo.gradient(f), atol=1e-13)
    constant = w @ np.log(np.sum(np.exp(log_pi - eta * Q), axis=1))
    assert eta * mdpo.value(f) == pytest.approx(dapo.value(f) - constant, abs=1e-13)


def test_the_actor_of_soft_actor_critic_is_the_reverse_order():
    _, Q, w, f = draws(5)
    tau = 0.4
    dapo = DualDivergence(KL, -Q / tau, w, "reverse")
    assert soft_actor_loss(f, Q, tau, w) == pytest.approx(dapo.value(f), abs=1e-13)
    published = PenalizedCost(Q, w, tau)  # E <pi, Q + tau log pi>
    np.testing.assert_allclose(published.gradient(f) / tau, dapo.gradient(f), atol=1e-13)
    constant = w @ np.log(np.sum(np.exp(-Q / tau), axis=1))
    assert published.value(f) / tau == pytest.approx(dapo.value(f) - constant, abs=1e-12)


@pytest.mark.parametrize("name", ["negative-entropy", "euclidean", "tsallis:0.5"])
def test_forward_is_convex_and_reverse_is_not(name):
    rng = np.random.default_rng(6)
    y, z, g = (3 * rng.standard_normal((4000, 3)) - 12 for _ in range(3))
    weights = np.ones(len(y))
    for order, share in (("forward", 0.0), ("reverse", 0.05)):
        loss = DualDivergence(mirror_map(name), g, weights, order)
        excess = loss.rows((y + z) / 2) - (loss.rows(y) + loss.rows(z)) / 2
        violations = np.mean(excess > 1e-12)
        assert violations == 0 if share == 0 else violations > share


def test_dual_error_controls_total_variation_and_variance():
    """Pinsker in both orders, and Var_f(f - g) <= (exp(KL) - 1) / psi(range) with psi(B) = (exp(-B) - 1 + B) / B^2."""
    rng = np.random.default_rng(7)
    f = rng.standard_normal((20_000, 4)) * rng.choice([0.1, 1, 5], (20_000, 1))
    g = f + rng.standard_normal(f.shape) * rng.choice([0.1, 1, 5], (20_000, 1))
    p, q = KL.project(f), KL.project(g)
    distance = np.abs(p - q).sum(axis=1)
    for y, z in ((f, g), (g, f)):
        assert np.all(distance <= np.sqrt(2 * KL.dual_divergence(y, z)) * (1 + 1e-4) + 1e-12)
    d = f - g
    spread = d.max(axis=1) - d.min(axis=1)
    psi = (np.expm1(-spread) + spread) / spread**2
    variance = np.sum(p * d**2, axis=1) - np.sum(p * d, axis=1) ** 2
    # KL(pi_f || pi_g) = D_{Phi*}(g, f)
    assert np.all(variance <= np.expm1(KL.dual_divergence(g, f)) / psi * (1 + 1e-4) + 1e-12)


def test_minibatches_are_unbiased():
    rng, g, w, f = draws(8)
    phi = LinearFeatures.gaussian(6, 4, 5)
    theta = rng.standard_normal(5)
    pairs = w[:, None] * rng.random((6, 4))
    for loss in (DualDivergence(KL, g, w, "reverse"), PenalizedCost(g, w, 0.5), SquaredError(g, pairs)):
        whole = phi.vjp(theta, None, loss.gradient(f))
        weights = loss.weights / loss.weights.sum()
        mean = sum(
            weights[i] * phi.vjp(theta, np.array([i]), loss.batch(np.array([i])).gradient(f[[i]])) for i in range(6)
        )
        np.testing.assert_allclose(mean, whole, atol=1e-14)


# ---------------------------------------------------------------- inner solvers


@pytest.mark.delicate
def test_newton_solves_the_forward_problem_as_cvxpy_does():
    import cvxpy as cp

    rng = np.random.default_rng(9)
    phi = LinearFeatures(rng.standard_normal((15, 3, 6)))
    w, g, ridge = rng.dirichlet(np.ones(15)), rng.standard_normal((15, 3)), 1e-3
    loss = DualDivergence(KL, g, w, "forward")
    result = Newton(ridge=ridge).minimize(loss, phi, np.zeros(6), None)
    theta, label = cp.Variable(6), KL.project(g)
    terms = [w[s] * (cp.log_sum_exp(phi.features[s] @ theta) - label[s] @ phi.features[s] @ theta) for s in range(15)]
    cp.Problem(cp.Minimize(sum(terms) + ridge / 2 * cp.sum_squares(theta))).solve(solver="CLARABEL")
    np.testing.assert_allclose(result.theta, theta.value, atol=1e-5)
    assert result.iterations < 15


@pytest.mark.parametrize(
    "inner",
    [
        Newton(ridge=0.0),
        FisherScoring(max_iter=100, ridge=0.0),
        LBFGS(max_iter=500),
        Adam(step_size=0.1, steps=800),
        SGD(step_size=2.0, steps=1500, momentum=0.8),
    ],
    ids=lambda inner: type(inner).__name__,
)
def test_inner_solvers_agree_on_a_convex_loss(inner):
    rng = np.random.default_rng(10)
    phi = LinearFeatures(rng.standard_normal((12, 3, 4)))
    loss = DualDivergence(KL, rng.standard_normal((12, 3)), rng.dirichlet(np.ones(12)), "forward")
    best = Newton(ridge=0.0).minimize(loss, phi, np.zeros(4), None)
    found = inner.minimize(loss, phi, np.zeros(4), None, rng)
    assert found.value == pytest.approx(best.value, rel=1e-4)
    np.testing.assert_allclose(found.value, loss.value(phi.scores(found.theta)), rtol=1e-12)


@pytest.mark.delicate
def test_semismooth_newton_solves_the_sparsemax_loss():
    rng = np.random.default_rng(11)
    phi = LinearFeatures(rng.standard_normal((30, 4, 10)))
    loss = DualDivergence(mirror_map("euclidean"), 3 * rng.standard_normal((30, 4)), np.full(30, 1 / 30), "forward")
    newton = Newton(ridge=1e-10).minimize(loss, phi, np.zeros(10), None)
    assert newton.value == pytest.approx(LBFGS(max_iter=1000).minimize(loss, phi, np.zeros(10), None).value, rel=1e-6)
    assert newton.iterations < 20


def test_fisher_scoring_never_increases_the_loss():
    rng = np.random.default_rng(12)
    phi = LinearFeatures(rng.standard_normal((12, 3, 4)))
    loss = DualDivergence(KL, 20 * rng.standard_normal((12, 3)), rng.dirichlet(np.ones(12)), "reverse")
    theta, value = np.zeros(4), loss.value(np.zeros((12, 3)))
    for _ in range(8):
        result = FisherScoring(max_iter=1).minimize(loss, phi, theta, None)
        assert result.value <= value
        theta, value = result.theta, result.value


def test_refusals():
    rng, g, w, _ = draws(13)
    phi = LinearFeatures(rng.standard_normal((6, 4, 3)))
    loss = DualDivergence(KL, g, w, "reverse")
    with pytest.raises(ValueError, match="convex in the scores"):
        Newton().minimize(loss, phi, np.zeros(3), None)
    with pytest.raises(ValueError, match="needs a squared error"):
        LeastSquares().minimize(loss, phi, np.zeros(3), None)
    with pytest.raises(ValueError, match="needs a squared error"):
        LeastSquares().minimize(PenalizedCost(g, w, 1.0), Tabular(6, 4), np.zeros(24), None)
    with pytest.raises(ValueError, match="armijo"):
        FisherScoring(armijo=0.7)
    with pytest.raises(ValueError, match="steps"):
        Adam(steps=0)
