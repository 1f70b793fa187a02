"""The one-call form, and what it chooses."""

from __future__ import annotations

import numpy as np
import pytest

import optlab
from optlab.datasets import transport_family
from optlab.transport import PointCloudCost, Sinkhorn, oneshot, transport

A, B, C = transport_family("l2", 15, 12)


@pytest.mark.parametrize("method", ["auto", *oneshot.METHODS])
def test_every_name_gives_a_certified_plan(method):
    eps = 0.05 if method == "newton" else 0.0  # which is for regularised problems alone
    result = transport(A, B, C, method=method, regularization=eps, tol=0.2)
    assert result.solution.shape == (15, 12)
    assert result.success
    np.testing.assert_allclose(result.solution.dense().sum(1), A, atol=1e-12)


def test_auto_says_what_it_chose_and_why():
    exact = transport(A, B, C)
    assert "network simplex" in exact.message
    assert exact.metrics["relative_gap"] < 1e-9
    blurred = transport(A, B, C, regularization=0.01, tol=1e-8)
    assert "Bregman Douglas-Rachford" in blurred.message
    assert "regularised" in blurred.message
    assert blurred.success


def test_auto_goes_by_size_and_kind_of_cost(monkeypatch):
    for limit in ("CLOUD_ENTRIES", "DENSE_ENTRIES"):
        monkeypatch.setattr(oneshot, limit, 100)
    cloud = PointCloudCost(np.linspace(0, 1, 15), np.linspace(0, 1, 12))
    for cost, word in ((cloud, "no matrix in memory"), (C, "no copies")):
        result = transport(A, B, cost)
        assert "Method: exact" in result.message
        assert word in result.message
        assert result.success
        assert result.metrics["relative_gap"] <= 1e-9
    tied = transport(A, B, np.round(C))
    assert "few different values" in tied.message
    assert tied.success


def test_a_method_object_and_options_of_solve():
    result = transport(A, B, C, Sinkhorn(0.05), max_iter=7, tol=None, record=7)
    assert result.n_iter == 7
    assert result.history["iteration"].tolist() == [0, 7]
    assert "Method:" not in result.message


def test_a_method_that_is_done_does_not_ask_for_more_iterations():
    rng = np.random.default_rng(0)
    a, cost = np.full(30, 1 / 30), np.exp(rng.normal(0.0, 12.0, (30, 30)))
    for method in ("emd", "exact"):
        with pytest.warns(UserWarning, match="spread over"):
            result = transport(a, a, cost, method=method, tol=1e-300)
        assert result.status is optlab.Status.STALLED
        assert result.metrics["relative_gap"] > 0.0
        assert "further iterations change nothing" in result.message
    assert transport(A, B, C, Sinkhorn(0.05), max_iter=3).message.endswith("go on with x0=result.")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"method": "sinkhorm"}, ValueError, "did you mean 'sinkhorn'"),
        ({"tol": 0.0}, ValueError, "tol must be"),
        ({"tol": "small"}, ValueError, "tol must be"),
        ({"regularization": -1}, ValueError, "regularization must be"),
        ({"max_itr": 3}, TypeError, r"unexpected keyword argument 'max_itr' \(did you mean 'max_iter'"),
        ({"reg": 0.1}, TypeError, "did you mean 'regularization'"),
        ({"numItermax": 10}, TypeError, "did you mean 'max_iter'"),
        ({"method": 0.1}, TypeError, r"write regularization=0\.1"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        transport(A, B, C, **arguments)


def test_a_time_limit_is_kept_or_called_impossible_beforehand():
    rng = np.random.default_rng(0)
    arguments = np.full(5, 0.2), np.full(6, 1 / 6), rng.random((5, 6))
    with pytest.warns(RuntimeWarning, match="a time limit cannot stop NetworkSimplex"):
        transport(*arguments, method="emd", time_limit=60.0)
    result = transport(*arguments, time_limit=60.0)
    assert result.success
    assert "a time limit cannot stop the network simplex" in result.message
    assert type(result.method).__name__ == "ExactTransport"
