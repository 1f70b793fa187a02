"""Hostile arguments to everything public end in a result or a clear error: raw ones stay below one in a hundred."""

import pytest
from fuzzer import fuzz, outcome


def _text(report):
    return "\n".join(f"{name}: {texts[0]}" for name, texts in report.raw.items())


def test_a_slice_of_the_fuzz():
    report = fuzz(1500)
    assert report.calls > 1000
    assert report.counts["slow"] == 0
    assert report.rate < 0.01, _text(report)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_the_whole_fuzz(seed):
    report = fuzz(20_000, seed)
    assert report.rate < 0.01, _text(report)


def test_the_fuzzer_tells_raw_from_clear():
    import optlab

    def index():
        [][0]

    assert outcome(index)[0] == "raw"
    assert outcome(lambda: optlab.solve(1, 2))[0] == "clear"
    assert outcome(lambda: optlab.solve(1, 2, nonsense=3))[0] == "clear"
    assert outcome(lambda: 1)[0] == "result"
