"""What a caller gives stays as it is, whatever is called; what an object holds is its own and read-only."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import optlab
from optlab.bregman import EuclideanMap
from optlab.policy import (
    LQR,
    MDP,
    MLP,
    BlockFeatures,
    DualDivergence,
    FunctionPolicy,
    GaussianPolicy,
    HewerPolicyIteration,
    LinearFeatures,
    ModifiedPolicyIteration,
    PenalizedCost,
    PolicyIteration,
    PolicyMirrorDescent,
    RandomFourier,
    SquaredError,
    TabularPolicy,
    TileCoding,
    ValueIteration,
    garnet,
)
from optlab.policy.critics.rollouts import TableSimulator

S, A = 5, 3


def given():
    """Return fresh arguments: rows of P with the columns in descending order, which SciPy sorts in place if it may."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(S), size=S * A)
    order = np.arange(S)[::-1]
    matrix = sp.csr_matrix((P[:, order].ravel(), np.tile(order, S * A), S * np.arange(S * A + 1)), shape=(S * A, S))
    features = sp.random(S, 4, 0.5, format="csr", random_state=1)
    features.indices[:] = 3  # with duplicates
    return {
        "matrix": matrix,
        "dense": P.reshape(S, A, S),
        "cost": rng.random((S, A)),
        "start": np.full(S, 1.0 / S),
        "available": np.ones((S, A), dtype=bool) & (np.arange(A) != 1)[None, :],
        "features": rng.random((S, A, 2)),
        "coordinates": rng.random((S, 2)),
        "sparse features": features,
        "log_table": np.log(rng.dirichlet(np.ones(A), size=S)),
        "theta": rng.random(S * A),
        "square": np.eye(2),
        "input": np.ones((2, 1)),
        "one": np.eye(1),
        "gain": np.full((1, 2), 0.1),
        "weights": np.full(S, 1.0 / S),
        "bounds": np.array([[0.0, 1.0], [0.0, 1.0]]),
    }


MAKERS = {
    "MDP of a sparse matrix": lambda g: MDP(
        g["matrix"], g["cost"], 0.9, g["start"], features=g["features"], coordinates=g["coordinates"]
    ),
    "MDP with a mask": lambda g: MDP(g["matrix"], reward=g["cost"], available=g["available"]),
    "MDP of a dense table": lambda g: MDP(g["dense"], g["cost"]),
    "MDP of matrices": lambda g: MDP([g["dense"][:, a] for a in range(A)], g["cost"]),
    "MDP of sparse matrices": lambda g: MDP([g["matrix"][a::A] for a in range(A)], g["cost"]),
    "LinearFeatures": lambda g: LinearFeatures(g["features"]),
    "BlockFeatures": lambda g: BlockFeatures(g["coordinates"], A),
    "BlockFeatures, sparse": lambda g: BlockFeatures(g["sparse features"], A),
    "RandomFourier": lambda g: RandomFourier(g["coordinates"], A, 4),
    "TileCoding": lambda g: TileCoding(g["coordinates"], A, 2, 2, g["bounds"]),
    "MLP": lambda g: MLP(g["coordinates"], A, (3,)),
    "TabularPolicy": lambda g: TabularPolicy(g["log_table"], g["log_table"]),
    "FunctionPolicy": lambda g: FunctionPolicy(LinearFeatures(g["features"]), g["theta"][:2], EuclideanMap()),
    "GaussianPolicy": lambda g: GaussianPolicy(g["gain"], g["one"]),
    "LQR": lambda g: LQR(0.5 * g["square"], g["input"], g["square"], g["one"], 0.9, g["square"], g["square"]),
    "DualDivergence": lambda g: DualDivergence(EuclideanMap(), g["log_table"], g["weights"], "forward"),
    "PenalizedCost": lambda g: PenalizedCost(g["cost"], g["weights"], 0.1, g["log_table"]),
    "SquaredError": lambda g: SquaredError(g["log_table"], g["cost"]),
    "TableSimulator": lambda g: TableSimulator(MDP(g["matrix"], g["cost"])),
}

# by name, what a public method that is called with nothing sensible would need
ARGUMENTS = {
    "policy": lambda g: np.full((S, A), 1.0 / A),
    "values": lambda g: np.arange(float(S)),
    "iterate": lambda g: GaussianPolicy(g["gain"], g["one"]),
    "theta": lambda g: g["theta"],
    "states": lambda g: np.array([0, 2]),
    "state": lambda g: np.array([0, 1]),
    "action": lambda g: np.zeros((1,)),
    "actions": lambda g: np.array([0, 1]),
    "gain": lambda g: g["gain"],
    "scores": lambda g: g["log_table"],
    "rng": lambda g: np.random.default_rng(0),
    "n": lambda g: 2,
    "rows": lambda g: np.array([0, 1]),
    "coordinates": lambda g: g["coordinates"],
    "tangent": lambda g: g["theta"],
    "cotangent": lambda g: g["cost"],
}


def arrays_in(value):
    if isinstance(value, np.ndarray):
        yield value
    elif sp.issparse(value):
        yield from (value.data, value.indices, value.indptr)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from arrays_in(getattr(value, field.name))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from arrays_in(item)


def exercise(thing, g):
    """Call every public method with arguments by name, and read every attribute; yield all arrays that come out."""
    for name in [n for n in dir(thing) if not n.startswith("_")]:
        try:
            found = getattr(thing, name)
            if callable(found):
                parameters = inspect.signature(found).parameters.values()
                required = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
                found = found(*(ARGUMENTS[p.name](g) for p in required))
        except Exception:  # not made for these arguments: what counts is that nothing was changed
            continue
        yield name, found


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_is_shared_and_nothing_of_the_callers_changes(name):
    g = given()
    before = copy.deepcopy(g)
    thing = MAKERS[name](g)
    mine = [array for value in g.values() for array in arrays_in(value)]
    for attribute, found in exercise(thing, g):
        for array in arrays_in(found):
            if attribute != "layers":  # views into the parameters it is given, as it says
                shared = any(np.shares_memory(array, own) for own in mine)
                assert not (shared and array.flags.writeable), f"{name}.{attribute} hands out the caller's memory"
    for attribute, value in vars(thing).items():
        for array in arrays_in(value):
            assert attribute.startswith("_") or not array.flags.writeable, f"{name}.{attribute} can be written to"
        if sp.issparse(value):
            value.max(), value.sum_duplicates(), value.has_canonical_format
    for key, value in before.items():
        for now, then in zip(arrays_in(g[key]), arrays_in(value)):
            assert np.array_equal(now, then), f"{name} changed the caller's {key}"
            assert now.flags.writeable == then.flags.writeable, f"{name} froze the caller's {key}"


def test_reading_a_transition_matrix_changes_nothing():
    Q = sp.csr_matrix([[0.5, 0.5], [0.0, 1.0], [0.3, 0.7], [1.0, 0.0]])
    mdp = MDP(Q, cost=[[1.0, 2.0], [0.0, 0.5]], discount=0.9)
    half = np.full((2, 2), 0.5)
    before = mdp.evaluate(half).values.copy()
    for read in (lambda T: T.max(), lambda T: T.sum_duplicates(), lambda T: T.sort_indices(), lambda T: T.data.fill(3)):
        read(mdp.transition_matrix(half))
        assert np.array_equal(mdp.evaluate(half.copy()).values, before)
    assert np.array_equal(Q.toarray(), [[0.5, 0.5], [0.0, 1.0], [0.3, 0.7], [1.0, 0.0]])
    Q.data[:] = 0.0  # the caller's own to do
    assert np.array_equal(mdp.evaluate(half.copy()).values, before)
    assert mdp.transition_matrix(half).has_canonical_format
    big = garnet(50, 4, 5)
    table = np.full((50, 4), 0.25)
    before = big.evaluate(table).values.copy()
    big.transition_matrix(table).sum_duplicates()
    assert np.array_equal(big.evaluate(table.copy()).values, before)
    for array in (mdp.transitions.data, mdp.transitions.indices, mdp.transitions.indptr, mdp.optimal.probabilities):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_what_comes_back_from_a_pickle_is_read_only():
    g = given()
    mdp = pickle.loads(pickle.dumps(MAKERS["MDP of a sparse matrix"](g)))
    held = [mdp.cost, mdp.start, mdp.features, mdp.coordinates, mdp.transitions.data, mdp.transitions.indices]
    assert not any(array.flags.writeable for array in held)


@pytest.mark.parametrize(
    "method", [PolicyIteration(), ModifiedPolicyIteration(), ValueIteration(), PolicyMirrorDescent()]
)
def test_starts_are_left_alone(method):
    mdp = garnet(8, 3, 3)
    starts = [np.full((8, 3), 1 / 3), np.random.default_rng(0).dirichlet(np.ones(3), size=8)]
    if not isinstance(method, PolicyMirrorDescent):
        starts += [np.zeros(8, dtype=np.int64), np.linspace(0, 1, 8)]
    for x0 in starts:
        before = x0.copy()
        run = optlab.solve(mdp, method, x0=x0, max_iter=5, progress=False)
        assert np.array_equal(x0, before)
        assert x0.flags.writeable
        for array in [a for value in vars(run.state).values() for a in arrays_in(value)]:
            assert not np.shares_memory(array, x0)
        x0[:] = 0  # a policy object that the run holds does not see it
        assert np.isfinite(run.solution.probabilities()).all()

    class Own:
        table = np.full((8, 3), -np.log(3.0))

        def log_probabilities(self, state=None):
            return self.table

        def probabilities(self, state=None):
            return np.exp(self.table)

    optlab.solve(mdp, method, x0=Own(), max_iter=3, progress=False)
    assert Own.table.flags.writeable


def test_a_gaussian_start_is_left_alone():
    policy = GaussianPolicy(np.zeros((2, 3)), np.eye(2))
    with pytest.raises(ValueError, match="read-only"):
        policy.gain[0, 0] = 1.0
    optlab.solve(optlab.policy.lqr(), HewerPolicyIteration(), x0=policy, max_iter=3)
    assert not policy.gain.any()


def malformed():
    """Sparse matrices whose index arrays compiled code must not follow."""
    good = given()["matrix"]
    for kind in ("csr", "csc", "bsr"):
        for part, at, value in (("indices", 0, 999), ("indices", 1, -7), ("indptr", 1, -4), ("indptr", 2, 10**6)):
            bad = good.asformat(kind).copy()
            getattr(bad, part)[at] = value
            yield f"{kind}, {part}[{at}] = {value}", bad
        bad = good.asformat(kind).copy()
        bad.indptr = bad.indptr.astype(float)
        yield f"{kind}, indptr of floats", bad
    bad = good.tocoo()
    bad.row[0] = 10**6
    yield "coo", bad
    bad = good.tolil()
    bad.rows[0][0] = 10**6
    yield "lil", bad


@pytest.mark.parametrize(("name", "bad"), list(malformed()), ids=lambda v: v if isinstance(v, str) else "")
def test_malformed_sparse_matrices_are_refused(name, bad):
    cost = np.zeros((S, A))
    with pytest.raises(ValueError, match="P is not a well-formed sparse matrix"):
        MDP(bad, cost)
    with pytest.raises(ValueError, match="features is not a well-formed sparse matrix"):
        BlockFeatures(bad, 2)
