"""The light Schroedinger bridge: gradients, one Gaussian in closed form, discrete Sinkhorn, several modes."""

from __future__ import annotations

import numpy as np
import ot
import pytest
from scipy.optimize import approx_fprime

from optlab.transport import LightSchrodingerBridge


def test_the_gradient_of_the_loss():
    rng = np.random.default_rng(0)
    bridge = LightSchrodingerBridge(0.3, n_components=3)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(25, 2)) + 1
    theta = rng.normal(size=3 + 6 + 6) * 0.5
    _, gradient = bridge._loss(theta, x, y)
    numerical = approx_fprime(theta, lambda t: bridge._loss(t, x, y)[0], 1e-7)
    np.testing.assert_allclose(gradient, numerical, atol=1e-5)


@pytest.mark.parametrize("eps", [0.1, 1.0])
def test_one_component_is_the_gaussian_plan(eps):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(400, 2)) * [1.0, 2.0], rng.normal(size=(300, 2)) * [0.5, 1.5] + [3.0, -1.0]
    bridge = LightSchrodingerBridge(eps, n_components=1, n_starts=1, validation_fraction=0.0, max_iter=2000).fit(x, y)
    # moments about 0: S A S + eps S = B with the covariances, in each coordinate
    A, B = x.var(axis=0), y.var(axis=0)
    S = (-eps + np.sqrt(eps**2 + 4 * A * B)) / (2 * A)
    np.testing.assert_allclose(bridge.scales_[0], S, rtol=1e-4)
    np.testing.assert_allclose(bridge.shifts_[0], y.mean(axis=0) - S * x.mean(axis=0), atol=1e-3)


def test_means_are_those_of_discrete_entropic_transport():
    rng = np.random.default_rng(2)
    eps = 0.3
    x = rng.normal(size=(600, 1))
    y = np.where(rng.random((600, 1)) < 0.5, -2.0, 2.0) + 0.3 * rng.normal(size=(600, 1))
    bridge = LightSchrodingerBridge(eps, n_components=6, n_starts=2, random_state=0).fit(x, y)
    weights = np.full(600, 1 / 600)
    plan = ot.sinkhorn(weights, weights, 0.5 * ot.dist(x, y), eps, method="sinkhorn_log", numItermax=5000)
    discrete = plan @ y * 600
    error = np.sqrt(np.mean((bridge.transform(x) - discrete) ** 2))
    assert error < 0.12 * y.std()
    drawn = bridge.sample(x, random_state=1)
    assert drawn.std() == pytest.approx(y.std(), rel=0.1)
    assert bridge.score(x, y) == pytest.approx(-bridge.loss_, abs=0.2)


def test_more_components_fit_several_modes_better():
    rng = np.random.default_rng(3)
    modes = np.array([[0.0, 3.0], [3.0, 0.0], [-3.0, -3.0]])
    x, y = rng.normal(size=(800, 2)), modes[rng.integers(0, 3, 800)] + 0.3 * rng.normal(size=(800, 2))
    losses = [LightSchrodingerBridge(0.2, K, n_starts=2).fit(x, y).held_out_loss_ for K in (1, 6)]
    assert losses[1] < losses[0] - 0.5


def test_the_ends_of_the_bridge_and_arguments():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 2
    bridge = LightSchrodingerBridge(0.1, 2, n_starts=1)
    with pytest.raises(ValueError, match="not fitted"):
        bridge.transform(x)
    bridge.fit(x, y)
    np.testing.assert_allclose(bridge.bridge(x, 0.0, 0), x)
    middle = bridge.bridge(x, 0.5, 0)
    assert x.mean() < middle.mean() < y.mean()
    with pytest.raises(ValueError, match="points of dimension 2"):
        bridge.transform(np.ones((3, 1)))
    with pytest.raises(ValueError, match="equal dimension"):
        bridge.fit(x, np.ones((3, 1)))
    with pytest.raises(ValueError, match="t must be"):
        bridge.bridge(x, 1.5)
