"""The contenders of the transport benches: certificates of all on one measure, and who is dropped when."""

from typing import ClassVar

import numpy as np
import pytest

import optlab
from optlab.benchmarks.transport import certified as transport_certified
from optlab.benchmarks.transport.certified import reached
from optlab.benchmarks.transport.contenders import (
    CONTENDERS,
    KINDS,
    Attempt,
    Contender,
    _entropic,
    certify,
    exact_transport,
    exponent,
    lazy_network_simplex,
    make_problem,
    network_simplex,
)
from optlab.transport import PeerSinkhorn

EXACT = ("ExactTransport", "transport (auto)", "ot.emd", "ot.lp.emd2_lazy", "HiGHS")


@pytest.mark.parametrize("kind", KINDS)
def test_exact_contenders_are_certified_and_agree(kind):
    problem = make_problem(kind, 36, 0)
    assert problem.shape == (36, 36)
    for name in EXACT:
        if not CONTENDERS[name].refusal(kind, 36):
            seconds, gap, _ = certify(CONTENDERS[name].solve(problem, 60.0))[-1]
            assert seconds > 0.0
            assert 0.0 <= gap <= 1e-9, name
    cost = exact_transport(problem)[1].metrics["cost"]
    assert network_simplex(problem)[1].cost == pytest.approx(cost, rel=1e-9)
    if kind != "random":
        assert lazy_network_simplex(problem)[1].cost == pytest.approx(cost, rel=1e-9)


@pytest.mark.parametrize("kind", ["10-D", "random"])
def test_an_entropic_attempt_is_certified_as_the_same_solver_is_elsewhere(kind):
    problem = make_problem(kind, 16, 0)
    gap = certify(CONTENDERS["ot.bregman.sinkhorn_log"].solve(problem, 5.0)[:1])[0][1]
    peer = PeerSinkhorn(regularization=1e-2 * problem.cost_range, tol=1e-5)
    assert gap == pytest.approx(optlab.solve(problem, peer, max_iter=1).metrics["relative_gap"], rel=0.05)
    assert gap > 1e-3  # plain Sinkhorn at 1/100 of the range does not solve the problem


def test_regularizations_fall_while_time_is_left():
    problem = make_problem("2-D", 5, 0)
    calls = []

    def solve(eps, iterations):
        calls.append((round(eps / problem.cost_range, 7), iterations))
        # 10 ms an iteration; at 1e-2 it converges after 50, at 1e-3 it takes all it may
        done = min(iterations, 50) if eps > 5e-3 * problem.cost_range else iterations
        return 0.01 * done, done, np.zeros(5), np.zeros(5)

    attempts = list(_entropic(problem, 2.0, solve))
    assert [attempt.seconds for attempt in attempts] == pytest.approx([0.5, 1.5], abs=0.02)
    assert attempts[1].note.startswith("regularization 0.001 of the range, 1")
    parts = [part for part, _ in calls]
    assert parts == [1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-4]  # loads; then a probe and a solve each, the last a probe only
    assert all(0.0 <= gap < np.inf for _, gap, _ in certify(attempts))


@pytest.mark.parametrize(("name", "package", "largest"), [("OTT-JAX", "ott", 1.05), ("GeomLoss", "geomloss", 20.0)])
@pytest.mark.parametrize("kind", ["10-D", "2-D Euclidean", "random"])
def test_potentials_of_peers_mean_the_same(name, package, largest, kind):
    """As a converged run of another package; GeomLoss does not run to convergence, so that it only comes near."""
    pytest.importorskip(package, reason="a peer outside the requirements")
    problem = make_problem(kind, 16, 0)
    gap = certify(CONTENDERS[name].solve(problem, 5.0)[:1])[0][1]
    peer = PeerSinkhorn(regularization=1e-2 * problem.cost_range, tol=1e-5)
    converged = optlab.solve(problem, peer, max_iter=1).metrics["relative_gap"]
    assert 0.95 * converged < gap < largest * converged


def test_who_is_not_tried():
    assert CONTENDERS["ot.lp.emd2_lazy"].refusal("random", 10) == "for points only"
    assert CONTENDERS["HiGHS"].refusal("2-D", 10_000) == "not tried above n = 256"
    assert Contender(lambda problem, limit: [], package="no_such_package").refusal("2-D", 10) == "not installed"
    assert CONTENDERS["ot.emd"].refusal("random", 10_000) == ""
    with pytest.raises(ValueError, match="kind must be one of"):
        make_problem("4-D", 10, 0)


def test_the_exponent_is_the_slope():
    assert exponent([1, 10, 20, 40], [0.1, 3.0, 12.0, 48.0]) == pytest.approx(2.0)


def test_nothing_reached_is_said_so():
    assert reached([]) == {
        "seconds to 1e-3": None,
        "seconds to 1e-6": None,
        "seconds to 1e-9": None,
        "smallest gap": None,
        "note": "no answer in the time",
    }
    assert reached([(1.0, np.nan, "")]) == reached([])
    assert reached([(1.0, np.nan, ""), (2.0, 0.1, "coarse")])["smallest gap"] == 0.1


class _Process:
    """Stands for a process: what it answers at each size."""

    answers: ClassVar[dict] = {}
    tried: ClassVar[list] = []

    def __init__(self, setup, timeout):
        compile(setup, "setup", "exec")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, statement, answer, timeout):
        n = int(statement.split("problems[")[1].split("]")[0])
        self.tried.append(n)
        result = self.answers[n]
        if isinstance(result, Exception):
            raise result
        return result, 1000


@pytest.mark.parametrize(
    ("second", "note"),
    [
        ([(2.0, 0.5, "")], "dropped: no gap of 1e-3 in 3 s at n = 20"),
        (TimeoutError("late"), "dropped: ended after 60 s at n = 20"),
        (RuntimeError("Traceback\nMemoryError"), "dropped: failed at n = 20"),
    ],
)
def test_a_contender_that_was_too_slow_is_dropped_from_larger_sizes(second, note, monkeypatch):
    monkeypatch.setattr(transport_certified, "FreshProcess", _Process)
    monkeypatch.setattr(_Process, "tried", [])
    monkeypatch.setattr(_Process, "answers", {10: [(1.0, 1e-4, "fine")], 20: second, 40: AssertionError()})
    contender = Contender(lambda problem, limit: [Attempt(0.0, lambda: 0.0)], at_once=isinstance(second, Exception))
    rows = transport_certified._grow("ot.emd", contender, "2-D", [10, 20, 40], 0, 3.0)
    assert _Process.tried == [10, 20]
    assert rows[0]["seconds to 1e-3"] == 1.0
    assert rows[0]["memory"] == 1000
    assert rows[2] == {"note": note}
    if isinstance(second, RuntimeError):
        assert rows[1]["note"] == "MemoryError"


def test_a_contender_that_cannot_start_leaves_the_others_alone():
    contender = Contender(lambda problem, limit: [])
    rows = transport_certified._grow("no such contender", contender, "2-D", [10, 20], 0, 3.0)
    assert rows == [{"note": "KeyError: 'no such contender'"}, {"note": "dropped: failed at n = 10"}]


@pytest.mark.slow  # everything is compiled
def test_every_contender_has_a_row_at_the_smallest_scale():
    rows = transport_certified.certified("smoke", 0)
    by_name = {row["name"].partition(": ")[2]: row for row in rows}
    last = by_name.pop("no result", {"note": ""})  # peers that are not installed
    assert all(name in by_name or name in last["note"] for name in CONTENDERS)
    for name in EXACT:
        assert by_name[name]["smallest gap"] <= 1e-9
        assert by_name[name]["over ours, 1e-9"] > 0
    assert by_name["transport (auto)"]["note"] == "took NetworkSimplex"


def test_rows_are_over_ours_and_those_not_run_are_one():
    ours = reached([(0.5, 1e-12, "")]) | {"memory": 100}
    peer = reached([(2.0, 1e-4, "slow")]) | {"memory": 400}
    rows = transport_certified._against_ours(
        {"ExactTransport": ours, "peer": peer, "one": {"note": "not installed"}, "two": {"note": "not installed"}},
        "2-D",
        9,
    )
    assert [row["name"] for row in rows] == ["2-D, n = 9: ExactTransport", "2-D, n = 9: peer", "2-D, n = 9: no result"]
    assert (rows[1]["over ours, 1e-3"], rows[1]["over ours, 1e-6"], rows[1]["memory over ours"]) == (4.0, None, 4.0)
    assert rows[2]["note"] == "one, two: not installed"
