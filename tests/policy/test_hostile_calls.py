"""One argument of a public call replaced by a hostile value: what policy raises says what is wrong."""

import hostile_calls
import pytest


def test_hostile_arguments_get_clear_errors():
    counts, raw = hostile_calls.main(stride=9, offset=4, show=False)
    assert counts["clear"] > 800
    assert counts["raw"] <= 0.01 * sum(counts.values()), "\n".join(raw)


@pytest.mark.slow
def test_hostile_arguments_get_clear_errors_all_of_them():
    counts, raw = hostile_calls.main(show=False)
    assert counts["raw"] <= 0.01 * sum(counts.values()), "\n".join(raw)
