"""The figures on joint linked component analysis: what they are made of."""

from pathlib import Path

import numpy as np
import pytest

from optlab.reproduce import discovery

ROOT = Path(__file__).resolve().parents[2] / "experiments" / "joint_lca"


@pytest.fixture(scope="module")
def modules():
    return {path.stem: discovery.load(str(path)) for path in sorted(ROOT.glob("[a-z]*.py"))}


def test_repetitions_in_workers_are_those_in_this_process(modules):
    repeat, one = modules["sequential"].repeat, modules["sequential"].one
    tasks = [("S", 50, 0), ("chimera", 50, 1)]
    assert repeat(one, tasks, parallel=False) == repeat(one, tasks)


def test_greedy_extraction_takes_the_chimera_though_the_truth_is_a_local_maximum(modules):
    sequential = modules["sequential"]
    problem, truth = sequential.population(sequential.make_linked_views("chimera", seed=3))
    nothing = np.zeros((problem.offsets[-1], 0))
    first = sequential.strongest(problem, np.random.default_rng(0))
    norm = problem.rank_one(first, nothing, 1)[1]
    true_norms = [problem.rank_one(np.concatenate([V[:, j] for V in truth]), nothing, 1)[1] for j in (0, 1)]
    assert norm > 1.05 * max(true_norms)
    overlap = np.array([np.abs(V.T @ u) for V, u in zip(truth, problem.split(first))])
    assert overlap == pytest.approx(np.round(overlap), abs=1e-6)  # one true component in every view ...
    assert set(np.argmax(overlap, axis=1)) == {0, 1}  # ... but not the same one


def test_strengths_on_other_samples_do_not_see_the_noise_of_their_own(modules):
    rng = np.random.default_rng(0)
    views = [rng.standard_normal((60, p)) for p in (20, 25, 30)]  # nothing in common
    fitted = modules["refit_bias"].joint(rank=1, scaling="none").fit(views).singular_values_
    assert modules["refit_bias"].cross_fitted(views, 1, rng) < 0.4 * fitted


def test_mouse_designs_choose_the_same_rank_with_every_random_state_or_say_so(modules):
    defaults = modules["defaults"]
    rows = [row for seed in (0, 1) for row in defaults.agreement("mouse, weak", seed, 10)]
    assert defaults.split_without_notice(rows) == 0
    told = [{**row, "rank": i % 2, "decided": True} for i, row in enumerate(rows)]
    assert defaults.split_without_notice(told) == 2


def test_captured_share(modules):
    captured, Z = modules["defaults"].captured, np.random.default_rng(0).standard_normal((50, 2))
    assert captured(Z @ [[1.0, 2.0], [0.0, 3.0]] + 1.0, Z) == pytest.approx(1.0)
    assert captured(Z[:, :0], Z) == 0.0
    assert captured(Z[:, :1], Z) == pytest.approx(0.5, abs=0.05)
    assert np.isnan(captured(Z, Z[:, :0]))


def test_mean_of_selects_rows(modules):
    rows = [{"a": 1, "b": 2.0}, {"a": 1, "b": 4.0}, {"a": 2, "b": 9.0}]
    mean_of = modules["sequential"].joint.__globals__["mean_of"]
    assert mean_of(rows, "b", a=1) == 3.0
    assert np.isnan(mean_of(rows, "b", a=3))
