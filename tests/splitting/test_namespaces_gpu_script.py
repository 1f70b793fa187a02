"""The prepared GPU script: what it says without a GPU, and its cases on array-api-strict."""

from __future__ import annotations

import pytest

from optlab.benchmarks import gpu


def test_without_a_gpu(capsys):
    if gpu.library("cupy")[0] is not None:
        pytest.skip("there is a GPU")
    assert gpu.main([]) == 2
    out = capsys.readouterr().out
    assert out.startswith("No GPU run: ")
    assert "Nothing was tested" in out


def test_the_cases_on_another_library(capsys):
    pytest.importorskip("array_api_strict")
    assert gpu.main(["--library", "array_api_strict", "-n", "50", "--size", "12", "--iterations", "20"]) == 0
    out = capsys.readouterr().out
    assert out.rstrip().endswith("all agree")
    assert len(out.splitlines()) == 10


def test_a_wrong_result_is_told(capsys, monkeypatch):
    pytest.importorskip("array_api_strict")
    monkeypatch.setattr(gpu, "AGREE", -1.0)
    assert gpu.main(["--library", "array_api_strict", "-n", "50", "--size", "12", "--iterations", "3"]) == 1
    assert "RESULTS DIFFER" in capsys.readouterr().out
