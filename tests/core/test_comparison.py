"""`optlab.compare`: what it draws of every kind of run, bands over seeds, names, sizes, and whose settings win."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from toys import GradientDescent, NoisyDescent, Quadratic

import optlab
from optlab import History, Result, Status, plotting
from optlab.core.records.drawing import Curve, band


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def made(gap, x=None, status=Status.MAX_ITER):
    k = np.arange(len(gap), dtype=float) if x is None else np.asarray(x, dtype=float)
    history = History({"iteration": k, "time": k / 10, "oracle_calls": k, "gap": gap}, primary_metric="gap")
    return Result(None, {}, history, status, "", len(gap) - 1, 1.0, "method", "problem")


# ---------------------------------------------------------------------- what is drawn


def test_every_kind_of_run_is_drawn():
    import pandas

    gap = np.array([1.0, 0.5, 0.25])
    frame = pandas.DataFrame({"iteration": [0, 1, 2] * 2, "gap": [*gap, *(3 * gap)], "seed": [0, 0, 0, 1, 1, 1]})
    runs = {
        "result": made(gap),
        "history": made(gap).history,
        "array": gap,
        "list": gap.tolist(),
        "pair": ([0, 1, 2], gap),
        "columns": {"iteration": [0, 1, 2], "gap": gap},
        "frame": frame[frame.seed == 0][["iteration", "gap"]],
        "results": [made(gap), made(3 * gap)],
        "rows": np.array([gap, 3 * gap]),
        "seeds": frame,
    }
    ax = optlab.compare(runs, labels="legend")
    single, repeated = ax.lines[:7], ax.lines[7:]
    for line in single:
        np.testing.assert_array_equal(line.get_ydata(), gap)
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
    for line in repeated:
        np.testing.assert_allclose(line.get_ydata(), 2 * gap)
    assert len(ax.collections) == 3  # bands
    assert [t.get_text() for t in ax.get_legend().get_texts()] == list(runs)


@pytest.mark.parametrize(
    ("item", "error", "what"),
    [
        (3, TypeError, r"results\['a'\] must be a Result or a History, a list of them"),
        ("text", TypeError, r"results\['a'\]"),
        ([], TypeError, r"results\['a'\]"),
        (["x", "y"], TypeError, r"results\['a'\] must hold numbers"),
        (np.ones((2, 2, 2)), TypeError, r"results\['a'\]"),
        (([0, 1, 2], [1.0, 2.0]), ValueError, "equal lengths"),
        ([made([1.0]), 3], TypeError, r"results\['a'\]"),
    ],
)
def test_what_cannot_be_drawn_is_named(item, error, what):
    with pytest.raises(error, match=what):
        optlab.compare({"a": item}, metric="gap")


def test_a_frame_without_the_column_is_named():
    import pandas

    with pytest.raises(ValueError, match=r"results\['a'\] has no column 'gap'; it has k"):
        optlab.compare({"a": pandas.DataFrame({"k": [1]})}, metric="gap")


def test_a_study_is_drawn_with_a_panel_for_each_problem():
    study = optlab.study([GradientDescent(), NoisyDescent()], Quadratic(), seeds=4, max_iter=30)
    ax = optlab.compare(study)
    samples = np.array([r.history["gap"] for r in study.results["NoisyDescent"]])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), np.exp(np.quantile(np.log(samples), 0.5, axis=0)), rtol=0.05)
    two = optlab.study(NoisyDescent(), {"small": Quadratic(2), "large": Quadratic(9)}, seeds=2, max_iter=5)
    axes = optlab.compare(two, width="text")
    assert [a.get_title() or a.get_title("left") for a in axes] == ["small", "large"]
    assert axes[1].get_ylabel() == ""
    with pytest.raises(ValueError, match=r"select\(problem="):
        optlab.compare(two, ax=ax)
    beside = optlab.compare(study | {"mine": np.geomspace(1, 0.1, 31)}, metric="gap")
    assert len(beside.lines) == 3


# ---------------------------------------------------------------------- bands


def test_a_band_is_the_quantiles_where_all_are_recorded_alike():
    rng = np.random.default_rng(0)
    samples = rng.random((7, 5)) + 0.1
    x, found = band([Curve(np.arange(5.0), row) for row in samples], (0.1, 0.9), False, False)
    assert x.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(found, np.quantile(samples, [0.1, 0.5, 0.9], axis=0), rtol=1e-14)


def test_runs_recorded_at_different_times_are_interpolated_as_the_axis_shows_them():
    one, two = Curve(np.array([0.0, 2.0]), np.array([1.0, 1e-4])), Curve(np.array([0.0, 1.0, 2.0]), np.ones(3))
    x, (low, _, _) = band([one, two], (0.0, 1.0), False, True)
    assert x.tolist() == [0, 1, 2]
    assert low[1] == pytest.approx(1e-2)
    assert band([one, two], (0.0, 1.0), False, False)[1][0][1] == pytest.approx(0.50005)


def test_a_run_that_ended_keeps_its_value_and_one_that_diverged_counts_as_infinite():
    short = Curve(np.array([0.0, 1.0]), np.array([1.0, 0.5]))
    lost = Curve(np.array([0.0, 1.0]), np.array([1.0, 0.5]), lost=True)
    long = [Curve(np.arange(4.0), np.array([1.0, 0.5, 0.2, 0.1])) for _ in range(2)]
    x, (_, middle, high) = band([short, *long], (0.1, 0.9), False, False)
    assert x[-1] == 3
    assert middle[-1] == 0.1
    assert high[-1] == pytest.approx(np.quantile([0.5, 0.1, 0.1], 0.9))
    _, (_, middle, high) = band([lost, *long], (0.1, 0.9), False, False)
    assert np.isinf(high[-1])
    assert middle[-1] == 0.1
    x, _ = band([short, short, long[0]], (0.1, 0.9), False, False)
    assert x[-1] == 1  # where half of them have ended


def test_repetitions_may_be_in_any_order_and_some_of_them_empty():
    x, (_, middle, _) = band(
        [Curve(np.array([2.0, 0.0, 1.0]), np.array([3.0, 1.0, 2.0])), Curve(np.empty(0), np.empty(0))],
        (0.1, 0.9), False, False,
    )  # fmt: skip
    assert x.tolist() == [0, 1, 2]
    assert middle.tolist() == [1, 2, 3]
    nothing = History({"iteration": [], "gap": []}, primary_metric="gap")
    assert len(optlab.compare({"a": [nothing, nothing]}).lines[0].get_xdata()) == 0


def test_a_long_band_has_few_points():
    curves = [Curve(np.arange(1e5), np.linspace(1, 2, 100_000)) for _ in range(2)]
    for log in (False, True):
        x, found = band(curves, (0.1, 0.9), log, False)
        assert len(x) <= 300
        assert found.shape == (3, len(x))
        assert x[0] == 0
        assert x[-1] == 99_999


# ---------------------------------------------------------------------- axes


def test_zeros_stay_off_a_logarithmic_axis_and_negative_values_make_it_linear():
    assert optlab.compare({"a": [1.0, 0.1, 0.0]}, metric="gap").get_yscale() == "log"
    assert optlab.compare({"a": [1.0, -0.1]}, metric="gap").get_yscale() == "linear"


def test_long_runs_show_their_start_at_zero():
    ax = optlab.compare({"a": made(np.geomspace(1, 1e-6, 2001))})
    assert ax.get_xscale() == "symlog"
    ax.figure.draw_without_rendering()
    assert [t.get_text() for t in ax.get_xticklabels()][:4] == ["0", "1", "10", "100"]
    assert optlab.compare({"a": made(np.ones(2001))}, xscale="linear").get_xscale() == "linear"
    assert optlab.compare({"a": made(np.ones(20))}, xscale="log").get_xscale() == "log"
    assert optlab.compare({"a": made(np.ones(2001))}, against="time").get_xscale() == "linear"


@pytest.mark.parametrize(("seconds", "unit"), [(30.0, "s"), (0.01, "ms"), (5e-5, "µs")])
def test_times_need_no_powers_of_ten(seconds, unit):
    history = History({"iteration": [0, 1], "time": [0, seconds], "gap": [1, 0.5]}, primary_metric="gap")
    ax = optlab.compare({"a": history}, against="time")
    ax.figure.draw_without_rendering()
    assert ax.get_xlabel() == f"solver time ({unit})"
    assert ax.xaxis.get_offset_text().get_text() == ""
    assert ax.lines[0].get_xdata()[-1] == seconds


# ---------------------------------------------------------------------- names


def test_names_stand_at_the_lines_where_they_fit_and_in_a_legend_where_not():
    apart = optlab.compare({"a": [1.0, 0.1], "b": [1.0, 0.5]}, metric="gap")
    assert {t.get_text() for t in apart.texts} == {"a", "b"}
    assert apart.get_legend() is None
    together = optlab.compare({"a": [1.0, 0.1], "b": [1.0, 0.1]}, metric="gap")
    assert together.get_legend() is not None
    crossed = {"a long name": ([0, 1], [1.0, 0.5]), "b": ([0, 1, 2], [1.0, 0.5, 0.49])}
    assert optlab.compare(crossed, metric="gap").get_legend() is not None
    many = optlab.compare({str(i): [1.0, 0.9**i] for i in range(9)}, metric="gap")
    assert many.get_legend() is not None
    none = optlab.compare({"a": [1.0, 0.1]}, metric="gap", labels="none")
    assert none.get_legend() is None
    assert not none.texts
    with pytest.raises(ValueError, match="labels must be one of"):
        optlab.compare({"a": [1.0]}, metric="gap", labels="best")


def test_a_second_call_on_the_axes_names_each_line_once():
    ax = optlab.compare({"a": [1.0, 0.1]}, metric="gap")
    optlab.compare({"b": [1.0, 0.5]}, metric="gap", ax=ax)
    assert sorted(t.get_text() for t in ax.texts) == ["a", "b"]
    assert len({line.get_color() for line in ax.lines}) == 2


def test_axes_without_a_layout_engine_get_a_legend_inside():
    ax = plt.subplots()[1]
    optlab.compare({"a": [1.0, 0.1], "b": [1.0, 0.5]}, metric="gap", ax=ax)
    assert ax.get_legend() is not None


# ---------------------------------------------------------------------- whose settings win


def test_the_callers_settings_win_and_are_left_as_they_were():
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"font.family": ["serif"], "font.size": 6.0, "axes.spines.top": True}):
        ax = optlab.compare({"a": [1.0, 0.1]}, metric="gap")
        assert ax.yaxis.label.get_fontfamily() == ["serif"]
        assert ax.yaxis.label.get_size() == 6.0  # "medium", of the caller's size
    plain = optlab.compare({"a": [1.0, 0.1]}, metric="gap")
    assert plain.yaxis.label.get_size() == 9
    assert not plain.spines["top"].get_visible()
    assert dict(matplotlib.rcParams) == before


def test_the_callers_colours_win_and_are_told_apart_by_line_style():
    from cycler import cycler

    with matplotlib.rc_context({"axes.prop_cycle": cycler(color=["red", "blue"])}):
        ax = optlab.compare({"a": [1.0, 0.1], "b": [1.0, 0.5], "c": [1.0, 0.8]}, metric="gap")
    assert [line.get_color() for line in ax.lines] == ["red", "blue", "red"]
    assert len({line.get_linestyle() for line in ax.lines}) == 3
    with plt.style.context("ggplot"):
        assert optlab.compare({"a": [1.0]}, metric="gap").lines[0].get_color() == "#E24A33"


def test_sizes_of_a_paper():
    column = optlab.compare({"a": [1.0, 0.1]}, metric="gap", width="column")
    assert column.figure.get_size_inches()[0] == pytest.approx(3.35)
    assert column.xaxis.label.get_size() == 8
    text = optlab.compare({"a": [1.0, 0.1]}, metric="gap", width="text")
    assert text.figure.get_size_inches()[0] == pytest.approx(6.9)
    assert optlab.compare({"a": [1.0]}, metric="gap", width=2.5).figure.get_size_inches()[0] == 2.5
    with matplotlib.rc_context({"figure.figsize": (2.0, 1.5)}):
        assert optlab.compare({"a": [1.0]}, metric="gap").figure.get_size_inches().tolist() == [2.0, 1.5]
    for width in ("page", 0.1):
        with pytest.raises(ValueError, match="width must be"):
            optlab.compare({"a": [1.0]}, metric="gap", width=width)


def test_names_are_escaped_where_latex_sets_them():
    from optlab.core.records.drawing import in_words

    with matplotlib.rc_context({"text.usetex": True}):
        assert in_words("step_size & $\\gamma_0$") == r"step\_size \& $\gamma_0$"
    assert in_words("step_size") == "step_size"


def test_a_figure_is_saved_in_the_callers_style(tmp_path, monkeypatch):
    ax = optlab.compare({"a": [1.0, 0.1]}, metric="gap", width="column")
    paths = plotting.save(ax.figure, tmp_path / "figure", formats=("pdf", "svg", "png"))
    assert all(path.stat().st_size > 1000 for path in paths)
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # text as text, as the caller wants it
        (svg,) = plotting.save(ax.figure, tmp_path / "text", formats=("svg",))
    assert ">gap</text>" in svg.read_text()
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"figure in \.pgf needs xelatex, which is not installed"):
        plotting.save(ax.figure, tmp_path / "figure", formats=("pgf",))
