"""Linear maps: adjoints by the dot test, norms from above and exact where promised, tightness, blocks."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

from optlab.linalg import (
    Blocks,
    Convolution,
    FiniteDifferences,
    Identity,
    MatrixFree,
    Sampling,
    SubsampledFourier,
    as_linear_map,
    conjugate_gradients,
    spectral_norm_bound,
)

rng = np.random.default_rng(0)
A = rng.standard_normal((7, 5))
S = sparse.random_array((30, 40), density=0.1, rng=rng, format="csr")
mask = rng.random((6, 5, 3)) < 0.4

MAPS = {
    "dense": as_linear_map(A),
    "sparse": as_linear_map(S),
    "LinearOperator": as_linear_map(aslinearoperator(A)),
    "identity": Identity((3, 4)),
    "differences 1-D": FiniteDifferences(9),
    "differences 1-D periodic": FiniteDifferences(8, boundary="periodic"),
    "differences 2-D": FiniteDifferences((6, 5)),
    "differences 2-D periodic": FiniteDifferences((6, 5), boundary="periodic"),
    "differences 3-D": FiniteDifferences((4, 5, 3)),
    "differences in time": FiniteDifferences((4, 5, 3), axes=2),
    "differences, sizes 1": FiniteDifferences((1, 6)),
    "convolution 1-D": Convolution(rng.standard_normal(4), 9),
    "convolution 2-D": Convolution(rng.standard_normal((3, 2)), (6, 5)),
    "Fourier": SubsampledFourier(mask[:, :, 0]),
    "Fourier complex": SubsampledFourier(mask[:, :, 0], complex_input=True),
    "Fourier cine": SubsampledFourier(mask, axes=(0, 1), complex_input=True),
    "sampling": Sampling((4, 3), [5, 0, 7]),
    "sampling mask": Sampling((6, 5), mask[:, :, 0]),
    "adjoint": as_linear_map(A).T,
    "scaled": -2.5 * as_linear_map(A),
    "product": as_linear_map(A.T) @ as_linear_map(A),
    "column": Blocks([FiniteDifferences((6, 5)), Convolution(np.ones((2, 2)), (6, 5))]),
    "row": Blocks([[A, np.eye(7)]]),
    "grid": Blocks([[A, None], [A, np.ones((7, 2))]]),
    "diagonal": Blocks([[FiniteDifferences((6, 5)), None], [None, A]]),
}
EXACT = [name for name in MAPS if name not in ("product", "column", "row", "grid") and "Fourier" not in name]


@pytest.mark.parametrize("name", MAPS)
def test_the_adjoint_passes_the_dot_test_and_nothing_is_written_to(name):
    linear = MAPS[name]
    for _ in range(5):
        x, y = rng.standard_normal(linear.shape_in), rng.standard_normal(linear.shape_out)
        x.setflags(write=False)
        y.setflags(write=False)
        image, back = linear.apply(x), linear.adjoint(y)
        assert image.shape == linear.shape_out
        assert back.shape == linear.shape_in
        scale = np.linalg.norm(image) * np.linalg.norm(y) + 1
        assert abs(np.vdot(image, y) - np.vdot(x, back)) <= 1e-13 * scale


def test_the_dot_test_can_fail():
    wrong = MatrixFree(lambda x: A @ x, lambda y: -(A.T @ y), 5, 7)
    x, y = rng.standard_normal(5), rng.standard_normal(7)
    assert abs(np.vdot(wrong.apply(x), y) - np.vdot(x, wrong.adjoint(y))) > 1e-3


@pytest.mark.parametrize("name", MAPS)
def test_norms_are_bounds_and_exact_where_promised(name):
    linear = MAPS[name]
    true = np.linalg.norm(linear.to_dense(), 2)
    assert linear.norm >= true * (1 - 1e-15)
    if name in EXACT:
        assert linear.norm <= true * (1 + 1e-12) + 1e-300


@pytest.mark.parametrize("name", MAPS)
def test_tight_maps_are_tight(name):
    linear = MAPS[name]
    dense = linear.to_dense()
    gram = dense @ dense.T
    nu = gram[0, 0]
    is_tight = nu > 0 and np.allclose(gram, nu * np.eye(len(gram)), atol=1e-12)
    if linear.tight is not None:
        assert is_tight
        assert linear.tight == pytest.approx(nu, rel=1e-12)
    elif name in ("dense", "sparse", "identity", "sampling", "sampling mask"):
        assert not is_tight


def test_orthonormal_rows_are_found_to_be_tight():
    rows = np.linalg.qr(rng.standard_normal((6, 4)))[0].T
    assert as_linear_map(3.0 * rows).tight == pytest.approx(9.0, rel=1e-14)
    assert (2.0 * as_linear_map(rows)).tight == pytest.approx(4.0, rel=1e-14)
    assert as_linear_map(rows).T.tight is None
    assert Convolution([0.0, 1.0, 0.0], 5).tight == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(8))
def test_large_norms_are_bounded_from_above_and_nearly_met(seed):
    own = np.random.default_rng(seed)
    kind = seed % 4
    if kind == 0:
        matrix = own.standard_normal((500, 700))
    elif kind == 1:
        matrix = sparse.random_array((2000, 3000), density=0.003, rng=own, format="csr")
    elif kind == 2:  # one direction that a random start hardly sees
        matrix = sparse.diags_array(np.r_[1.02, np.ones(899)]).tocsr()
    else:
        matrix = sparse.random_array((900, 800), density=0.01, rng=own, format="csr")
        matrix.data -= 0.5
    true = np.linalg.norm(matrix.toarray() if sparse.issparse(matrix) else matrix, 2)
    bound = spectral_norm_bound(matrix)
    assert true <= bound <= 1.02 * true


def test_power_iterations_would_have_been_below():
    shortfalls = []
    for seed in range(20):
        own = np.random.default_rng(seed)
        matrix, v = own.standard_normal((60, 60)), own.standard_normal(60)
        for _ in range(20):
            v = matrix.T @ (matrix @ (v / np.linalg.norm(v)))
        shortfalls.append(1 - np.sqrt(np.linalg.norm(v)) / np.linalg.norm(matrix, 2))
    assert max(shortfalls) > 0.01


def test_zero_and_empty_rows():
    assert as_linear_map(np.zeros((3, 4))).norm == 0.0
    assert as_linear_map(sparse.csr_array((500, 600))).norm == 0.0
    assert FiniteDifferences((1, 1)).norm <= 1e-15


@pytest.mark.parametrize("name", ["dense", "differences 2-D", "convolution 2-D", "sampling"])
def test_single_precision_is_kept(name):
    linear = MAPS[name]
    if name == "dense":
        linear = as_linear_map(A.astype(np.float32))
    if name == "convolution 2-D":
        linear = Convolution(np.ones((2, 2), dtype=np.float32), (6, 5))
    x = rng.standard_normal(linear.shape_in).astype(np.float32)
    assert linear.apply(x).dtype == np.float32
    assert linear.adjoint(linear.apply(x)).dtype == np.float32


def test_gram_inverse_of_a_convolution():
    blur = MAPS["convolution 2-D"]
    x = rng.standard_normal((6, 5))
    y = blur.gram_inverse(3.0)(x)
    np.testing.assert_allclose(y + 3.0 * blur.adjoint(blur.apply(y)), x, atol=1e-12)


def test_fourier_of_a_full_mask_is_an_isometry_and_complex_arrays_convert():
    full = SubsampledFourier(np.ones((4, 5), dtype=bool), complex_input=True)
    z = rng.standard_normal((4, 5)) + 1j * rng.standard_normal((4, 5))
    x = full.from_complex(z)
    np.testing.assert_array_equal(full.to_complex(x), z)
    np.testing.assert_allclose(full.to_complex(full.apply(x)).reshape(4, 5), np.fft.fft2(z, norm="ortho"), atol=1e-12)


def test_conjugate_gradients_with_and_without_a_preconditioner():
    matrix = A.T @ A + np.eye(5)
    right = rng.standard_normal(5)
    for diagonal in (None, np.diag(matrix)):
        x, _ = conjugate_gradients(lambda v: matrix @ v, right, 1e-13, 50, diagonal=diagonal)
        np.testing.assert_allclose(matrix @ x, right, atol=1e-10)
    x, _ = conjugate_gradients(lambda v: 2.0 * v, rng.standard_normal((3, 4)), 1e-13, 5)
    assert x.shape == (3, 4)
    assert conjugate_gradients(lambda v: v, np.zeros(3), 1e-9, 5)[1] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: as_linear_map(np.ones(3)), "A must be a matrix"),
        (lambda: as_linear_map("A"), "A must be a matrix"),
        (lambda: FiniteDifferences(1), "at least two"),
        (lambda: FiniteDifferences((3, 4), axes=2), "between -2 and 1"),
        (lambda: FiniteDifferences((3, 4), axes=(0, 0)), "different axes"),
        (lambda: Convolution(np.ones(5), 3), "larger"),
        (lambda: SubsampledFourier(np.zeros((2, 2), dtype=bool)), "at least one"),
        (lambda: SubsampledFourier(np.ones((2, 2))), "True and False"),
        (lambda: Sampling(3, [0, 0]), "different"),
        (lambda: Sampling(3, [3]), "between 0 and 2"),
        (lambda: Blocks([[A], [A, A]]), "same length"),
        (lambda: Blocks([A, np.ones((2, 4))]), "must agree in shape_in"),
        (lambda: as_linear_map(A) @ as_linear_map(A), "takes arrays"),
        (lambda: as_linear_map(np.array([[np.nan]])), "finite"),
        (lambda: as_linear_map(sparse.csr_array(np.array([[np.inf]]))), "finite"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
