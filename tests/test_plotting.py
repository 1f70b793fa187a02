"""The house style: leaves the caller's settings alone, writes stable files, keeps labels apart."""

import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from optlab import plotting


def _axes(**options):
    return Figure(figsize=(4, 3), layout="constrained").subplots(**options)


def test_the_callers_settings_come_back():
    before = dict(matplotlib.rcParams), matplotlib.get_backend()
    with plotting.house_style():
        assert matplotlib.rcParams["axes.spines.top"] is False
    assert (dict(matplotlib.rcParams), matplotlib.get_backend()) == before


def test_neighbouring_colours_differ_in_grey():
    grey = [float(np.dot([0.2126, 0.7152, 0.0722], to_rgb(color))) for color in plotting.PALETTE]
    assert all(abs(a - b) > 0.12 for a, b in itertools.pairwise(grey))


def test_styles_of_a_cycle_are_all_different():
    looks = {(s["color"], s["linestyle"], s["marker"]) for s in map(plotting.style, range(8))}
    assert len(looks) == 8
    assert plotting.style(8)["color"] == plotting.style(0)["color"]


def test_saved_files_have_the_same_bytes_and_no_leftovers(tmp_path):
    def draw():
        with plotting.house_style():
            ax = _axes()
            ax.plot([1, 2, 3])
        return plotting.save(ax.figure, tmp_path / "deep" / "gamma-0.1", formats=("png", "pdf", "svg"))

    first = {path: path.read_bytes() for path in draw()}
    assert [path.name for path in first] == ["gamma-0.1.png", "gamma-0.1.pdf", "gamma-0.1.svg"]
    assert {path: path.read_bytes() for path in draw()} == first
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == sorted(p.name for p in first)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    ax = _axes()
    ax.plot([1, 2])
    (old,) = plotting.save(ax.figure, tmp_path / "a", formats=("png",))
    content = old.read_bytes()
    ax.set_title(r"$\undefined$")
    with pytest.raises(ValueError, match="undefined"):
        plotting.save(ax.figure, tmp_path / "a", formats=("png",))
    assert old.read_bytes() == content
    assert list(tmp_path.iterdir()) == [old]
    with pytest.raises(ValueError, match="format must be one of"):
        plotting.save(ax.figure, tmp_path / "a", formats=("gif",))


def test_labels_at_line_ends_are_kept_apart():
    ax = _axes()
    for i in range(5):
        ax.plot([0, 1], [0, 1 + 1e-4 * i], label=f"line {i}")
    assert plotting.label_lines(ax) == "labels"
    ax.figure.draw_without_rendering()
    boxes = sorted((t.get_window_extent() for t in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 5
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))
    assert [t.get_color() for t in ax.texts] == [line.get_color() for line in ax.get_lines()]


@pytest.mark.parametrize("case", ["too many", "crowded inside", "nothing to see"])
def test_labels_fall_back_to_a_legend(case):
    ax = _axes()
    if case == "too many":
        for i in range(9):
            ax.plot([0, 1], [0, i], label=str(i))
    elif case == "crowded inside":
        ax.set_xlim(0, 10)
        for i in range(3):
            ax.plot([0, 1], [0, 1], label=f"the same end {i}")
    else:
        ax.plot([0, 1], [np.nan, np.nan], label="nan")
    assert plotting.label_lines(ax) == "legend"
    assert ax.get_legend() is not None


def test_lines_without_labels_are_left_alone():
    ax = _axes()
    ax.plot([0, 1])
    assert plotting.label_lines(ax) == "nothing"
    assert ax.get_legend() is None


@pytest.mark.parametrize(("low", "high"), [(1e-14, 1.0), (0.5, 8.0), (1.0, 1.2), (1e-3, 1.0)])
def test_log_axes_have_a_few_ticks(low, high):
    ax = _axes()
    ax.plot([1, 2], [low, high])
    plotting.log_axes(ax, "y")
    ax.figure.draw_without_rendering()
    bottom, top = ax.get_ylim()
    labelled = [t for t in ax.get_yticklabels() if t.get_text() and bottom <= t.get_position()[1] <= top]
    assert 1 <= len(labelled) <= 9
    with pytest.raises(ValueError, match="which must be"):
        plotting.log_axes(ax, "z")


def test_bands_and_theory_lines():
    ax = _axes()
    line = plotting.seed_band(ax, [1, 2], [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]], label="median")
    assert line.get_ydata().tolist() == [3.0, 4.0]
    assert plotting.theory_line(ax, [1, 2], 0.5).get_ydata().tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="samples must have shape"):
        plotting.seed_band(ax, [1, 2, 3], np.ones((4, 2)))


def test_axes_over_all_of_the_range_of_floats_are_drawn_without_overflow():
    ax = Figure().subplots()
    ax.plot([1, 2, 3], [1e-200, 1.0, 1e200])
    plotting.log_axes(ax, "y")
    ax.figure.draw_without_rendering()
    assert any(label.get_text() for label in ax.get_yticklabels())


def test_ticks_of_logarithmic_axes_are_plain_text():
    for limits, expected in (((1e-6, 1.0), "10⁻³"), ((1.0, 6.0), "2"), ((1e-9, 5e-9), "2×10⁻⁹")):
        ax = Figure().subplots()
        ax.plot([1, 2], limits)
        plotting.log_axes(ax, "y")
        ax.figure.draw_without_rendering()
        labels = {label.get_text() for label in ax.get_yticklabels()}
        assert expected in labels
        assert not any("$" in label for label in labels)
