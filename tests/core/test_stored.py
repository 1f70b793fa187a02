"""Results in files: nothing in a file is trusted, nothing is a pickle; solutions of all kinds: tests/conformance."""

import json
import warnings

import numpy as np
import pytest
from test_history import damaged
from toys import GradientDescent, Quadratic

import optlab
from optlab import Result


def test_a_loaded_result_starts_another_run():
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=5)
    again = optlab.solve(Quadratic(), GradientDescent(), x0=result, max_iter=1)
    np.testing.assert_allclose(again.solution, 0.9 * result.solution)


def test_the_solution_that_holds_its_problem_brings_it_along(tmp_path):
    from optlab.splitting import BregmanDouglasRachford
    from optlab.transport import OptimalTransport

    rng = np.random.default_rng(0)
    problem = OptimalTransport(rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(5)), rng.random((4, 5)))
    result = optlab.solve(problem, BregmanDouglasRachford(), max_iter=20)
    back = Result.load(result.save(tmp_path / "run.npz"))
    assert isinstance(back.problem, OptimalTransport)
    assert back.solution.problem is back.problem
    np.testing.assert_array_equal(back.solution.dense(), result.solution.dense())
    method = BregmanDouglasRachford()
    further = [optlab.solve(problem, method, x0=start, max_iter=5) for start in (back, result.solution)]
    assert further[0].history.equals(further[1].history)


class Own:
    def __init__(self):
        self.x = np.ones(3)

    def __matmul__(self, other):
        return 1.0


def test_what_cannot_be_written_is_named_and_leaves_no_file(tmp_path):
    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=1)
    result.solution = [np.ones(2), Own()]
    with pytest.raises(TypeError, match=r"solution\[1\]: .*Own cannot be written"):
        result.save(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="suffix"):
        result.save(tmp_path / "run.pkl")
    with pytest.raises(FileNotFoundError, match="no result at"):
        Result.load(tmp_path / "run.npz")
    assert not list(tmp_path.iterdir())


def forged(path, **changes):
    """The file with parts of its header replaced."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays.pop("header"))) | changes
    np.savez(path, header=np.array(json.dumps(header)), **arrays)
    return path


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"optlab result": 99}, "no result of format 1"),
        ({"solution": {"object": "os:system", "number": 0, "fields": {}}}, "not one of optlab's"),
        ({"solution": {"object": "subprocess:Popen", "number": 0, "fields": {}}}, "not one of optlab's"),
        ({"solution": {"object": "optlab.core.records.history:np.ndarray", "number": 0, "fields": {}}}, "no class"),
        ({"solution": {"object": "optlab.core.files:write_atomically", "number": 0, "fields": {}}}, "no class"),
        ({"solution": {"object": "optlab.nothing:X", "number": 0, "fields": {}}}, "optlab.nothing"),
        ({"solution": {"enum": "optlab.core.records.result:Status", "member": "HACKED"}}, "HACKED"),
        ({"solution": {"sparse": "system", "shape": [1], "parts": {}}}, "sparse must be one of"),
        ({"solution": {"again": 3}}, "3"),
        ({"solution": {"problem": True}}, "give problem="),
        ({"solution": {"dataclass": "os:Thing", "fields": {}}}, "os:Thing"),
        ({"status": "FINE"}, "FINE"),
        ({"metrics": [1]}, "items"),
        ({"columns": 3}, "not a list of names"),
    ],
)
def test_a_forged_file_is_a_value_error_that_says_what_is_wrong(tmp_path, changes, what):
    path = optlab.solve(Quadratic(), GradientDescent(), max_iter=2).save(tmp_path / "run.npz")
    with pytest.raises(ValueError, match=rf"run\.npz' is not a readable optlab result: .*{what}"):
        Result.load(forged(path, **changes))


def test_a_sparse_solution_with_indices_out_of_range_is_refused(tmp_path):
    import scipy.sparse

    result = optlab.solve(Quadratic(), GradientDescent(), max_iter=1)
    for kind in ("csr_array", "csc_array", "coo_array", "csr_matrix"):
        result.solution = getattr(scipy.sparse, kind)(np.eye(3))
        back = Result.load(result.save(tmp_path / "run.npz")).solution
        assert type(back) is type(result.solution)
        np.testing.assert_array_equal(back.toarray(), np.eye(3))
    result.solution = scipy.sparse.csr_array(np.eye(3))
    path = result.save(tmp_path / "run.npz")
    with np.load(path) as file:
        arrays = dict(file)
    name = next(n for n, a in arrays.items() if a.dtype.kind == "i" and len(a) == 3)
    arrays[name] = arrays[name] + 100
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="not a readable optlab result"):
        Result.load(path)


def test_damaged_files_raise_only_what_is_promised(tmp_path):
    warnings.simplefilter("ignore")  # NumPy remarks on odd headers
    rng = np.random.default_rng(3)
    content = optlab.solve(Quadratic(), GradientDescent(), max_iter=5).save(tmp_path / "run.npz").read_bytes()
    path, refused = tmp_path / "bad.npz", 0
    for _ in range(60):
        path.write_bytes(damaged(content, rng))
        try:
            Result.load(path)
        except ValueError as error:
            refused += "is not a readable optlab result" in str(error)
    assert refused > 20
