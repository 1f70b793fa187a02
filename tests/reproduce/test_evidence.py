"""The verdict rules: each kind can hold and can fail, and nothing undecidable passes for proven."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab import Evidence
from optlab.reproduce.evidence import KINDS

K = np.arange(1.0, 41.0)


@pytest.mark.parametrize(
    ("kind", "good", "bad", "options"),
    [
        ("upper_bound", 0.5 / K, np.where(K == 7, 2.0, 0.5) / K, {"bound": 1 / K}),
        ("tight", 1 / K, 0.5 / K, {"bound": 1 / K}),
        ("tight", 1 / K, 1.1 / K, {"bound": 1 / K}),
        ("linear_rate", 0.7**K, 0.9**K, {"bound": 0.8}),
        ("linear_rate", 0.8**K, 0.7**K, {"bound": 0.8, "two_sided": True}),
        ("monotone", 1 / K, np.where(K == 9, 1.0, 1 / K), {}),
        ("identity", np.full(40, 1e-13), np.where(K == 3, -1e-3, 0.0), {"slack": 1e-12}),
        ("equivalence", np.zeros(40), np.full(40, 1e-9), {"bound": 1e-10}),
        ("counterexample", np.where(K == 30, 2.0, 0.0), np.full(40, 0.9), {"bound": 1.0}),
        ("counterexample", K, np.where(K == 40, 0.0, 99.0), {"bound": 1.0, "at": "last"}),
        ("counterexample", K + 1, K, {"bound": 1.0, "at": "all"}),
    ],
)
def test_every_kind_can_hold_and_can_fail(kind, good, bad, options):
    assert Evidence(K, good, kind=kind, **options).verdict == "holds"
    assert Evidence(K, bad, kind=kind, **options).verdict == "violated"


@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_a_violation_and_no_data_is_inconclusive(kind):
    bound = 0.9 if kind == "linear_rate" else 10.0
    observed = np.where(K == 20, np.nan, 0.5**K)
    worst, none = ({"worst_case": w} if kind == "sandwich" else {} for w in (np.ones(40), []))
    assert Evidence(K, observed, bound, kind=kind, **worst).verdict == "violated"
    assert Evidence([], [], bound, kind=kind, **none).verdict == "inconclusive"


def test_a_counterexample_is_not_made_by_a_run_that_broke_down():
    assert Evidence([1, 2, 3], [1.0, 9.0, np.nan], 2.0, kind="counterexample").verdict == "violated"
    assert Evidence([1, 2, 3], [1.0, 9.0, np.inf], 2.0, kind="counterexample").verdict == "holds"


def test_slack_and_rtol_are_allowances_on_both_signs_of_the_bound():
    assert Evidence([1], [1.05], [1.0], slack=0.1).holds
    assert not Evidence([1], [1.05], [1.0], slack=0.01).holds
    assert Evidence([1], [-0.95], [-1.0], rtol=0.1).holds
    assert not Evidence([1], [-0.85], [-1.0], rtol=0.1).holds


def test_an_infinite_bound_says_nothing():
    assert Evidence([1, 2], [1.0, 2.0], math.inf).verdict == "inconclusive"
    assert Evidence([1, 2], [1.0, math.inf], [math.inf, 5.0]).verdict == "violated"


def test_tightness_names_the_worst_point():
    assert Evidence([1, 2, 3], [0.5, 0.9, 0.1], 1.0).tightness == (0.9, 2.0)
    assert Evidence([1, 2, 3], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]).tightness == (math.inf, 2.0)
    assert Evidence([1, 2, 3], [3.0, 1.0, 2.0], kind="monotone").tightness == (2.0, 3.0)
    rate = Evidence(K, 0.8**K, 0.8, kind="linear_rate")
    assert rate.fitted == pytest.approx(0.8, rel=1e-12)
    assert rate.tightness.ratio == pytest.approx(1.0)


def test_rate_is_fitted_after_the_transient_and_above_the_floor():
    observed = np.where(K < 15, 1.0, 0.5 ** (K - 15)) + 1e-8
    assert not Evidence(K, observed, 0.5, kind="linear_rate", transient=0.0, floor=2e-8).holds
    assert Evidence(K, observed, 0.5, kind="linear_rate", transient=0.45, floor=2e-7, slack=0.01).holds
    assert Evidence(K[:6], 0.5 ** K[:6], 0.5, kind="linear_rate").verdict == "inconclusive"  # too few points


def test_declared_verdicts_carry_the_reason_and_do_not_hold():
    shown = Evidence.not_applicable("not strongly convex", k=[1, 2], observed=[1.0, 5.0])
    assert (shown.verdict, shown.holds, shown.note) == ("not_applicable", False, "not strongly convex")
    assert Evidence.inconclusive("too few seeds").verdict == "inconclusive"


def test_expectation_has_three_outcomes():
    rng = np.random.default_rng(0)
    samples = 1.0 + rng.normal(size=(400, 3))  # standard error 0.05
    assert Evidence.expectation([1, 2, 3], samples, 2.0).verdict == "holds"
    assert Evidence.expectation([1, 2, 3], samples, 0.5).verdict == "violated"
    undecided = Evidence.expectation([1, 2, 3], samples, 1.0)
    assert undecided.verdict == "inconclusive"
    assert "straddles" in undecided.note
    with pytest.raises(ValueError, match="at least 2 repetitions"):
        Evidence.expectation([1], [[1.0]], 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "upperbound", "bound": 1.0}, "did you mean 'upper_bound'"),
        ({}, "needs a bound"),
        ({"bound": [1.0, 2.0]}, "shape of k"),
        ({"bound": math.nan}, "must not be NaN"),
        ({"bound": 1.0, "slack": -1}, "slack must be"),
        ({"bound": [0.5] * 40, "kind": "linear_rate"}, "claimed factor"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Evidence(K, 1 / K, **arguments)


def test_a_table_of_seeds_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"Evidence\.expectation"):
        Evidence(K, np.ones((3, 40)), 1.0)
    with pytest.raises(ValueError, match="observed must have shape"):
        Evidence(K, np.ones(39), 1.0)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.floats(-1e6, 1e6))
def test_upper_bound_and_counterexample_exclude_each_other(values, bound):
    k = np.arange(len(values))
    upper = Evidence(k, values, bound)
    counter = Evidence(k, values, bound, kind="counterexample")
    assert upper.holds != counter.holds


@pytest.mark.parametrize("kind", KINDS)
def test_plot_draws_every_kind_without_warnings(kind):
    observed = np.where(K < 5, 0.0, 0.5**K) if kind in ("identity", "equivalence") else 0.5**K
    worst = {"worst_case": np.full(K.size, 0.6)} if kind == "sandwich" else {}
    ax = Evidence(K, observed, 0.6 if kind == "linear_rate" else 1.0, kind=kind, ylabel="gap", **worst).plot()
    ax.figure.draw_without_rendering()
    assert ax.get_ylabel() == "gap"
    assert len(ax.get_lines()) >= 1


@pytest.mark.parametrize("values", [[], [math.nan] * 40, [math.inf] * 40, [0.0] * 40])
def test_plot_survives_what_cannot_be_drawn(values):
    k = K[: len(values)]
    Evidence(k, values, 1.0).plot().figure.draw_without_rendering()
    Evidence(k, values, kind="equivalence", slack=1e-9).plot().figure.draw_without_rendering()


def test_summary_is_plain_and_columns_have_one_length():
    evidence = Evidence([1, 2], [0.1, 0.2], 1.0, detail={"mu": np.float64(0.5), "note": "x"})
    summary = evidence.summary()
    assert summary["detail"] == {"mu": 0.5, "note": "x"}
    assert type(summary["detail"]["mu"]) is float
    assert {name: len(column) for name, column in evidence.columns().items()} == {"k": 2, "observed": 2, "bound": 2}


def test_values_over_all_of_the_range_of_floats_are_drawn_without_overflow():
    evidence = Evidence([1, 2, 3], [1e-300, 1.0, 1e299], [1e-299, 10.0, 1e300])
    assert evidence.plot().get_yscale() == "log"


@pytest.mark.parametrize(
    ("kind", "observed", "options", "margin"),
    [
        ("upper_bound", [0.5, 1.2], {"bound": 1.0}, 0.2),
        ("upper_bound", [0.5, 1.0], {"bound": 1.0}, 0.0),
        ("upper_bound", [-1.5], {"bound": [-2.0]}, 0.25),
        ("upper_bound", [1e-3], {"bound": 0.0, "slack": 1e-4}, 10.0),
        ("upper_bound", [1e-3], {"bound": 0.0}, math.inf),
        ("upper_bound", [math.nan], {"bound": 1.0}, math.inf),
        ("tight", [0.4, 0.6], {"bound": 1.0}, 0.4),
        ("tight", [0.4, 1.3], {"bound": 1.0}, 0.3),
        ("monotone", [4.0, 2.0, 3.0], {}, 0.5),
        ("identity", [1e-3], {"slack": 1e-4}, 9.0),
        ("identity", [1e-3], {}, math.inf),
        ("counterexample", [0.7, 0.9], {"bound": 1.0}, 0.1),
        ("counterexample", [1.7, 0.9], {"bound": 1.0, "at": "last"}, 0.1),
        ("counterexample", [0.2, 1.5], {"bound": 1.0, "at": "all"}, 0.8),
    ],
)
def test_the_margin_of_a_broken_claim(kind, observed, options, margin):
    assert Evidence(np.arange(len(observed)), observed, kind=kind, **options).margin == pytest.approx(margin)


def test_the_margin_of_a_rate_counts_iterations():
    assert Evidence(K, 0.9**K, 0.81, kind="linear_rate").margin == pytest.approx(1.0)
    assert Evidence(K, 1.1**K, 0.81, kind="linear_rate").margin == math.inf
    assert Evidence(K, 0.81**K, 0.9, kind="linear_rate", two_sided=True).margin == pytest.approx(1.0)


def test_a_sandwich():
    def sandwich(observed, worst, bound=1.0, **options):
        return Evidence([1, 2], observed, bound, kind="sandwich", worst_case=worst, **options)

    good = sandwich([0.1, 0.4], [0.5, 0.8])
    assert good.holds
    assert (good.bound_tightness, good.instance_hardness) == (0.8, 0.5)
    assert good.tightness == (0.8, 2.0)
    assert good.columns()["worst_case"].tolist() == [0.5, 0.8]
    beyond_the_class = sandwich([0.1, 0.9], [0.5, 0.8])
    assert beyond_the_class.verdict == "violated"
    assert beyond_the_class.margin == pytest.approx(0.125)
    beyond_the_bound = sandwich([0.1, 0.9], [0.5, 1.2])
    assert beyond_the_bound.verdict == "violated"
    assert beyond_the_bound.margin == pytest.approx(0.2)
    assert sandwich([0.1, 0.2], [0.5, math.inf]).margin == math.inf
    assert sandwich([0.1, 0.2], [0.5, math.nan]).verdict == "inconclusive"
    assert sandwich([0.1, 0.2], [1.1, math.nan]).verdict == "violated"
    assert sandwich([0.1, 0.2], [0.2, 0.25]).loose
    assert not good.loose
    with pytest.raises(ValueError, match="worst_case belongs to evidence of kind 'sandwich'"):
        Evidence([1], [1.0], 1.0, worst_case=[1.0])


def test_a_bound_far_above_everything_is_loose():
    assert Evidence([1, 2], [0.1, 0.29], 1.0).loose
    assert not Evidence([1, 2], [0.1, 0.31], 1.0).loose
    assert not Evidence([1], [0.1], kind="identity", slack=1.0).loose
    assert Evidence([1], [0.1], 1.0).summary()["loose"]


def test_a_control_that_breaks_the_claim_by_little_shows_nothing():
    from optlab.reproduce.theorems import Control

    little = Control("a little", lambda scale, seed: Evidence([1], [1.05], 1.0))()
    assert little.verdict == "inconclusive"
    assert "Broken by 0.05, less than 0.1" in little.note
    assert Control("enough", lambda scale, seed: Evidence([1], [1.15], 1.0))().verdict == "violated"
