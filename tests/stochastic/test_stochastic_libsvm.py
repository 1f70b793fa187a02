"""Reading LIBSVM files: plain and compressed, and what malformed lines are answered with."""

import bz2
import gzip
import io

import numpy as np
import pytest

from optlab.stochastic import LogisticRegression, read_libsvm

TEXT = "+1 1:0.5 3:-2e1\n\n# a comment\n-1 2:1 # more\n2 qid:3\n"


def test_plain_and_compressed_files_are_the_same(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "a.gz").write_bytes(gzip.compress(TEXT.encode()))
    (tmp_path / "a.bz2").write_bytes(bz2.compress(TEXT.encode()))
    for name in ("a.txt", "a.gz", "a.bz2"):
        A, y = read_libsvm(tmp_path / name)
        assert A.toarray().tolist() == [[0.5, 0.0, -20.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
        assert y.tolist() == [1.0, -1.0, 2.0]
        assert A.indices.dtype == np.int32
    assert read_libsvm(tmp_path / "a.txt", n_features=7, dtype=np.float32)[0].shape == (3, 7)


def test_agrees_with_scikit_learn(tmp_path):
    sklearn = pytest.importorskip("sklearn.datasets")
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 6)) * (rng.random((20, 6)) < 0.5)
    y = np.where(rng.random(20) < 0.5, 1, -1)
    buffer = io.BytesIO()
    sklearn.dump_svmlight_file(X, y, buffer, zero_based=False)
    (tmp_path / "d.svm").write_bytes(buffer.getvalue())
    A, labels = read_libsvm(tmp_path / "d.svm", n_features=6)
    np.testing.assert_allclose(A.toarray(), X)
    assert LogisticRegression(A, labels).n_samples == 20


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x 1:1", "line 2: the label must be a number, got 'x'"),
        ("nan 1:1", "line 2: the label must be finite"),
        ("1 1:1 b", "line 2: expected index:value, got 'b'"),
        ("1 1:1 2:", "line 2: expected index:value, got '2:'"),
        ("1 1:1 2:1:1", "line 2: expected index:value, got '2:1:1'"),
        ("1 0:1", "line 2: indices count from 1, got '0:1'"),
        ("1 3:1 2:1", "line 2: indices must increase along a line, after 3, got '2:1'"),
        ("1 3:1 3:1", "line 2: indices must increase"),
        ("1 3:inf", "line 2: values must be finite"),
        ("1 9:1", "line 2: index 9 is above n_features=5"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    file = tmp_path / "bad.txt"
    file.write_text(f"1 1:1\n{line}\n")
    with pytest.raises(ValueError, match=message):
        read_libsvm(file, n_features=5)


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(ValueError, match="has no samples"):
        read_libsvm(tmp_path / "empty")
