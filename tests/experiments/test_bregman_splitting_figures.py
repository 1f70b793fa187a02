"""What single figures of the Bregman splitting paper are made of; what is asked of all of them: test_figures.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optlab.reproduce import discovery
from optlab.reproduce.figures import FIGURES

FOLDER = Path(__file__).parents[2] / "experiments" / "bregman_splitting"


def test_claims_follow_from_the_data_not_from_the_sentence(monkeypatch):
    """With the dual's operators swapped the equivalence figure must say that its claims do not hold."""
    module = discovery.load(str(FOLDER / "equivalence.py"))
    original = module.two_blocks

    def swapped(kernel, seed):
        primal, dual, other = original(kernel, seed)
        return primal, other, dual

    monkeypatch.setattr(module, "two_blocks", swapped)
    figure = FIGURES["bdrs-equivalence"]("smoke", 0)
    assert sum(claim.holds is False for claim in figure.claims) >= 5


def test_another_seed_is_another_figure():
    discovery.load(str(FOLDER / "nonmonotone.py"))
    one, other = (FIGURES["bdrs-nonmonotone"]("smoke", seed).tables()["data"]["divergence"] for seed in (0, 7))
    assert not np.array_equal(one, other)
