"""A method given a problem of the other kind says which method would run on it."""

import numpy as np
import pytest

import optlab
from optlab.bregman import SquaredEuclidean
from optlab.bregman.functions import SquaredDistance
from optlab.splitting import (
    AlternatingExponentialMultipliers,
    BregmanADMM,
    BregmanDouglasRachford,
    CompositeProblem,
    ExponentialMultipliers,
    LinearlyConstrained,
)

term = SquaredDistance(np.ones(2))
split = CompositeProblem(term, term, SquaredEuclidean())
blocks = LinearlyConstrained(term, term, np.eye(2), np.eye(2), np.ones(2), SquaredEuclidean())


@pytest.mark.parametrize("method", [BregmanADMM(), AlternatingExponentialMultipliers(), ExponentialMultipliers()])
def test_multiplier_methods_on_a_problem_to_split(method):
    with pytest.raises(TypeError, match=r"in two blocks.*CompositeProblem has no initial_blocks"):
        optlab.solve(split, method)


def test_splitting_a_problem_in_two_blocks():
    with pytest.raises(TypeError, match=r"has no initial_mirror\(\); on it run BregmanADMM"):
        optlab.solve(blocks, BregmanDouglasRachford())
    assert optlab.solve(blocks.dual(), BregmanDouglasRachford(), tol=1e-8).success
