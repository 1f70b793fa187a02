"""A slice of the kill campaign with every test run, all of it (300 signals) under the slow marker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the campaign forks")
SCRIPT = Path(__file__).parent / "kills.py"


def campaign(*arguments):
    """In a process of its own: pytest's has threads, which a fork would not take along."""
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_killed_runs_lose_nothing():
    campaign("--points", "6", "--seed", "1", "--cases", "splitting, functions", "multiview")


@pytest.mark.slow
def test_killed_runs_of_all_kinds_lose_nothing():
    campaign("--points", "300", "--seed", "0")
