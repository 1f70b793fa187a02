"""Function classes: Jacobian products against finite differences, one class against another, refusals."""

import numpy as np
import pytest
import scipy.sparse as sp

from optlab.policy import MLP, BlockFeatures, LinearFeatures, RandomFourier, Tabular, TileCoding

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(-1, 1, (7, 2))
CLASSES = {
    "tabular": Tabular(7, 3),
    "linear": LinearFeatures.gaussian(7, 3, 5, seed=1),
    "blocks": BlockFeatures(RNG.standard_normal((7, 4)), 3),
    "sparse blocks": BlockFeatures(sp.random(7, 6, 0.5, random_state=0, format="csr"), 3),
    "fourier": RandomFourier(POINTS, 3, 6),
    "tiles": TileCoding(POINTS, 3, tiles=3, tilings=4),
    "tanh": MLP(POINTS, 3, hidden=(5, 4)),
    "relu": MLP(POINTS, 3, hidden=(6,), activation="relu"),
    "no hidden layer": MLP(POINTS, 3, hidden=()),
}
every_class = pytest.mark.parametrize("name", CLASSES)
STATES = [None, np.array([3]), np.array([0, 6, 3, 3])]


def case(name, states):
    rng = np.random.default_rng(2)
    cls = CLASSES[name]
    theta = rng.standard_normal(cls.n_parameters)
    n = 7 if states is None else len(states)
    root = rng.standard_normal((n, 3, 3))
    return cls, theta, rng.standard_normal((n, 3)), rng.standard_normal(cls.n_parameters), root @ root.swapaxes(1, 2)


@every_class
@pytest.mark.parametrize("states", STATES, ids=["all", "one", "several"])
def test_jacobian_products(name, states):
    cls, theta, cotangent, tangent, blocks = case(name, states)
    assert cls.scores(theta, states).shape == cotangent.shape
    h = 1e-6
    difference = (cls.scores(theta + h * tangent, states) - cls.scores(theta - h * tangent, states)) / (2 * h)
    moved = cls.jvp(theta, states, tangent)
    np.testing.assert_allclose(moved, difference, atol=2e-8 * max(1, np.abs(difference).max()))
    # transpose: <cotangent, J tangent> = <J' cotangent, tangent>; and the Gauss-Newton matrix is J' B J
    assert np.sum(cotangent * moved) == pytest.approx(cls.vjp(theta, states, cotangent) @ tangent, rel=1e-10)
    gram = cls.gram(theta, states, blocks)
    product = cls.vjp(theta, states, np.einsum("nab,nb->na", blocks, moved))
    np.testing.assert_allclose(gram @ tangent, product, atol=1e-10 * np.abs(product).max())
    np.testing.assert_allclose(gram, gram.T, atol=1e-12 * np.abs(gram).max())


@every_class
def test_solve_gram_inverts_the_gauss_newton_matrix(name, monkeypatch):
    cls, theta, _, right, blocks = case(name, None)
    direct = cls.solve_gram(theta, None, blocks, right, 0.1)
    matrix = cls.gram(theta, None, blocks) + 0.1 * np.eye(cls.n_parameters)
    np.testing.assert_allclose(matrix @ direct, right, atol=1e-8)
    monkeypatch.setattr("optlab.policy.function_classes.classes._DENSE_LIMIT", 0)
    iterative = cls.solve_gram(theta, None, blocks, right, 0.1)
    np.testing.assert_allclose(iterative, direct, rtol=1e-5, atol=1e-6 * np.abs(direct).max())


@pytest.mark.parametrize("name", [n for n, c in CLASSES.items() if c.linear])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_least_squares_has_a_vanishing_gradient(name, ridge):
    cls, theta, targets, _, _ = case(name, None)
    weights = np.random.default_rng(3).uniform(0.1, 1.0, targets.shape)
    if name == "tabular" and ridge:
        theta = np.zeros_like(theta)
    fitted = cls.least_squares(theta, None, targets, weights, ridge)
    gradient = cls.vjp(fitted, None, weights * (cls.scores(fitted) - targets)) + ridge * fitted
    np.testing.assert_allclose(gradient, 0, atol=1e-9)


def test_a_table_keeps_states_that_were_not_visited():
    table = Tabular(4, 2)
    theta = np.arange(8.0)
    fitted = table.least_squares(theta, np.array([1, 1]), np.array([[9.0, 9.0], [5.0, 5.0]]), np.ones((2, 2)), 0.0)
    np.testing.assert_array_equal(fitted, [0, 1, 7, 7, 4, 5, 6, 7])


def test_blocks_are_linear_features_with_a_block_per_action():
    psi = CLASSES["blocks"]
    features = np.einsum("ab,sd->sabd", np.eye(3), psi.features).reshape(7, 3, -1)
    dense = LinearFeatures(features)
    _, theta, cotangent, _, blocks = case("blocks", None)
    np.testing.assert_allclose(psi.scores(theta), dense.scores(theta), rtol=1e-12)
    np.testing.assert_allclose(psi.vjp(theta, None, cotangent), dense.vjp(theta, None, cotangent), rtol=1e-12)
    np.testing.assert_allclose(psi.gram(theta, None, blocks), dense.gram(theta, None, blocks), atol=1e-12)
    weights = np.abs(cotangent)
    np.testing.assert_allclose(
        psi.least_squares(theta, None, cotangent, weights, 0.0),
        dense.least_squares(theta, None, cotangent, weights, 0.0),
        atol=1e-10,
    )


@pytest.mark.parametrize("make", [RandomFourier, TileCoding, MLP])
def test_coordinates_and_rows_of_the_table_agree(make):
    cls = make(POINTS, 3)
    theta = np.random.default_rng(4).standard_normal(cls.n_parameters)
    np.testing.assert_allclose(cls.scores(theta, [2, 5]), cls.scores(theta, POINTS[[2, 5]]), rtol=1e-12)


def test_random_fourier_features_approximate_the_gaussian_kernel():
    psi = RandomFourier(POINTS, 1, 20_000, lengthscale=0.7, bias=False, seed=5).features
    distance = np.sum((POINTS[:, None] - POINTS[None]) ** 2, axis=-1)
    np.testing.assert_allclose(psi @ psi.T, np.exp(-distance / (2 * 0.7**2)), atol=0.04)


def test_tiles_are_shared_by_neighbours_only():
    coding = TileCoding(2, 1, tiles=4, tilings=8, bounds=[[0, 1], [0, 1]])
    psi = coding.features_of(np.array([[0.5, 0.5], [0.52, 0.5], [0.9, 0.1], [5.0, 0.1], [1.0, 0.1]])).toarray()
    assert psi.sum() == pytest.approx(5 * np.sqrt(8))
    near, far = psi[0] @ psi[1], psi[0] @ psi[2]
    assert 0.5 < near < 1
    assert far == 0
    np.testing.assert_array_equal(psi[3], psi[4])


@every_class
def test_the_start_is_the_uniform_policy(name):
    cls = CLASSES[name]
    assert not cls.scores(cls.initial(np.random.default_rng(0))).any()


def test_hidden_layers_of_the_start_are_scaled():
    network = MLP(100, 2, hidden=(400,))
    theta = network.initial(np.random.default_rng(0))
    assert network.layers(theta)[0][0].var() == pytest.approx(1 / 100, rel=0.05)


def test_equality_is_by_content():
    assert RandomFourier(POINTS, 2, seed=1) == RandomFourier(POINTS, 2, seed=1)
    assert RandomFourier(POINTS, 2, seed=1) != RandomFourier(POINTS, 2, seed=2)
    assert len({Tabular(2, 2), Tabular(2, 2), Tabular(2, 3)}) == 2


def test_refusals():
    with pytest.raises(ValueError, match="features must have shape"):
        LinearFeatures(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"lie in 0..6, got 7 at index \[1\]"):
        CLASSES["linear"].scores(np.zeros(5), np.array([0, 7]))
    with pytest.raises(TypeError, match="vector of integers"):
        CLASSES["linear"].scores(np.zeros(5), np.ones((2, 2)))
    with pytest.raises(TypeError, match="holds a table of features"):
        CLASSES["blocks"].scores(np.zeros(12), np.ones((2, 4)))
    with pytest.raises(TypeError, match="pass coordinates"):
        RandomFourier(2, 3).scores(np.zeros(123), None)
    with pytest.raises(TypeError, match="pass coordinates"):
        MLP(2, 3).scores(MLP(2, 3).initial(np.random.default_rng(0)))
    with pytest.raises(ValueError, match="states must have shape"):
        MLP(2, 3).scores(MLP(2, 3).initial(np.random.default_rng(0)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="bounds must be given"):
        TileCoding(2, 3)
    with pytest.raises(ValueError, match="lower < upper"):
        TileCoding(1, 3, bounds=[[1.0, 1.0]])
    with pytest.raises(TypeError, match="not linear"):
        CLASSES["tanh"].least_squares(np.zeros(1), None, np.zeros((7, 3)), np.ones((7, 3)), 0.0)
