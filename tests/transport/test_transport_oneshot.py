"""The one-call form, and what it chooses."""

from __future__ import annotations

import numpy as np
import pytest

from optlab.datasets import transport_family
from optlab.transport import PointCloudCost, Sinkhorn, oneshot, transport

A, B, C = transport_family("l2", 15, 12)


@pytest.mark.parametrize("method", ["auto", *oneshot.METHODS])
def test_every_name_gives_a_certified_plan(method):
    result = transport(A, B, C, method=method, tol=0.2)
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


def test_auto_leaves_the_exact_solver_when_the_matrix_is_large(monkeypatch):
    monkeypatch.setattr(oneshot, "EXACT_ENTRIES", 100)
    result = transport(A, B, PointCloudCost(np.linspace(0, 1, 15), np.linspace(0, 1, 12)), tol=1e-2)
    assert "15 x 12 entries are many" in result.message
    assert "needs no matrix" in result.message
    assert result.success
    assert "needs no matrix" not in transport(A, B, C, tol=1e-2).message


def test_a_method_object_and_options_of_solve():
    result = transport(A, B, C, Sinkhorn(0.05), max_iter=7, tol=None, record=7)
    assert result.n_iter == 7
    assert result.history["iteration"].tolist() == [0, 7]
    assert "Method:" not in result.message


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"method": "sinkhorm"}, ValueError, "did you mean 'sinkhorn'"),
        ({"tol": 0.0}, ValueError, "tol must be"),
        ({"regularization": -1}, ValueError, "regularization must be"),
        ({"max_itr": 3}, TypeError, "max_itr"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        transport(A, B, C, **arguments)
