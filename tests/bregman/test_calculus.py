"""Functions made of functions: values, gradients, conjugates and proximal operators against their definitions."""

import math

import numpy as np
import pytest

from optlab.bregman import SquaredEuclidean, has_resolvent, resolvent
from optlab.bregman.functions import (
    Box,
    Huber,
    L1Norm,
    L2Norm,
    Linear,
    Logistic,
    SquaredDistance,
    SumLargest,
    TotalVariation,
)
from optlab.linalg import Convolution, FiniteDifferences, Identity, SubsampledFourier

E2 = SquaredEuclidean()
rng = np.random.default_rng(0)
c = rng.standard_normal(5)
rows = np.linalg.qr(rng.standard_normal((5, 3)))[0].T
labels = np.sign(rng.standard_normal(5))
mask = rng.random((4, 3)) < 0.5

TERMS = {
    "translated": (L1Norm(0.7).translate(c), 5),
    "translated set": (Box(-0.5, 0.5).translate(c), 5),
    "dilated": (L2Norm(0.7).scale(-3.0), 5),
    "dilated set": (Box(0.0, 1.0).scale(-2.0), 5),
    "conjugate": (L1Norm(0.7).conjugate(), 5),
    "conjugate of a distance": (SquaredDistance(c, 0.7).conjugate(), 5),
    "conjugate of a box": (Box(-1.0, 2.0).conjugate(), 5),
    "conjugate of a loss": (Logistic(None, labels).conjugate(), 5),
    "envelope": (L1Norm(0.7).envelope(0.5), 5),
    "envelope of a set": (Box(0.0, 1.0).envelope(0.5), 5),
    "scaled envelope": (2.0 * L2Norm(0.7).envelope(0.5), 5),
    "scaled conjugate": (2.0 * L1Norm(0.7).conjugate().translate(c), 5),
    "tight": (L1Norm(0.7) @ (2.0 * rows), 5),
    "tight, shifted": (L2Norm(0.7).translate(c[:3]) @ (2.0 * rows), 5),
    "restricted": (L1Norm(0.7).restricted(5, [3, 0]), 5),
    "restricted sum": (SumLargest(2).restricted(5, [3, 0, 1]), 5),
    "identity": (L1Norm(0.7) @ Identity((2, 3)), (2, 3)),
    "deconvolution": (SquaredDistance(rng.standard_normal((4, 3)), 0.7) @ Convolution(np.ones((2, 2)), (4, 3)), (4, 3)),
    "Fourier": (SquaredDistance(0.3) @ SubsampledFourier(mask, complex_input=True), (4, 3, 2)),
    "elastic net": (L1Norm(0.7) + SquaredDistance(c, 0.4) + Linear(c), 5),
    "two distances": (L2Norm(0.7) + SquaredDistance(c, 0.4) + SquaredDistance(-c, 0.3), 5),
}


@pytest.mark.parametrize("name", TERMS)
def test_the_proximal_point_is_not_beaten(name):
    term, shape = TERMS[name]
    assert has_resolvent(term, E2)
    own = np.random.default_rng(1)
    for _ in range(15):
        z, t = own.standard_normal(shape) * 10.0 ** own.uniform(-1, 1), 10.0 ** own.uniform(-1.5, 1.5)
        p = resolvent(term, E2, z, t)
        best = term.value(p) + np.sum((p - z) ** 2) / (2 * t)
        assert math.isfinite(best)
        for _ in range(60):
            u = p + own.standard_normal(shape) * 10.0 ** own.uniform(-5, 0.5)
            assert term.value(u) + np.sum((u - z) ** 2) / (2 * t) >= best - 1e-9 * (1 + abs(best))


@pytest.mark.parametrize("name", [name for name in TERMS if TERMS[name][0].conjugate_domain is not None])
def test_fenchel_equality(name):
    term, shape = TERMS[name]
    own = np.random.default_rng(2)
    for _ in range(15):
        z, t = own.standard_normal(shape) * 3, 10.0 ** own.uniform(-1, 1)
        p = resolvent(term, E2, z, t)
        s = (z - p) / t
        total = term.value(p) + term.conjugate_value(s * (1 - 1e-12))
        assert total == pytest.approx(np.vdot(p, s), abs=1e-8 * (1 + np.linalg.norm(p) * np.linalg.norm(s)))


@pytest.mark.parametrize("name", [name for name in TERMS if TERMS[name][0].smooth])
def test_gradients(name):
    term, shape = TERMS[name]
    own = np.random.default_rng(3)
    constants = term.relative_smoothness(E2)
    assert constants is not None
    for _ in range(10):
        x, y, d = (own.standard_normal(shape) for _ in range(3))
        slope = (term.value(x + 1e-6 * d) - term.value(x - 1e-6 * d)) / 2e-6
        assert slope == pytest.approx(np.vdot(term.gradient(x), d), rel=1e-5, abs=1e-6)
        change = np.linalg.norm(term.gradient(x) - term.gradient(y))
        assert change <= constants[0] * np.linalg.norm(x - y) * (1 + 1e-10)


def test_the_envelope_of_the_1_norm_is_huber():
    x = rng.standard_normal(50) * 3
    envelope = L1Norm(0.8).envelope(0.5)
    huber = Huber(0.4, 2.0)
    assert envelope.value(x) == pytest.approx(huber.value(x), rel=1e-13)
    np.testing.assert_allclose(envelope.gradient(x), huber.gradient(x), atol=1e-14)


def test_what_cancels_cancels():
    f = L1Norm(0.7)
    assert f.conjugate().conjugate() is f
    twice = (f @ rows) @ np.eye(5)
    assert twice.outer is f
    assert (2.0 * (f @ rows)).outer.weight == pytest.approx(1.4)


def test_a_map_that_is_not_tight_has_no_proximal_operator():
    term = TotalVariation() @ FiniteDifferences((3, 4))
    assert not has_resolvent(term, E2)
    with pytest.raises(TypeError, match="the map is not tight"):
        resolvent(term, E2, np.ones((3, 4)), 1.0)
    with pytest.raises(ValueError, match="factor must not be 0"):
        L1Norm().scale(0.0)
