"""Figures and theorems: what the decorators accept, what they refuse, and how controls are judged."""

import numpy as np
import pytest

import optlab
from optlab.reproduce.figures import FIGURES, Runs
from optlab.reproduce.theorems import THEOREMS


@pytest.fixture(autouse=True)
def _clean_registries():
    before = dict(FIGURES), dict(THEOREMS)
    yield
    for registry, old in zip((FIGURES, THEOREMS), before):
        registry.clear()
        registry.update(old)


def _draw(ax):
    ax.plot([1, 2])


def test_a_figure_is_registered_and_callable():
    @optlab.figure(id="toy", paper="p", title="Toy")
    def toy(scale, seed):
        return optlab.Figure({"k": [1, 2]}, _draw, [("It holds.", np.True_, np.float64(0.123456))])

    assert FIGURES["toy"] is toy
    result = toy("smoke", 3)
    assert result.claims[0] == ("It holds.", True, np.float64(0.123456))
    assert result.claims[0].text == "0.1235"


def test_a_figure_function_must_return_a_figure():
    @optlab.figure(id="toy", paper="p", title="Toy")
    def toy(scale, seed):
        return 3

    with pytest.raises(TypeError, match=r"must return an optlab\.Figure or Runs, got int"):
        toy("smoke", 0)


@pytest.mark.parametrize("id", ["", "Has Space", "../up", "UPPER", 3])
def test_ids_can_name_files(id):
    with pytest.raises(ValueError, match="lower-case"):
        optlab.figure(id=id, paper="p", title="T")(lambda scale, seed: None)


@pytest.mark.parametrize(
    ("data", "tables"),
    [
        ({"k": [1, 2], "gap": [0.1, 0.2], "gamma": 3.0}, {"data": (2, 2, 2)}),
        ({"a": {"k": [1]}, "b": {"k": [1, 2]}}, {"a": (1,), "b": (2,)}),
        ({}, {}),
    ],
)
def test_data_is_one_table_or_several(data, tables):
    found = optlab.Figure(data, _draw).tables()
    assert {name: tuple(len(column) for column in table.values()) for name, table in found.items()} == tables


def test_an_image_stands_in_for_a_table():
    found = optlab.Figure({"image": np.zeros((4, 5, 3)), "t": {"k": [1]}}, _draw).tables()
    assert found["image"].shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"k": [1, 2], "gap": [1]}, ValueError, "equal lengths"),
        ({"k": [1], "t": {"k": [1]}}, ValueError, "mixes tables"),
        ([1, 2], TypeError, "mapping"),
        ({"t": {"k": np.zeros((2, 2))}}, ValueError, "one-dimensional"),
    ],
)
def test_malformed_data_is_refused_where_it_is_made(data, error, message):
    with pytest.raises(error, match=message):
        optlab.Figure(data, _draw)


@pytest.mark.parametrize("claim", ["text", ("s", 1, 2.0), ("s", "yes"), ("s", True, 1, 2), 3])
def test_malformed_claims_are_refused(claim):
    with pytest.raises(TypeError, match=r"claims\[0\]"):
        optlab.Figure({}, _draw, claims=[claim])


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, ""), (1e-13, "1e-13"), (12345, "12 345"), ("3 of 4", "3 of 4"), ((1, 0.25), "1, 0.25"), (True, "yes")],
)
def test_numbers_of_claims_are_readable(number, text):
    assert optlab.Figure({}, _draw, [("s", True, number)]).claims[0].text == text


def test_panels_are_handed_over_as_axes():
    seen = []
    optlab.Figure({}, lambda axes: seen.append(np.shape(axes)), panels=(2, 3)).render()
    optlab.Figure({}, lambda axes: seen.append(np.shape(axes)), panels=(1, 2)).render()
    optlab.Figure({}, lambda ax: seen.append(np.shape(ax))).render()
    assert seen == [(2, 3), (2,), ()]


def _theorem(**options):
    @optlab.theorem(id="toy-bound", paper="p", statement="x  <=\n 1", **options)
    def toy(scale, seed):
        return optlab.Evidence([1], [0.5], 1.0)

    return toy


def test_a_theorem_is_registered_with_its_controls():
    toy = _theorem(assumptions="one only")

    @toy.control("factor two")
    def _(scale, seed):
        return optlab.Evidence([1], [2.0], 1.0)

    assert THEOREMS["toy-bound"] is toy
    assert (toy.statement, toy.assumptions, toy.title) == ("x <= 1", ("one only",), "toy bound")
    assert toy("smoke", 0).holds
    assert [control.description for control in toy.controls] == ["factor two"]
    assert toy.refutes(toy.controls[0]("smoke", 0).verdict)


def test_only_a_violation_refutes_and_only_what_is_expected_is_accepted():
    toy = _theorem()
    verdicts = ("holds", "violated", "inconclusive", "not_applicable")
    assert [toy.accepts(v) for v in verdicts] == [True, False, False, False]
    assert [toy.refutes(v) for v in verdicts] == [False, True, False, False]
    declared = _theorem(expected="not_applicable")
    assert [declared.accepts(v) for v in verdicts] == [False, False, False, True]
    assert [declared.refutes(v) for v in verdicts] == [True, True, False, False]


def test_mistakes_in_a_theorem_are_named():
    with pytest.raises(ValueError, match="expected must be one of"):
        _theorem(expected="violated")
    with pytest.raises(ValueError, match="description"):
        _theorem().control("  ")
    with pytest.raises(ValueError, match="description"):
        _theorem().control(lambda scale, seed: None)


def test_a_figure_is_made_of_its_runs():
    @optlab.figure(id="toy", paper="p", title="Toy", panels=(1, 2), figsize=(4.0, 2.0))
    def toy(scale, seed):
        return Runs({"k": [1, 2], "gap": [seed, 0.25]}, scale=scale)

    with pytest.raises(TypeError, match=r"figure 'toy' has runs but no function under @figure\.draw"):
        toy("smoke", 0)
    drawn = []

    @toy.draw
    def draw(axes, runs):
        drawn.append((len(axes), runs.scale))

    @toy.claims
    def _(runs):
        yield "It halves.", runs.tables["gap"][1] < runs.tables["gap"][0], runs.tables["gap"][1]
        yield "It is fast.", None, None

    @toy.caption
    def _(runs):
        return f"At scale {runs.scale}."

    @toy.numbers
    def _(runs):
        yield "Rows.", 2

    made = toy("cpu", 1)
    assert draw is not None
    assert [claim.holds for claim in made.claims] == [True, None]
    assert (made.caption, list(made.numbers), made.panels, made.figsize) == (
        "At scale cpu.",
        [("Rows.", 2)],
        (1, 2),
        (4.0, 2.0),
    )
    assert made.tables()["data"]["gap"].tolist() == [1, 0.25]
    made.render()
    assert drawn == [(2, "cpu")]
    with pytest.raises(TypeError, match="decorates a function"):
        toy.draw("picture")
    with pytest.raises(TypeError, match="panels, figsize, sharex and sharey"):
        optlab.figure(id="toy", paper="p", title="Toy", size=(1, 2))
