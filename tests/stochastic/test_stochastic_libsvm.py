"""Reading LIBSVM files: plain and compressed, and what malformed lines are answered with."""

import bz2
import gzip
import io
import re

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


BIG = "line 2: index {} is too large; 2147483647 columns are supported"


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        ("1 4294967296:1", {}, BIG.format(4294967296)),
        ("1 2147483648:1", {}, BIG.format(2147483648)),
        (f"1 {10**30}:1", {}, BIG.format(10**30)),
        ("1 1:1e300", {"dtype": np.float32}, "line 2: the value overflows float32, got '1:1e300'"),
        ("1 qid", {}, "line 2: expected index:value, got 'qid'"),
        ("1 qid5 1:1", {}, "line 2: expected index:value, got 'qid5'"),
        ("1 qids:5 1:1", {}, "line 2: expected index:value, got 'qids:5'"),
        ("1 1_0:1", {}, "line 2: expected index:value, got '1_0:1'"),
        ("1_0 1:1", {}, "line 2: the label must be a number, got '1_0'"),
        ("1 -1:1", {"zero_based": True}, "line 2: indices count from 0, got '-1:1'"),
        ("1 0:1", {}, "line 2: indices count from 1, got '0:1'; pass zero_based=True if they count from 0"),
        ("1 5:1", {"n_features": 5, "zero_based": True}, "line 2: index 5 is above n_features=5"),
        ("\udcff\udcfe", {}, "line 2: the label must be a number"),
    ],
)
def test_edges_are_named(tmp_path, line, options, message):
    content = f"1 1:1\n{line}\n".encode("utf-8", "surrogateescape")
    (tmp_path / "bad.gz").write_bytes(gzip.compress(content))
    for source in (tmp_path / "bad.gz", io.BytesIO(content)):
        with pytest.raises(ValueError, match=message):
            read_libsvm(source, **options)


def test_file_objects_and_indices_from_zero(tmp_path):
    content = b"1 qid:7 0:1 2:3\r\n-1 1:2 # qid\n"
    A, y = read_libsvm(io.BytesIO(content), zero_based=True, n_features=4, dtype=np.float32)
    assert A.toarray().tolist() == [[1.0, 0.0, 3.0, 0.0], [0.0, 2.0, 0.0, 0.0]]
    assert (A.dtype, A.indices.dtype, y.tolist()) == (np.float32, np.int32, [1.0, -1.0])
    assert y.flags.writeable
    assert A.data.flags.writeable
    A.data[0] = 2.0
    (tmp_path / "a").write_bytes(content)
    with open(tmp_path / "a") as text, pytest.raises(TypeError, match="must be open in binary mode"):
        read_libsvm(text)
    with open(tmp_path / "a", "rb") as file:
        assert read_libsvm(file, zero_based=True)[0].shape == (2, 3)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_damaged_archives_are_named(tmp_path, suffix):
    import lzma

    packed = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[suffix](TEXT.encode() * 50)
    file = tmp_path / f"cut.{suffix}"
    for content in (packed[:-12], b"no archive at all"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"cut\..* is truncated or damaged"):
            read_libsvm(file)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, "nonsense", object])
def test_types_that_would_lose_values_are_refused(tmp_path, dtype):
    (tmp_path / "a").write_text("1 1:1.7\n")
    with pytest.raises(TypeError, match="dtype must be float32 or float64"):
        read_libsvm(tmp_path / "a", dtype=dtype)
    with pytest.raises(TypeError, match="path must be a path or a binary file, got 3"):
        read_libsvm(3)


def test_damaged_text_is_read_or_its_line_is_named():
    rng = np.random.default_rng(0)
    tokens = [
        b"1",
        b"-1",
        b" ",
        b" ",
        b":",
        b"1:1",
        b"2:0.5",
        b"3:1e5",
        b"qid:1",
        b"#",
        b"\n",
        b"\n",
        b"\r\n",
        b"x",
        b"\xff",
        b"\x00",
    ]
    tokens += [
        b"nan",
        b"1e999",
        b"99999999999999999999",
        b"0:1",
        b"-2:1",
        b"_",
        b"1:1:1",
        b"+",
        b"\t",
        b"inf",
        b"0x1",
        b"",
    ]
    read, messages = 0, []
    for _ in range(3000):
        content = b"1 1:1\n" + b"".join(
            tokens[i] + b" " * (rng.random() < 0.5) for i in rng.integers(len(tokens), size=6)
        )
        try:
            A, y = read_libsvm(io.BytesIO(content), dtype=rng.choice([np.float32, np.float64]))
        except ValueError as error:
            messages.append(str(error))
        else:
            read += 1
            assert np.all(np.isfinite(A.data))
            assert A.shape[0] == len(y)
    assert read > 100
    assert [m for m in messages if not re.search(r"the file, line \d+: ", m)] == []


def test_the_strict_parser_reads_what_the_fast_one_reads(tmp_path):
    from optlab.stochastic.libsvm import _fast, _Parser

    rng = np.random.default_rng(1)
    lines = []
    for i in range(200):
        columns = np.flatnonzero(rng.random(30) < 0.2) + 1
        fields = " ".join(f"{c}:{rng.standard_normal():.17g}" for c in columns)
        lines.append(f"{rng.integers(3)} {f'qid:{i} ' if i % 3 else ''}{fields}{' # note_1' if i % 5 else ''}")
    content = "\n".join(lines).encode()
    fast = _fast(io.BytesIO(content), None, np.dtype(float), False)
    strict = _Parser("x", None, np.dtype(float), False).read(io.BytesIO(content))
    assert fast is not None
    np.testing.assert_array_equal(fast[1], strict[1])
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(fast[0], name), getattr(strict[0], name))
