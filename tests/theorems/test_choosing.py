"""Of many inequalities only the nearest to its bound is shown: a violated one must never be left out."""

import numpy as np
import pytest

from optlab.reproduce import Evidence
from optlab.reproduce.evidence_strength import nearness
from optlab.theorems.bregman_splitting._instances import worst_of
from optlab.theorems.dapo._instances import nearest
from optlab.theorems.ngn._instances import nearest_to_bound

# within the slack at a bound of zero, beside a bound that is broken by 40 %
ROUNDING, BROKEN, SLACK = ([5e-11], [0.0]), ([1.4], [1.0]), 1e-10


@pytest.mark.parametrize("order", [1, -1])
def test_rounding_at_a_bound_of_zero_does_not_hide_a_violation(order):
    cases = [("rounding", *ROUNDING), ("broken", *BROKEN)][::order]
    evidence = nearest(cases, SLACK)
    assert evidence.verdict == "violated"
    assert evidence.note == "shown: broken"
    assert set(evidence.detail) == {"rounding", "broken"}


def test_a_negative_bound_does_not_hide_its_violation():
    observed, bound = worst_of([([0.9], [1.0]), ([-0.5], [-1.0])], 1e-10)
    assert Evidence([0], observed, bound, slack=1e-10).verdict == "violated"


def test_one_violated_inequality_among_thousands_is_kept():
    n = 5000
    observed, bound = np.full(n, 1.0), np.full(n, 1.0)
    observed[7], bound[7] = 1.5e-10, 0.0  # beyond its slack, but far from 1 in units of it
    observed[9], bound[9] = -0.5, -1.0
    evidence = nearest_to_bound([observed], [bound], [np.arange(n)], slack=1e-10)
    assert evidence.verdict == "violated"
    assert {7.0, 9.0} <= set(evidence.k)
    assert evidence.k.size == 2000


def test_what_is_violated_ranks_above_what_is_not():
    rng = np.random.default_rng(0)
    bound = rng.choice([0.0, 1e-12, 1e-3, 1.0, 1e6, -1.0, np.inf], size=4000)
    observed = np.where(np.isfinite(bound), bound, 1.0) + rng.normal(size=4000) * 10.0 ** rng.uniform(-13, 3, size=4000)
    observed[:5] = np.nan
    rank = nearness(observed, bound, 1e-10)
    holds = np.array([Evidence([0], [o], [b], slack=1e-10).verdict != "violated" for o, b in zip(observed, bound)])
    assert 1000 < holds.sum() < 3900
    assert rank[holds].max() < rank[~holds].min()
