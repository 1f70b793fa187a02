"""The small parts: validation, backend, citations, atomic files, import cost."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import optlab
from optlab.core.backend import namespace, to_numpy
from optlab.core.files import write_atomically
from optlab.core.validation import as_float_array, as_integer, as_number, one_of


def test_float32_is_kept_and_nothing_is_copied():
    for dtype in (np.float32, np.float64):
        array = np.ones((3, 2), dtype=dtype)
        assert as_float_array(array, "A") is array
    assert as_float_array([1, 2], "A").dtype == np.float64
    assert as_float_array(np.ones(2, dtype=np.float16), "A").dtype == np.float64


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        ([1, np.nan], {}, r"A must be finite, got nan at index \[1\]"),
        ([[1, 2], [3, -np.inf]], {}, r"A must be finite, got -inf at index \[1, 1\]"),
        ([1, -2], {"nonnegative": True}, r"A must be non-negative, got -2.0 at index \[1\]"),
        ([0.0, 1], {"positive": True}, r"A must be positive, got 0.0 at index \[0\]"),
        ([], {}, "A must not be empty"),
        ([[1.0]], {"ndim": 1}, r"A must have 1 dimension\(s\), got shape \(1, 1\)"),
        ([1.0, 2], {"shape": (3,)}, r"A must have shape \(3,\), got \(2,\)"),
        (["a"], {}, "A must hold real numbers"),
        ([1j], {}, "A must hold real numbers, got dtype complex128"),
        ("1", {}, "A must hold real numbers, got text, .*'1'.*convert it with astype"),
        ([1.0, None], {}, r"A must hold real numbers, got None at index \[1\]"),
        (None, {}, "A must hold real numbers, got None$"),
        ([[1.0, "x"]], {}, "A must hold real numbers, got text"),
        ([{}, 2], {}, r"A must hold real numbers, got dict at index \[0\]"),
        (np.array([1, 2], dtype=object), {}, "numbers as objects"),
        (scipy.sparse.eye(3, format="csr"), {}, r"A must be a dense array, got a sparse \w+; give its toarray\(\)"),
        (scipy.sparse.linalg.aslinearoperator(np.eye(3)), {}, "A must be a dense array, got a linear operator"),
        ([[1], [1, 2]], {}, "A must"),
        (np.ma.masked_array([1.0, 2.0], mask=[False, True]), {}, r"1 masked entries.*array.filled"),
    ],
)
def test_arrays(value, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        as_float_array(value, "A", **options)


def test_numbers():
    assert as_number("3" and 3, "x") == 3.0
    assert as_integer(1e4, "n") == 10_000
    assert as_integer(np.int64(3), "n") == 3
    for bad in (True, "3", None, [1]):
        with pytest.raises(TypeError, match="x must be a number"):
            as_number(bad, "x")
    with pytest.raises(ValueError, match="above 0 and below 1"):
        as_number(1.0, "x", above=0, below=1)
    with pytest.raises(ValueError, match="did you mean 'rows'"):
        one_of("row", "first", ["rows", "columns"])


def test_namespace():
    import array_api_strict

    assert namespace(1.0, [2.0]) is np
    assert namespace(array_api_strict.asarray([1.0])).__name__.startswith("array_api_strict")
    with pytest.raises(TypeError, match="mixture"):
        namespace(np.ones(1), array_api_strict.asarray([1.0]))
    assert isinstance(to_numpy(array_api_strict.asarray([1.0])), np.ndarray)


def test_cite():
    from optlab.core.citation import bibliography

    assert "2509.08739" in optlab.cite("ma2025bregman")
    assert all(entry.count("{") == entry.count("}") for entry in bibliography().values())
    with pytest.raises(ValueError, match="names no paper"):
        optlab.cite(object())
    with pytest.raises(ValueError, match="no bibliography entry"):
        optlab.cite("nobody2000")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_import_loads_nothing_slow():
    code = (
        "import sys, optlab, optlab.core; "
        "print([m for m in ('numba', 'matplotlib', 'cvxpy', 'ot', 'sklearn', 'pandas', 'tqdm') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_exported_name_resolves():
    for name in optlab.__all__:
        assert getattr(optlab, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = optlab.nothing


@pytest.mark.parametrize("value", [np.array(["rows", "columns"]), ["rows"], {"rows"}, 3, None, np.ones(2)])
def test_a_word_that_is_no_word_is_refused(value):
    with pytest.raises(ValueError, match="first must be one of 'rows', 'columns', got"):
        one_of(value, "first", ["rows", "columns"])


def test_a_word_in_capitals_is_recognised_and_refused_with_the_right_one():
    with pytest.raises(ValueError, match="did you mean 'rows'"):
        one_of("ROWS", "first", ["rows", "columns"])


@pytest.mark.parametrize("value", ["1", None, [1.0], np.array([1.0]), np.ones(3), 1j, {}, True])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(TypeError, match="sigma must be a number above 0, got"):
        as_number(value, "sigma", above=0)


def test_numbers_of_other_kinds_are_taken():
    assert [as_number(v, "x") for v in (np.float32(0.5), np.array(0.5), np.int64(2))] == [0.5, 0.5, 2.0]
    assert as_number(10**300, "x") == 1e300
    with pytest.raises(ValueError, match="x must be a number, got an integer too large"):
        as_number(10**400, "x")
