"""Finding experiment files, loading them, selecting from them, and knowing what they depend on."""

import os

import pytest

from optlab.reproduce import THEOREMS
from optlab.reproduce.discovery import PACKAGE, UnknownId, discover, experiments_root, select
from optlab.reproduce.fingerprint import dependencies, fingerprint


def test_files_are_found_and_helpers_are_not(experiments):
    experiments.figure("b-figure")
    experiments.theorem("a-theorem")
    experiments.write("_helper", "raise RuntimeError('not to be loaded by itself')")
    assert [(task.kind, task.id) for task in experiments.discover()] == [
        ("figure", "b-figure"),
        ("theorem", "a-theorem"),
    ]


def test_a_neighbour_can_be_imported_and_is_read_anew(experiments):
    experiments.write("_shared", "TITLE = 'first'")
    experiments.write(
        "uses",
        """
        import optlab
        from ._shared import TITLE

        @optlab.figure(id="uses", paper="toy", title=TITLE)
        def figure(scale, seed): ...
        """,
    )
    assert experiments.discover()[0].title == "first"
    helper = experiments.write("_shared", "TITLE = 'second edition'")
    os.utime(helper, (1e9, 1e9))
    assert experiments.discover()[0].title == "second edition"


def test_deleted_and_renamed_figures_are_forgotten(experiments):
    path = experiments.figure("old")
    experiments.discover()
    path.unlink()
    experiments.figure("new")
    assert [task.id for task in experiments.discover()] == ["new"]


@pytest.mark.parametrize("source", ["raise RuntimeError('broken')", "def broken(:", "import not_a_module_at_all"])
def test_a_file_that_cannot_be_loaded_does_not_hold_up_the_others(experiments, source):
    experiments.figure("good")
    experiments.write("bad", source)
    tasks = {task.id: task for task in experiments.discover()}
    assert set(tasks) == {"good", "toy/bad"}
    assert tasks["toy/bad"].kind == "file"
    assert "bad.py" in tasks["toy/bad"].error


def test_one_id_in_two_files_is_an_error_of_the_second(experiments):
    experiments.figure("same").rename(experiments.root / "toy" / "first.py")
    experiments.figure("same")
    broken = [task for task in experiments.discover() if task.kind == "file"]
    assert len(broken) == 1
    assert "used twice" in broken[0].error


def test_the_working_directory_comes_first(experiments, monkeypatch):
    experiments.figure("mine")
    monkeypatch.chdir(experiments.root.parent)
    assert experiments_root() == experiments.root


def test_a_theorem_module_that_cannot_be_imported_is_reported():
    tasks = discover(PACKAGE / "no_such_folder", theorem_modules=["optlab.no_such_module"])
    assert [(task.kind, task.id) for task in tasks] == [("file", "optlab/no-such-module")]


def test_select_by_id_or_paper_and_name_the_nearest(experiments):
    experiments.figure("alpha-rate")
    experiments.figure("beta-rate")
    tasks = experiments.discover()
    assert [task.id for task in select(tasks, ["beta-rate"])] == ["beta-rate"]
    assert len(select(tasks, ["toy"])) == len(select(tasks, [])) == 2
    with pytest.raises(UnknownId, match="did you mean 'alpha-rate'"):
        select(tasks, ["alpha-rates"])


def _key(path, **changes):
    return fingerprint(**{"origin": str(path), "kind": "figure", "id": "x", "scale": "smoke", "seed": 0, **changes})


def test_the_key_changes_with_code_helpers_scale_and_seed(experiments):
    helper = experiments.write("_shared", "A = 1")
    path = experiments.write("one", "from ._shared import A\n")
    other = experiments.figure("other")
    keys = [_key(path), _key(path, scale="cpu"), _key(path, seed=1)]
    helper.write_text("A = 2")
    keys.append(_key(path))
    path.write_text("from ._shared import A\nB = A\n")
    keys.append(_key(path))
    assert len(set(keys)) == 5
    other.write_text("# a change elsewhere")
    assert _key(path) == keys[-1]


@pytest.mark.parametrize(
    "source",
    [
        "from optlab.bregman import ShannonEntropy",
        "from optlab.bregman.legendre import Legendre",
        "import optlab.bregman",
        "import optlab\ndef f():\n    return optlab.bregman.ShannonEntropy()",
        "import optlab as ol\nx = ol.bregman",
        "def f():\n    from optlab import bregman",
    ],
)
def test_imports_are_followed_however_they_are_written(experiments, source):
    path = experiments.write("imports", source)
    names = {file.relative_to(PACKAGE).as_posix() for file in dependencies(str(path)) if file.is_relative_to(PACKAGE)}
    assert "bregman/__init__.py" in names
    assert "core/contract/protocols.py" in names  # through bregman
    assert "reproduce/evidence.py" in names  # always
    assert not any(name.startswith(("transport/", "cli", "reproduce/report")) for name in names)


def test_a_lazy_name_of_the_top_package_leads_to_its_home(experiments):
    path = experiments.write("lazy", "import optlab\nresult = optlab.solve")
    assert PACKAGE / "core" / "running" / "solver.py" in dependencies(str(path))


def test_no_registered_check_is_left_out():
    # checks that a table registers in a loop stand in helpers; seventy were once in no report
    tasks = {task.id for task in discover() if task.kind == "theorem" and task.origin.startswith("optlab.theorems.")}
    origins = {task.origin for task in discover()}
    assert {"worst-dr-residual-1", "worst-fista-gap"} <= tasks
    assert tasks >= {id for id, spec in THEOREMS.items() if "optlab/theorems" in spec.function.__code__.co_filename}
    assert not any(origin.rpartition(".")[2].startswith("_") for origin in origins)
