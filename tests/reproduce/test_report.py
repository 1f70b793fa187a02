"""The report says what ran and what did not: nothing is green that did not run, and terminal and page agree."""

import html
import re

import pytest
from typer.testing import CliRunner

import optlab
from optlab.cli import app
from optlab.reproduce import runner, worker
from optlab.reproduce.markup import MARKS
from optlab.reproduce.tally import Tally, standing

FIGURE = """
    import optlab

    @optlab.figure(id="{id}", paper="toy", title="NGN-M on x^2 + s_k^2: {id}")
    def figure(scale, seed):
        return {made}
"""
MADE = {
    "held": 'optlab.Figure({}, lambda ax: None, [("Sound.", True, 1.0)])',
    "partly": 'optlab.Figure({}, lambda ax: None, [("Sound.", True, 1.0), ("Large.", None, 2.0, "no second run")])',
    "untested": 'optlab.Figure({}, lambda ax: None, [("Large.", None)], numbers=[("Seconds.", 0.25)])',
    "skipped": 'optlab.Figure.skip("needs cheese", ["Tasty."])',
    "failed": 'optlab.Figure({}, lambda ax: None, [("Sound.", False, 1.0)])',
}


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch):
    picture = lambda canvas, name, formats, dpi=200: {f"{name}.{suffix}": b"picture" for suffix in formats}
    monkeypatch.setattr(worker, "_pictures", picture)


def _run(experiments, tmp_path, **options):
    tasks = experiments.discover()
    options = {"out": tmp_path / "results", "scale": "smoke", "jobs": 1, "progress": False, "known": tasks} | options
    return runner.run(tasks, **options)


def _page(tmp_path):
    return (tmp_path / "results" / "index.html").read_text()


def _banner(tmp_path):
    """Its colour and its text."""
    look, text = re.search(r'<div class="banner (\w+)">(.*?)(?:<ul>|</div>)', _page(tmp_path)).groups()
    return look, html.unescape(re.sub(r"</?b>", "", text))


def _write(experiments, *kinds):
    for kind in kinds:
        experiments.write(kind, FIGURE.format(id=kind, made=MADE[kind]))


@pytest.mark.parametrize(
    ("kind", "look", "words"),
    [
        ("held", "good", "1 of 1 run. 1 of 1 tested claim held. Every claim and every theorem held"),
        ("partly", "mild", "1 of 1 run. 1 of 1 tested claim held, 1 not tested (no second run)."),
        ("untested", "mild", "1 of 1 run. no claim was tested, 1 not tested at this scale."),
        ("skipped", "mild", "0 of 1 run. no claim was tested, 1 not tested (needs cheese); 1 figure skipped: needs"),
        ("failed", "bad", "1 of 1 run. 0 of 1 tested claim held. Not everything held:"),
    ],
)
def test_a_figure_is_counted_as_what_it_is(experiments, tmp_path, kind, look, words):
    _write(experiments, kind)
    summary = _run(experiments, tmp_path)
    assert standing(summary.records[0]) == kind
    assert _banner(tmp_path)[0] == look
    assert _banner(tmp_path)[1].startswith(words)
    # the sidebar has the mark of that standing, and a tick only for what ran and held
    nav = _page(tmp_path).partition("</nav>")[0]
    assert MARKS[kind][1] in nav
    assert ("✔" in nav) == (kind == "held")
    assert summary.passed == (kind != "failed")
    assert summary.tally.complete == (kind in ("held", "failed"))


def test_what_is_measured_beside_the_claims_is_shown_and_not_counted(experiments, tmp_path):
    _write(experiments, "untested")
    summary = _run(experiments, tmp_path)
    assert summary.tally.claims == 1
    assert "Seconds." in _page(tmp_path)
    assert "0.25" in _page(tmp_path)


def test_a_skipped_figure_is_tried_again_and_shows_no_picture(experiments, tmp_path):
    _write(experiments, "skipped")
    for _ in range(2):
        (record,) = _run(experiments, tmp_path).records
        assert record["status"] == "skipped"
        assert not record["cached"]
    page = _page(tmp_path)
    assert "<img" not in page
    assert "skipped: needs cheese" in page
    _write(experiments)
    experiments.write("skipped", FIGURE.format(id="skipped", made=MADE["held"]))
    assert _run(experiments, tmp_path).tally.complete


def test_an_interrupted_run_says_so_first_and_names_what_is_missing(experiments, tmp_path):
    _write(experiments, "held", "partly", "untested")

    def stop(record):
        if record["id"] == "held":
            raise KeyboardInterrupt

    summary = _run(experiments, tmp_path, on_record=stop)
    assert summary.tally.missing == 2
    look, text = _banner(tmp_path)
    assert look == "mild"
    assert text.startswith("Interrupted: 1 of 3 has run. 1 of 1 tested claim held.")
    assert "Every claim" not in text
    assert "2 planned, not run" in _page(tmp_path)
    # a run of something else does not make the two forgotten
    tasks = [task for task in experiments.discover() if task.id == "partly"]
    _run_tasks = {"out": tmp_path / "results", "scale": "smoke", "jobs": 1, "progress": False}
    runner.run(tasks, **_run_tasks, known=experiments.discover())
    assert _banner(tmp_path)[1].startswith("2 of 3 run, 1 left by an earlier run that did not finish.")
    assert _banner(tmp_path)[0] == "mild"


def test_the_page_of_a_run_under_way_says_so_and_shows_no_result_of_an_earlier_one(experiments, tmp_path, monkeypatch):
    _write(experiments, "held", "partly")
    _run(experiments, tmp_path)
    seen = []
    monkeypatch.setattr(runner, "REPORT_INTERVAL", -1.0)
    _run(experiments, tmp_path, cache=False, on_record=lambda record: seen.append(_banner(tmp_path)))
    # the page is written after each record has been handed on
    assert seen[0] == ("mild", "A run is under way, or was killed: so far 0 of 2 have run.")
    assert seen[1][1].startswith("A run is under way, or was killed: so far 1 of 2 has run. 1 of 1 tested claim held")
    assert _banner(tmp_path)[1].startswith("2 of 2 run.")


def test_terminal_table_and_banner_agree(experiments, tmp_path, monkeypatch):
    _write(experiments, "held", "partly", "untested", "skipped", "failed")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["reproduce", "toy", "--scale", "smoke", "--jobs", "1"])
    assert done.exit_code == 1
    lines = {line.split()[2]: line for line in done.output.splitlines() if line[1:].startswith(" figure ")}
    assert {id: line.strip()[0] for id, line in lines.items()} == {kind: MARKS[kind][1] for kind in MADE}
    sentence = "4 of 5 run. 2 of 3 tested claims held, 1 not tested (needs cheese), 1 not tested (no second run), 1 not"
    assert sentence in done.output
    assert _banner(tmp_path)[1].startswith(sentence)
    cells = ("4 / 5", "2 / 3", "3", "–", "–", "0", "–", "1", "0")
    (row,) = re.findall(r"<tr><td class=\"wide\">(.*?)</tr>", _page(tmp_path))
    assert [re.sub("<.*?>", "", cell) for cell in re.findall(r"<td class=n>(.*?)</td>", row)][:-1] == list(cells)
    (line,) = [line for line in done.output.splitlines() if line.strip().startswith("4 / 5")]
    assert re.split(r"\s{2,}", line.strip()) == list(cells)


def test_titles_stand_as_they_were_written(experiments, tmp_path):
    _write(experiments, "held")
    experiments.write(
        "theorem",
        """
        import optlab

        @optlab.theorem(id="t", paper="toy", statement="s", title="NGN-M on x^2: s_k^2 of Peaceman-Rachford")
        def check(scale, seed):
            return optlab.Evidence([1], [0.5], 1.0)

        @check.control("c")
        def _(scale, seed):
            return optlab.Evidence([1], [2.0], 1.0)
        """,
    )
    _run(experiments, tmp_path)
    page = _page(tmp_path)
    assert page.count("NGN-M on x^2: s_k^2 of Peaceman-Rachford") == 2  # sidebar and card
    assert page.count(">NGN-M on x^2 + s_k^2: held<") == 2


def test_each_card_leads_to_the_code_and_to_the_command(experiments, tmp_path):
    experiments.figure("one")
    experiments.theorem("two")
    _run(experiments, tmp_path, seed=3)
    page = _page(tmp_path)
    found = dict(re.findall(r'href="sources/toy/(\w+)\.html#L(\d+)">source<', page))
    for name, line in found.items():
        source = (experiments.root / "toy" / f"{name}.py").read_text().splitlines()
        assert source[int(line) - 1].startswith("@optlab.")
        shown = html.unescape((tmp_path / "results" / "sources" / "toy" / f"{name}.html").read_text())
        assert f'<li id="L{line}"><code>{source[int(line) - 1]}' in shown
    assert set(found) == {"one", "two"}
    assert "<code>optlab reproduce one --scale smoke --seed 3 --no-cache</code>" in page
    assert "<code>optlab verify two --scale smoke --seed 3 --no-cache</code>" in page


def test_papers_have_their_names_and_their_arxiv_numbers():
    from optlab.theorems import papers

    known = papers()
    assert {task.paper for task in optlab.reproduce.THEOREMS.values()} - {"toy", "doc"} <= set(known)
    assert known["ngn"]["arxiv"] == ["2407.04358", "2508.15071"]
    # the worst cases have no paper of their own; the article they are named after is in a journal only
    assert all(entry["arxiv"] for key, entry in known.items() if key != "worst-cases")


def test_nothing_at_all_is_no_success():
    tally = Tally.of([], 3)
    assert tally.look == "mild"
    assert tally.sentence() == "0 of 3 run, 3 left by an earlier run that did not finish."
