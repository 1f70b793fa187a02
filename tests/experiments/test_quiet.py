"""Figures and checks that once warned run without a warning, and say why what they do not test was not tested."""

import math

import pytest

from optlab.reproduce.discovery import discover
from optlab.reproduce.worker import execute

# overflow when a bound or an axis spans more than a float holds; a division of "not reached" by itself; a colour map
ONCE_LOUD = ("ngn-limit-cycle", "bdrs-beyond-ot")
_records = {}


def record(id):
    if id not in _records:
        (task,) = [task for task in discover() if task.id == id]
        _records[id], _ = execute(task, "smoke", 0)
    return _records[id]


@pytest.mark.parametrize("id", ONCE_LOUD)
@pytest.mark.filterwarnings("default")
def test_a_smoke_run_is_quiet(id, recwarn, capsys):
    found = record(id)
    assert found["status"] == "done", found.get("traceback")
    assert found["warnings"] == []
    assert list(recwarn) == []
    assert capsys.readouterr().err == ""


def test_what_does_not_converge_anyway_is_no_test_of_divergence():
    claims = {claim["sentence"]: claim for claim in record("bdrs-beyond-ot")["claims"]}
    (program,) = [claim for sentence, claim in claims.items() if "linear program" in sentence]
    assert program["holds"] is None
    assert program["reason"] == "not tested: nor does Douglas–Rachford in this budget"
    assert claims["Nor on the matrix game."]["holds"] is True  # where Douglas–Rachford does converge


def test_no_exponent_is_fitted_to_overhead():
    from optlab.benchmarks.transport.contenders import exponent

    assert math.isnan(exponent([500, 1000, 2000], [2.4, 1.9, 4.2]))
    assert math.isnan(exponent([500, 1000, 2000], [1.0, 4.0, 16.0]))  # one time only exceeds ten times the shortest
    sizes = [125, 250, 500, 1000, 2000]
    assert exponent(sizes, [0.01 + 1e-6 * n**2 for n in sizes]) == pytest.approx(2.0, abs=0.05)
