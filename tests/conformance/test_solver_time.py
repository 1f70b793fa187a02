"""Solver time where nothing has run before: what is compiled first must not be charged to whoever runs first."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json
import sys
import numpy as np
import optlab
from optlab.policy import MDP, PolicyMirrorDescent
from optlab.splitting import BregmanDouglasRachford
from optlab.stochastic import NGN, SAGA, LogisticRegression
from optlab.transport import OptimalTransport, Sinkhorn
from optlab.datasets import transport_family

rng = np.random.default_rng(0)
A = rng.standard_normal((500, 20))
finite_sum = LogisticRegression(A, np.sign(A[:, 0] + 0.1), l2=0.01)
mdp = MDP(rng.dirichlet(np.ones(100), size=(100, 4)), rng.random((100, 4)), 0.9)
transport = OptimalTransport(*transport_family("gauss2d", 100))
problem, method, n = {
    "BregmanDouglasRachford": (transport, BregmanDouglasRachford(), 100),
    "Sinkhorn": (transport, Sinkhorn(regularization=0.002), 100),
    "NGN": (finite_sum, NGN(), 20_000),
    "SAGA": (finite_sum, SAGA(), 20_000),
    "PolicyMirrorDescent": (mdp, PolicyMirrorDescent(), 20),
}[sys.argv[1]]
# a limit that the compiler alone would use up
runs = [optlab.solve(problem, method, max_iter=n, time_limit=2.0, seed=0, progress=False) for _ in range(2)]
print(json.dumps([[run.n_iter, run.solve_time, run.setup_time] for run in runs]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BregmanDouglasRachford", "Sinkhorn", "NGN", "SAGA", "PolicyMirrorDescent"])
def test_the_first_run_takes_no_longer_than_the_second(tmp_path, name):
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], env=env, capture_output=True, text=True, check=True)
    (n, first, setup), (again, second, prepared) = json.loads(done.stdout)
    assert n == again
    assert setup > 0.5, "nothing was compiled: this tests nothing"
    assert prepared < 0.1
    assert first < 3 * second + 0.1, "of half a second and more"
