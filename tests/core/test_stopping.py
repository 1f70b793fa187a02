"""Stopping rules by themselves: each is a pure function of a history."""

import math

import numpy as np
import pytest
from toys import NoisyDescent, Quadratic

import optlab
from optlab import History, Status, stopping


def history(gaps, *, times=None, **metadata):
    k = np.arange(len(gaps), dtype=float)
    columns = {"iteration": k, "time": k if times is None else times, "oracle_calls": k, "gap": gaps}
    return History(columns, primary_metric="gap", metadata=metadata)


def status(rule, recorded):
    verdict = rule.check(recorded)
    return None if verdict is None else verdict.status


def test_stalled_looks_at_the_best_value_not_at_the_last():
    """The best fell from 7 to 1 inside the window; that the last two are above 7 is no stalling."""
    rule = stopping.Stalled(window=3)
    assert status(rule, history([10.0, 9, 8, 7, 1, 8, 9])) is None
    assert status(rule, history([10.0, 9, 8, 7, 1, 8, 9, 8])) is Status.STALLED, "1 is now outside the window"


@pytest.mark.parametrize(("last", "expected"), [(0.91, Status.STALLED), (0.89, None)])
def test_stalled_counts_a_fraction_of_the_best(last, expected):
    assert status(stopping.Stalled(window=1, rtol=0.1), history([5.0, 1.0, last])) is expected


def test_stalled_needs_a_whole_window_and_takes_negative_metrics():
    rule = stopping.Stalled(window=3, rtol=1e-3)
    assert status(rule, history([1.0, 1, 1])) is None
    assert status(rule, history([1.0, 1, 1, 1])) is Status.STALLED
    assert status(rule, history([-1.0, -2, -3, -4])) is None
    assert status(rule, history([-4.0, -4, -4, -4.001])) is Status.STALLED


def test_time_limit_counts_from_where_this_call_began():
    rule = stopping.TimeLimit(5.0)
    assert status(rule, history([1.0, 1], times=[0.0, 5.0])) is Status.TIME_LIMIT
    assert status(rule, history([1.0, 1], times=[0.0, 4.9])) is None
    assert status(rule, history([1.0, 1], times=[0.0, 14.9], time_at_entry=10.0)) is None
    assert status(rule, history([1.0, 1], times=[0.0, 15.0], time_at_entry=10.0)) is Status.TIME_LIMIT


def test_a_resumed_run_has_its_own_time(tmp_path):
    method, options = NoisyDescent(sleep=0.01), {"record": 1, "seed": 1, "checkpoint": tmp_path / "run.npz"}
    first = optlab.solve(Quadratic(), method, max_iter=30, **options)
    assert first.solve_time > 0.3
    rule = stopping.TimeLimit(0.1)
    again = optlab.solve(Quadratic(), method, max_iter=10**6, stop=rule, resume=True, **options)
    assert again.status is Status.TIME_LIMIT
    assert again.n_iter >= 34
    assert 0.1 <= again.solve_time - first.solve_time < 0.3


@pytest.mark.parametrize("turned", [False, True])
def test_a_tolerance_and_another_rule_together_converge_only_if_the_tolerance_is_met(turned):
    tolerance, stalled = stopping.Tolerance("gap", 0.5), stopping.Stalled(window=2)
    both = stalled & tolerance if turned else tolerance & stalled
    assert status(both, history([1.0, 1, 1, 1])) is None, "stalled, but above the tolerance"
    assert status(both, history([1.0, 0.5, 0.25])) is None, "within it, but not stalled"
    assert status(both, history([0.4, 0.4, 0.4])) is Status.CONVERGED
    verdict = both.check(history([0.4, 0.4, 0.4]))
    assert "within its tolerance" in verdict.message
    assert "has not improved" in verdict.message


def test_rules_without_a_tolerance_never_mean_convergence():
    limit, stalled = stopping.TimeLimit(2.0), stopping.Stalled(window=1)
    for rule in (limit & stalled, limit | stalled):
        assert status(rule, history([1.0, 1, 1], times=[0.0, 2.0, 3.0])) in (Status.TIME_LIMIT, Status.STALLED)
    nested = (stopping.Tolerance("gap", 0.5) | limit) & stalled
    assert status(nested, history([1.0, 1, 1], times=[0.0, 2.0, 3.0])) is not Status.CONVERGED
    assert status(nested, history([0.5, 0.5, 0.5], times=[0.0, 0.1, 0.2])) is Status.CONVERGED


def test_any_of_hears_convergence_first():
    rule = stopping.TimeLimit(1.0) | stopping.Tolerance("gap", 0.5)
    assert status(rule, history([1.0, 0.5], times=[0.0, 2.0])) is Status.CONVERGED
    assert status(rule, history([1.0, 0.6], times=[0.0, 2.0])) is Status.TIME_LIMIT


@pytest.mark.parametrize("value", [math.nan, 0.50001])
def test_a_tolerance_includes_its_value_and_no_nan(value):
    rule = stopping.Tolerance(None, 0.5)
    assert status(rule, history([0.5])) is Status.CONVERGED
    assert status(rule, history([value])) is None
