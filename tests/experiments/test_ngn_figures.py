"""The figures on the non-negative Gauss-Newton step size: what they are made of."""

from pathlib import Path

import numpy as np
import pytest

from optlab.reproduce import discovery

ROOT = Path(__file__).resolve().parents[2] / "experiments" / "ngn"


@pytest.fixture(scope="module")
def modules():
    return {path.stem: discovery.load(str(path)) for path in sorted(ROOT.glob("[a-z]*.py"))}


def test_the_limit_cycle_is_that_of_the_closed_form(modules):
    toys = modules["toys"]
    assert toys.cycle(1.9) == 0.0
    assert float(toys.cycle(3.0)) == pytest.approx(1 / np.sqrt(5), rel=1e-12)
    assert toys.amplitudes(3.0, 200)[-1] == pytest.approx(1 / np.sqrt(5), rel=1e-9)
    assert toys.amplitudes(3.0, 200, lower_bound=toys.F_STAR)[-1] < 1e-6  # knowing the minimum removes it


def test_steps_needed_tell_divergence_from_slowness(modules):
    momentum = modules["momentum"]
    quartic, make = momentum.Quartic(), momentum.METHODS
    assert momentum.steps_needed(quartic, make["NGN-M"](10.0), [10.0], 1e-15, 400) == 268
    assert np.isnan(momentum.steps_needed(quartic, make["NGN-M"](10.0), [10.0], 1e-15, 200))
    assert momentum.steps_needed(quartic, make["heavy ball"](1.0), [10.0], 1e-15, 400) == np.inf


def test_compiled_functions_agree_with_their_formulas(modules):
    momentum = modules["momentum"]
    for problem, x0 in ((momentum.Quartic(), [1.5]), (momentum.Rosenbrock(), [-1.2, 1.0])):
        problem.check_gradient()
        x = np.array(x0)
        loss, slope = problem.losses(x, np.array([0]))[0], problem.gradient(x, np.array([0]))
        path = modules["toys"].trace(momentum.run(problem, momentum.METHODS["NGN-M"](1.0), 1, x0=x0))
        assert path["loss"][0] == pytest.approx(loss, rel=1e-14)
        assert path["gradient_norm"][0] == pytest.approx(np.linalg.norm(slope), rel=1e-14)


def test_binary_data_pass_through_a_libsvm_file(modules):
    problem = modules["sensitivity"].binary_problem(120, 3)
    assert problem.A.shape == (120, 123)
    assert set(np.unique(problem.A.data)) == {1.0}
    assert np.array_equal(np.diff(problem.A.indptr), np.full(120, 14))  # one of each group
    assert np.mean(problem.targets > 0) == pytest.approx(0.25, abs=0.02)
