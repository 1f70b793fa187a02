"""Results of every public problem in files: whatever a solution is, it comes back whole."""

import pickle

import pytest
from cases import PROBLEMS, methods

import optlab
from optlab import Result
from optlab.core.contract.capabilities import reason_against


def one_run_per_problem():
    """A short run on every public problem, by the first method that fits."""
    every = methods().values()
    for name, problem in PROBLEMS.items():
        method = next(m for m in every if reason_against(problem, m) is None)
        yield pytest.param(problem, method, id=name)


@pytest.mark.parametrize(("problem", "method"), [*one_run_per_problem()])
def test_every_kind_of_solution_comes_back_whole(tmp_path, problem, method):
    result = optlab.solve(problem, method, max_iter=3, seed=0)
    path = result.save(tmp_path / "run.npz")
    alone, known = Result.load(path), Result.load(path, problem=problem, method=method)
    for back in (alone, known):
        assert type(back.solution) is type(result.solution)
        assert problem.measure(back.solution) == problem.measure(result.solution)
        assert back.history.equals(result.history, ignore=())
        assert back.history.metadata == result.history.metadata
        for name in ("metrics", "status", "message", "n_iter", "solve_time", "setup_time"):
            assert getattr(back, name) == getattr(result, name)
    assert known.problem is problem
    assert known.method is method
    assert repr(known) == repr(result)
    assert repr(alone).splitlines()[1] == repr(result).splitlines()[1]  # the method, as text
    again = pickle.loads(pickle.dumps(result))
    assert type(again.solution) is type(result.solution)
    assert problem.measure(again.solution) == problem.measure(result.solution)
