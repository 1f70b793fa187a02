"""Step-size schedules and their validation."""

from __future__ import annotations

import numpy as np
import pytest

from optlab.schedules import step_size_at
from optlab.splitting import BregmanADMM, BregmanDouglasRachford, BregmanPeacemanRachford, Constant, Geometric


def test_geometric_grows_to_its_maximum_and_stays_there():
    schedule = Geometric(start=0.5, growth=1.1, maximum=2.0)
    values = [schedule(k) for k in range(40)]
    assert values[0] == 0.5
    np.testing.assert_allclose(np.diff(np.log(values[:14])), np.log(1.1))
    assert values[-1] == 2.0 == max(values)


def test_geometric_does_not_overflow_late_in_a_run():
    assert Geometric(1.0, growth=2.0)(10**9) == 1e12


def test_relative_schedules_scale_with_the_problem():
    assert step_size_at(Geometric(3.0, 1.0, 3.0, relative=True), 5, 0.25) == 0.75
    assert step_size_at(Constant(3.0), 5, 0.25) == 3.0
    assert step_size_at(None, 5, 0.25) == 0.25


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("method", [BregmanDouglasRachford, BregmanPeacemanRachford, BregmanADMM, Constant, Geometric])
def test_step_sizes_must_be_positive_and_finite(method, bad):
    with pytest.raises(ValueError, match="must be a number above 0"):
        method(bad)


@pytest.mark.parametrize("bad", ["1", True, [1.0]])
def test_step_sizes_must_be_numbers(bad):
    with pytest.raises(TypeError, match="step_size"):
        BregmanDouglasRachford(step_size=bad)


def test_a_schedule_that_shrinks_or_a_maximum_below_the_start_is_refused():
    with pytest.raises(ValueError, match="growth must be a number at least 1"):
        Geometric(1.0, growth=0.9)
    with pytest.raises(ValueError, match="maximum must be a number at least 2"):
        Geometric(2.0, maximum=1.0)


def test_a_callable_is_checked_where_it_goes_wrong():
    with pytest.raises(ValueError, match=r"step_size\(3\) must be a number above 0"):
        step_size_at(lambda k: 1.0 - k / 3, 3, 1.0)


@pytest.mark.parametrize("bad", [0.0, -0.5, 2.1, float("nan")])
def test_relaxation_must_lie_in_0_2(bad):
    with pytest.raises(ValueError, match="relaxation"):
        BregmanDouglasRachford(relaxation=bad)
