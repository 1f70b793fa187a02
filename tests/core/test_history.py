"""Histories: columns, files, plots."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import GradientDescent, Quadratic

import optlab
from optlab import History


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
