"""Histories: columns, files, plots."""

import io
import json
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import GradientDescent, NoisyDescent, Quadratic

import optlab
from optlab import History
from optlab.core import CheckpointError, files


def example():
    return optlab.solve(Quadratic(), GradientDescent(), max_iter=12, seed=0).history


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_files_round_trip_bit_for_bit(tmp_path, suffix):
    history = example()
    path = history.save(tmp_path / f"run{suffix}")
    back = History.load(path)
    assert back.equals(history, ignore=())
    assert back.primary_metric == "gap"
    assert back.metadata == history.metadata


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.floats(width=64), min_size=1, max_size=8))
def test_csv_keeps_every_float(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("h") / "h.csv"
    history = History({"iteration": range(len(values)), "gap": values})
    history.save(path)
    np.testing.assert_array_equal(History.load(path)["gap"], history["gap"])


def test_plain_csv_of_others_can_be_read(tmp_path):
    (tmp_path / "h.csv").write_text("iteration,gap\n0,1.5\n1,0.5\n")
    assert History.load(tmp_path / "h.csv")["gap"].tolist() == [1.5, 0.5]


def test_bad_files(tmp_path):
    history = example()
    with pytest.raises(ValueError, match="suffix"):
        history.save(tmp_path / "run.pkl")
    with pytest.raises(FileNotFoundError, match="no history at"):
        History.load(tmp_path / "none.npz")
    path = history.save(tmp_path / "run.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a readable optlab history"):
        History.load(path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="path"):
        history.save(tmp_path / "file" / "run.npz")


def test_a_pickle_is_never_loaded(tmp_path):
    np.savez(tmp_path / "evil.npz", header=np.array({"a": 1}, dtype=object))
    with pytest.raises(ValueError, match="not a readable"):
        History.load(tmp_path / "evil.npz")


def test_columns_are_read_only_and_unknown_ones_named():
    history = example()
    with pytest.raises(ValueError, match="read-only"):
        history["gap"][0] = 3
    with pytest.raises(KeyError, match="gap"):
        history["gup"]
    assert "gap" in history
    assert history.metrics == ("gap", "largest", "step_size")


def test_to_frame():
    frame = example().to_frame()
    assert list(frame.columns)[:3] == ["iteration", "time", "oracle_calls"]
    assert len(frame) == 13


def test_unequal_columns():
    with pytest.raises(ValueError, match="equal lengths"):
        History({"a": [1], "b": [1, 2]})


def test_plot_and_compare_draw_what_was_recorded():
    import matplotlib.pyplot as plt

    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=50)
    ax = result.history.plot()
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), result.history["gap"])
    assert ax.get_xlabel() == "iteration"
    assert ax.get_ylabel() == "gap"
    assert ax.get_yscale() == "log"
    again = result.history.plot("largest", against="time", ax=ax)
    assert again is ax
    both = optlab.compare({"a": result, "b": result.history}, metric="largest", against="oracle_calls")
    assert [t.get_text() for t in both.get_legend().get_texts()] == ["a", "b"]
    styles = {(line.get_color(), line.get_linestyle()) for line in both.lines}
    assert len(styles) == 2
    plt.close("all")


def test_compare_names_what_is_missing():
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=5)
    with pytest.raises(ValueError, match="history of 'a' has no column 'cost'"):
        optlab.compare({"a": result}, metric="cost")
    with pytest.raises(ValueError, match="non-empty dict"):
        optlab.compare({})
    with pytest.raises(TypeError, match=r"results\['a'\]"):
        optlab.compare({"a": 3})


# ---------------------------------------------------------------------- files that nobody trusts


def history_file(path, header, **columns):
    np.savez(path, header=np.array(header if isinstance(header, str) else json.dumps(header)), **columns)
    return path


COLUMNS = {"columns": ["a", "b"]}


@pytest.mark.parametrize(
    ("header", "columns", "what"),
    [
        ([1, 2], {}, "header must be an object, got list"),
        ("null", {}, "header must be an object"),
        ("{", {}, "Expecting"),
        ("[" * 100_000, {}, "RecursionError"),
        ({"metadata": [1]}, {"column:a": np.ones(2)}, "metadata must be a dict, got list"),
        ({"primary_metric": 3}, {"column:a": np.ones(2)}, "primary_metric must be a name"),
        ({"columns": 3}, {}, "columns are not a list of names"),
        ({"columns": ["a", 3]}, {}, "columns are not a list of names"),
        (COLUMNS, {"column:0": np.ones(2)}, "column:1"),
        (COLUMNS, {"column:0": np.ones(2), "column:1": np.ones(3)}, "equal lengths"),
        ({}, {"column:a": np.float64(1)}, "column 'a' must have 1 dimension"),
        ({}, {"column:a": np.ones((2, 2))}, "column 'a' must have 1 dimension"),
        ({}, {"column:a": np.ones(2, complex)}, "real numbers"),
        ({}, {"column:a": np.array(["x"])}, "real numbers"),
        ({}, {"column:a": np.zeros(2, "V8")}, "real numbers"),
    ],
)
def test_a_hostile_npz_is_a_value_error_that_says_what_is_wrong(tmp_path, header, columns, what):
    path = history_file(tmp_path / "h.npz", header, **columns)
    with pytest.raises(ValueError, match=rf"h\.npz' is not a readable optlab history: .*{what}"):
        History.load(path)


def test_objects_forged_shapes_and_bombs_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "h.npz"
    np.savez(path, header=np.array("{}"), **{"column:a": np.array([1, None], object)})
    with pytest.raises(ValueError, match="holds objects, which are never read") as caught:
        History.load(path)
    assert "allow_pickle" not in str(caught.value)

    good = io.BytesIO()
    np.save(good, np.ones(4))
    for shape, blanks in (("(10**14,),", 0), ("(99999999999999,)", 0), ("(-4,)", 0), ("(4, 4)", 0)):
        forged = good.getvalue().replace(b"(4,), }" + b" " * (len(shape) - 4 + blanks), f"{shape}, }}".encode())
        with zipfile.ZipFile(path, "w") as archive:
            header = io.BytesIO()
            np.save(header, np.array("{}"))
            archive.writestr("header.npy", header.getvalue())
            archive.writestr("column:a.npy", forged)
        with pytest.raises(ValueError, match="not a readable optlab history"):
            History.load(path)

    np.savez_compressed(path, header=np.array("{}"), **{"column:a": np.zeros(2**20)})
    assert len(History.load(path)) == 2**20  # what compresses well is still read
    monkeypatch.setattr(files, "UNPACKED_LIMIT", 2**20)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *args, **options: pytest.fail("was read"))
    with pytest.raises(ValueError, match=r"would unpack to 8\.39e\+06 bytes, more than"):
        History.load(path)


def test_a_parquet_bomb_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = History({"iteration": np.zeros(2**19)}).save(tmp_path / "h.parquet")
    assert path.stat().st_size < 2**18
    monkeypatch.setattr(files, "UNPACKED_LIMIT", 2**20)
    with pytest.raises(ValueError, match="would unpack to"):
        History.load(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not enough values"),
        ("a,b\n1\n", "row 0 has 1 values for 2 columns"),
        ("a,b\n1,2\n1,2,3\n", "row 1 has 3 values"),
        ("a,a\n1,2\n", "stands twice"),
        ("a\nx\n", "could not convert"),
        ("# optlab history [1]\na\n1\n", "header must be an object"),
        ('# optlab history {"metadata": 3}\na\n1\n', "metadata must be a dict"),
        ("# optlab history {\na\n1\n", "Expecting"),
        ('a\n"' + "1" * 200_000 + '"\n', "field larger"),
        ("a\n\ud800\n", "decode"),
    ],
)
def test_a_hostile_csv_is_a_value_error_that_says_what_is_wrong(tmp_path, text, what):
    path = tmp_path / "h.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=rf"h\.csv' is not a readable optlab history: .*{what}"):
        History.load(path)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
@pytest.mark.parametrize("names", [["a/b", "../up", "c:\\d"], ["", " x "], ["é\n", 'q"', "a,b", "header"]])
def test_any_name_of_a_column_round_trips(tmp_path, suffix, names):
    history = History({name: [1.0, float(i)] for i, name in enumerate(names)})
    back = History.load(history.save(tmp_path / f"h{suffix}"))
    assert back.columns == history.columns
    assert back.equals(history)


def test_histories_written_before_columns_were_numbered_are_read(tmp_path):
    path = history_file(tmp_path / "h.npz", {"primary_metric": "gap"}, **{"column:gap": np.array([1.0, 0.5])})
    assert History.load(path)["gap"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("values", [np.ones((2, 2)), np.float64(1), 3.0, "ab", ["a", "b"], np.ones(2, complex)])
def test_a_column_is_a_row_of_real_numbers(values):
    with pytest.raises((TypeError, ValueError), match="column 'gap' must"):
        History({"gap": values})


def test_columns_may_come_from_any_iterable():
    assert History({"a": range(2), "b": (x for x in (1, 2)), "c": {1: 0, 2: 0}})["b"].tolist() == [1, 2]


def damaged(content, rng):
    """The bytes with a few changes: flips, runs of noise, cuts, insertions, or numbers blown up."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(data) or 1))
        kind = int(rng.integers(5))
        if kind == 0 and data:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at : at + 16] = rng.bytes(int(rng.integers(1, 32)))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = b"9" * int(rng.integers(1, 12))
        else:
            data[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(data)


def fuzz_files(tmp_path, rounds, seed):
    """Damage valid files of all kinds; return how many were refused, and fail on anything but the named errors."""
    warnings.simplefilter("ignore")  # NumPy remarks on odd headers
    rng = np.random.default_rng(seed)
    run = tmp_path / "run.npz"
    optlab.solve(Quadratic(), NoisyDescent(), max_iter=12, seed=0, checkpoint=run)
    sources = {suffix: example().save(tmp_path / f"h{suffix}").read_bytes() for suffix in (".npz", ".csv", ".parquet")}
    sources["run"] = run.read_bytes()
    refused, words = dict.fromkeys(sources, 0), []
    for kind, content in sources.items():
        path = tmp_path / (f"bad{kind}" if kind.startswith(".") else "bad-run.npz")
        for _ in range(rounds):
            path.write_bytes(damaged(content, rng))
            promised: type[ValueError] = CheckpointError if kind == "run" else ValueError
            try:
                if kind == "run":
                    options = {"max_iter": 13, "seed": 0, "checkpoint": path, "resume": True}
                    optlab.solve(Quadratic(), NoisyDescent(), **options)
                else:
                    found = History.load(path)
                    assert all(found[name].ndim == 1 for name in found.columns)
                    assert not len(found) or len(found.last) == len(found.columns)
            except promised as error:
                refused[kind] += 1
                words.append(str(error))
    assert all("is not a readable optlab history" in text or "checkpoint" in text for text in words)
    return refused


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_raise_only_what_is_promised(tmp_path):
    refused = fuzz_files(tmp_path, 60, seed=1)
    assert all(count > 10 for count in refused.values()), refused


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_many_damaged_files_raise_only_what_is_promised(tmp_path):
    print(fuzz_files(tmp_path, 5000, seed=2))
