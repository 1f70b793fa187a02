"""Every public problem is the same before and after use, in another process, and after pickling; so are results."""

import functools
import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import PROBLEMS

import optlab
from optlab.core.identity import fingerprint


@functools.cache
def fingerprints():
    """Of all problems, in this process."""
    return {name: fingerprint(problem) for name, problem in PROBLEMS.items()}


def use(problem):
    """Ask for everything that may be kept for later."""
    problem.default_start(np.random.default_rng(0))
    repr(problem)
    for name in dir(type(problem)):
        if not name.startswith("__") and not inspect.isfunction(getattr(type(problem), name)):
            try:
                getattr(problem, name)
            except (TypeError, ValueError, AttributeError, NotImplementedError):
                continue  # not every problem has every derived quantity


def test_using_and_pickling_a_problem_leaves_its_identity():
    for name, problem in PROBLEMS.items():
        use(problem)
        assert fingerprint(problem) == fingerprints()[name], name
        assert fingerprint(pickle.loads(pickle.dumps(problem))) == fingerprints()[name], name


def test_another_process_finds_the_same_identities():
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_problem_identity as test; print(test.fingerprints())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "17"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(fingerprints())


def one_of_each_family():
    from optlab.bregman import SquaredEuclidean
    from optlab.bregman.functions import Box, SquaredDistance
    from optlab.multiview import AlternatingProcrustes, LinkedComponents
    from optlab.policy import PolicyMirrorDescent
    from optlab.policy.environments import garnet
    from optlab.splitting import BregmanADMM, BregmanDouglasRachford, CompositeProblem, LinearlyConstrained
    from optlab.stochastic import NGN, LeastSquares
    from optlab.transport import OptimalTransport, Sinkhorn

    rng = np.random.default_rng(0)
    a, A = np.full(5, 0.2), rng.standard_normal((20, 3))
    box = CompositeProblem(Box(0.0, 1.0), SquaredDistance(rng.standard_normal(4)), SquaredEuclidean())
    blocks = LinearlyConstrained(
        SquaredDistance(np.ones(3)), SquaredDistance(np.zeros(2)), A[:2], A[2:4, :2], np.ones(2), SquaredEuclidean()
    )
    yield box, BregmanDouglasRachford()
    yield blocks, BregmanADMM()
    yield OptimalTransport(a, a, rng.random((5, 5)), regularization=0.1), Sinkhorn()
    yield LeastSquares(A, A @ np.ones(3)), NGN()
    yield garnet(6, 3, 2, discount=0.9, seed=0), PolicyMirrorDescent()
    views = [rng.standard_normal((12, 4)) for _ in range(2)]
    yield LinkedComponents([view - view.mean(0) for view in views], lam=1.0, max_rank=2), AlternatingProcrustes()


@pytest.mark.parametrize("family", range(6))
def test_a_result_can_be_pickled_and_gone_on_with(family):
    problem, method = list(one_of_each_family())[family]
    result = optlab.solve(problem, method, max_iter=5, seed=0)
    copy = pickle.loads(pickle.dumps(result))
    assert copy.history.equals(result.history, ignore=())
    assert fingerprint(copy.solution) == fingerprint(result.solution)
    more = optlab.solve(problem, method, x0=result, max_iter=5)
    assert optlab.solve(copy.problem, copy.method, x0=copy, max_iter=5).history.equals(more.history)
