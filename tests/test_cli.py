"""The command line: what it prints, what it writes, and above all its exit status."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import optlab
from optlab import benchmarks
from optlab.cli import app
from optlab.reproduce.figures import FIGURES
from optlab.reproduce.theorems import THEOREMS

TOY = """
import optlab

@optlab.figure(id="toy-figure", paper="toy", title="A toy")
def figure(scale, seed):
    return optlab.Figure({"k": [1, 2]}, lambda ax: ax.plot([1, 2]), claims=[("Sound.", SOUND, 1.0)])

@optlab.theorem(id="toy-theorem", paper="toy", statement="1 <= 2")
def check(scale, seed):
    return optlab.Evidence([1], [1.0], 2.0)

@check.control("3 <= 2")
def _(scale, seed):
    return optlab.Evidence([1], [3.0], 2.0)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    before = dict(FIGURES), dict(THEOREMS)
    (tmp_path / "experiments" / "toy").mkdir(parents=True)
    (tmp_path / "experiments" / "toy" / "toy.py").write_text(TOY.replace("SOUND", "True"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    # what the package has registered meanwhile stays: its modules are not loaded a second time
    for registry, old in zip((FIGURES, THEOREMS), before):
        for id in [id for id, spec in registry.items() if spec.file.startswith(str(tmp_path))]:
            del registry[id]
        registry.update(old)


def _call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_version_and_help():
    assert _call("--version").output.strip() == f"optlab {optlab.__version__}"
    text = _call("--help").output
    assert all(word in text for word in ("list", "show", "reproduce", "verify", "bench"))


def test_reproduce_runs_both_kinds_and_ends_with_the_report(folder):
    result = _call("reproduce", "toy", "--scale", "smoke", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert result.output.strip().splitlines()[-1] == str(folder / "results" / "index.html")
    assert "toy-figure" in result.output
    assert "1/1 controls refuted" in result.output
    assert (folder / "results" / "figures" / "toy" / "toy-figure" / "figure.png").is_file()


def test_verify_runs_theorems_only(folder):
    result = _call("verify", "toy", "--scale", "smoke", "--jobs", 1, "--out", "elsewhere")
    assert result.exit_code == 0, result.output
    assert not (folder / "elsewhere" / "figures").exists()
    assert (folder / "elsewhere" / "theorems" / "toy" / "toy-theorem" / "check.csv").is_file()


def test_a_failed_claim_makes_the_status_one(folder):
    (folder / "experiments" / "toy" / "toy.py").write_text(TOY.replace("SOUND", "False"))
    result = _call("reproduce", "toy-figure", "--scale", "smoke", "--jobs", 1)
    assert result.exit_code == 1
    assert "Sound." in result.output


def test_mistakes_in_the_call_make_the_status_two(folder):
    unknown = _call("reproduce", "toy-figures", "--scale", "smoke")
    assert unknown.exit_code == 2
    assert "did you mean 'toy-figure'?" in unknown.output
    (folder / "file").write_text("")
    unwritable = _call("reproduce", "--out", folder / "file" / "below")
    assert unwritable.exit_code == 2
    assert "cannot write results" in unwritable.output
    assert _call("reproduce", "--scale", "huge").exit_code == 2
    assert _call("reproduce", "--jobs", 0).exit_code == 2
    assert _call("bench", "no-such-benchmark").exit_code == 2


def test_bench_takes_ids_and_families(folder, monkeypatch):
    ran = []
    made = {
        id: benchmarks.Benchmark(id, id, lambda scale, seed, id=id: ran.append(id) or [{"name": "a", "ratio": 2.0}])
        for id in ("toy-first", "toy-second", "toys", "other-first")
    }
    monkeypatch.setattr(benchmarks, "discover", lambda: made)
    for words, chosen in (
        (("toy",), ["toy-first", "toy-second"]),
        (("toy-second",), ["toy-second"]),
        (("other", "toys"), ["toys", "other-first"]),
        ((), list(made)),
    ):
        ran.clear()
        result = _call("bench", *words, "--scale", "smoke")
        assert result.exit_code == 0, result.output
        assert ran == chosen
    mistake = _call("bench", "toy-")
    assert mistake.exit_code == 2
    assert "did you mean 'toys'?" in mistake.output or "did you mean 'toy'?" in mistake.output


def test_the_transport_benchmarks_are_one_family():
    families = {spec.family: id for id, spec in benchmarks.discover().items()}
    assert {"transport", "policy", "stochastic", "multiview"} <= set(families)
    transport = [id for id, spec in benchmarks.discover().items() if spec.family == "transport"]
    assert transport == [id for id in benchmarks.discover() if id.startswith("transport-")]
    assert {"transport-sweep", "transport-certified", "transport-exact", "transport-batch"} <= set(transport)


def test_list_shows_a_line_each(folder):
    result = _call("list")
    assert result.exit_code == 0, result.output
    for id, title in (("toy-figure", "A toy"), ("toy-theorem", "toy theorem")):
        (line,) = [line for line in result.output.splitlines() if line.strip().startswith(id)]
        assert title in line


def test_list_can_be_narrowed(folder):
    def listed(*words):
        result = _call("list", *words, "--json")
        assert result.exit_code == 0, result.output
        return [(entry["kind"], entry["id"]) for entry in json.loads(result.output)]

    assert listed("--paper", "toy") == [("figure", "toy-figure"), ("theorem", "toy-theorem")]
    assert listed("A TOY", "--paper", "toy") == [("figure", "toy-figure")]
    assert listed("toy-th*") == [("theorem", "toy-theorem")]
    assert listed("toy", "--kind", "figure") == [("figure", "toy-figure")]
    methods = listed("--kind", "method")
    assert {kind for kind, _ in methods} == {"method"}
    assert ("method", "splitting.BregmanDouglasRachford") in methods
    assert listed("no such thing at all") == []
    mistake = _call("list", "--kind", "theorem", "--paper", "toys")
    assert mistake.exit_code == 2
    assert "there are" in mistake.output


def test_show_says_what_it_is_and_how_it_came_out(folder):
    shown = _call("show", "toy-theorem").output
    for text in ("1 <= 2", "3 <= 2", "toy.py:", "optlab verify toy-theorem"):
        assert text in shown
    assert "last" not in shown
    _call("reproduce", "toy", "--scale", "smoke", "--jobs", 1)
    assert "scale smoke, seed 0: 1 of 1 run. 1 of 1 theorem holds" in _call("show", "toy-theorem").output
    assert "optlab reproduce toy-figure" in _call("show", "toy-figure").output
    assert "from optlab.splitting import BregmanDouglasRachford" in _call("show", "BregmanDouglasRachford").output
    assert "optlab bench transport-exact" in _call("show", "transport-exact").output
    mistake = _call("show", "toy-theorm")
    assert mistake.exit_code == 2
    assert "did you mean 'toy-theorem'?" in mistake.output


def test_patterns_choose_ids(folder):
    result = _call("reproduce", "toy-*", "--scale", "smoke", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "2 of 2 run" in result.output
    assert "nothing is called 'no-*' (" in _call("verify", "no-*").output
    assert _call("bench", "no-*").exit_code == 2


def test_an_id_of_another_command_is_sent_there(folder):
    for words, advice in (
        (("verify", "toy-figure"), "'toy-figure' is a figure: optlab reproduce toy-figure"),
        (("verify", "transport-exact"), "'transport-exact' is a benchmark: optlab bench transport-exact"),
        (("bench", "toy-theorem"), "'toy-theorem' is a theorem: optlab verify toy-theorem"),
        (("bench", "toy-figure"), "'toy-figure' is a figure: optlab reproduce toy-figure"),
    ):
        result = _call(*words)
        assert result.exit_code == 2
        assert advice in result.output


def test_the_command_starts_without_the_heavy_parts():
    program = "import sys, optlab.cli; print(*{'numpy', 'numba', 'matplotlib', 'joblib', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_installed_command_answers(folder):
    command = [sys.executable, "-m", "optlab.cli", "reproduce", "toy", "--scale", "smoke"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("index.html")
