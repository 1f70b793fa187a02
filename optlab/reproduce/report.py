"""``results/index.html``: every figure with its claims, every theorem with observed against bound, from the
index.

One static page with relative links and its style inside it: it opens from disk, without a network, and
prints. The page shows what the index holds, so `reproduce`, `verify` and `bench` each add to the same report.
"""

from __future__ import annotations

import datetime
import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

from optlab.reproduce.markup import alarm, count, duration, escape, human, join, mark, number, prose, standing_mark
from optlab.reproduce.report_bench import bars_met, bench_section, missed_bars
from optlab.reproduce.store import write_bytes
from optlab.reproduce.tally import COLUMNS, Tally, passed, standing

Record = dict[str, Any]

_VERDICT_CLASS = {"holds": "good", "violated": "bad", "inconclusive": "mild", "not_applicable": "none"}
_KIND_WORDS = {
    "upper_bound": "observed ≤ bound at every point",
    "tight": "observed ≤ bound at every point, and attained",
    "linear_rate": "fitted rate against the claimed one",
    "monotone": "no step up",
    "identity": "both sides agree",
    "equivalence": "both iterations agree",
    "counterexample": "the bound is exceeded",
    "sandwich": "observed ≤ worst case of the class ≤ bound",
}


_HEADINGS = (*COLUMNS, "Time")


def write_report(out: Path, index: dict[str, Any]) -> Path:
    """Write ``out/index.html`` from the index (see `Store`) and ``out/bench.json``; return its path."""
    out = Path(out)
    path = out / "index.html"
    write_bytes(path, render(index, _read_bench(out)).encode())
    return path


def render(index: dict[str, Any], bench: dict[str, Any] | None = None) -> str:
    """Return the report as HTML."""
    order = lambda r: (r["paper"], r["kind"], _natural(r["id"]))
    records: list[Record] = sorted(index["records"], key=order)
    pending: list[Record] = sorted(index.get("pending", ()), key=order)
    keys = list(dict.fromkeys(sorted(r["paper"] for r in [*records, *pending])))
    papers = {key: {"name": human(key), "arxiv": []} | index.get("papers", {}).get(key, {}) for key in keys}
    sections = [_paper(key, paper, _of(key, records), _of(key, pending)) for key, paper in papers.items()]
    state = index.get("state", "finished")
    benches = (bench or {}).get("records", [])
    css = importlib.resources.files("optlab.reproduce").joinpath("report.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>optlab: results</title>
<style>
{css}</style>
</head>
<body>
<div class="layout">
{_nav(papers, records, pending, benches)}
<main>
<h1>Results</h1>
<p class="sub">{_headline(records, benches)}</p>
{_banner(records, pending, benches, state)}
{_overview(papers, records, pending)}
{"".join(sections)}
{bench_section(benches)}
{_footer(index, records)}
</main>
</div>
</body>
</html>
"""


# -- the page's frame


def _of(paper: str, records: list[Record]) -> list[Record]:
    return [record for record in records if record["paper"] == paper]


def _nav(papers: dict[str, Record], records: list[Record], pending: list[Record], benches: list[Record]) -> str:
    parts = ['<nav><a class="brand" href="#">optlab</a>']
    for key, paper in papers.items():
        parts.append(f'<h2><a href="#{escape(key)}">{escape(paper["name"])}</a></h2><ul>')
        for record in _of(key, records):
            link = f'<a href="#{_anchor(record)}">{escape(record["title"])}</a>'
            parts.append(f"<li>{standing_mark(standing(record))}{link}</li>")
        parts += [f"<li>{standing_mark('pending')}<span>{escape(r['title'])}</span></li>" for r in _of(key, pending)]
        parts.append("</ul>")
    if benches:
        parts.append('<h2><a href="#bench">Benchmarks</a></h2><ul>')
        for bench in benches:
            parts.append(
                f'<li>{mark(bars_met(bench))}<a href="#bench-{escape(bench["id"])}">{escape(bench["title"])}</a></li>'
            )
        parts.append("</ul>")
    return "".join(parts) + "</nav>"


def _headline(records: list[Record], benches: list[Record]) -> str:
    scales = sorted({r["scale"] for r in records})
    seeds = sorted({r["seed"] for r in records})
    when = datetime.datetime.now().astimezone().strftime("%-d %B %Y, %H:%M")
    parts = []
    if records:
        parts.append(
            f"{count(len(records), 'result')} at scale {join(f'<b>{escape(s)}</b>' for s in scales)}, "
            f"seed {join(str(s) for s in seeds)}."
        )
    if benches:
        parts.append(f"{count(len(benches), 'benchmark')}.")
    return f"{' '.join(parts)} {escape(when)}." if parts else "Nothing has been run yet."


def _banner(records: list[Record], pending: list[Record], benches: list[Record], state: str) -> str:
    """What ran and what came of it; green only if all that was planned ran, was tested and held."""
    if not (records or pending or benches):
        return ""
    tally = Tally.of(records, len(records) + len(pending))
    misses = [b for b in benches if bars_met(b) is False]
    words, look = [], tally.look if records or pending else "good"
    if records or pending:
        words.append(tally.sentence(state))
        if look == "good":
            words.append("Every claim and every theorem held, and every control failed as it should.")
    if any(bars_met(b) for b in benches) and not misses:
        words.append("Every bar of the benchmarks was met.")
    items = [
        f'<li><a href="#{_anchor(r)}">{escape(r["title"])}</a>: {escape(why(r))}</li>' for r in records if not passed(r)
    ]
    items += [
        f'<li><a href="#bench-{escape(b["id"])}">{escape(b["title"])}</a>: {escape(missed_bars(b))}</li>'
        for b in misses
    ]
    if items:
        look = "bad"
        words.append("Not everything held:")
    if not words:
        return ""
    listed = f"<ul>{''.join(items)}</ul>" if items else ""
    first, stop, rest = " ".join(words).partition(". ")
    return f'<div class="banner {look}"><b>{escape(first + stop)}</b>{escape(rest)}{listed}</div>'


def _overview(papers: dict[str, Record], records: list[Record], pending: list[Record]) -> str:
    if not records and not pending:
        return ""
    rows = []
    for key, paper in papers.items():
        own = _of(key, records)
        tally = Tally.of(own, len(own) + len(_of(key, pending)))
        seconds = sum(r.get("seconds", 0.0) for r in own)
        cells = [*tally.cells(), duration(seconds) if seconds else "–"]
        link = f'<td class="wide"><a href="#{escape(key)}">{escape(paper["name"])}</a></td>'
        attention = tally.calls_for_attention()
        marked = [alarm(c, attention[name]) if name in attention else c for name, c in zip(_HEADINGS, cells)]
        body = "".join(f"<td class=n>{cell}</td>" for cell in marked)
        rows.append(f"<tr>{link}{body}</tr>")
    head = "".join(f'<th class="n">{name}</th>' for name in _HEADINGS)
    return f'<div class="scroll"><table><tr><th>Paper</th>{head}</tr>{"".join(rows)}</table></div>'


def _paper(key: str, paper: Record, records: list[Record], pending: list[Record]) -> str:
    parts = [f'<section id="{escape(key)}"><h2>{escape(paper["name"])}</h2>']
    if paper["arxiv"]:
        links = [f'<a href="https://arxiv.org/abs/{escape(n)}">arXiv:{escape(n)}</a>' for n in paper["arxiv"]]
        parts.append(f'<p class="sub">{", ".join(links)}</p>')
    files = [r for r in records if r["kind"] == "file"]
    figures = [r for r in records if r["kind"] == "figure"]
    theorems = [r for r in records if r["kind"] == "theorem"]
    if pending:
        items = "".join(f"<li>{escape(r['title'])} <code>{escape(r['id'])}</code></li>" for r in pending)
        parts.append(f"<details><summary>{len(pending)} planned, not run</summary><ul>{items}</ul></details>")
    parts += [_error_card(r) for r in files]
    if figures:
        parts += ['<h3 class="part">Figures</h3><div class="grid">', *map(_figure, figures), "</div>"]
    if theorems:
        parts += ['<h3 class="part">Theorems</h3>', *map(_theorem, theorems)]
    return "".join([*parts, "</section>"])


# -- cards


def _figure(record: Record) -> str:
    if record["status"] == "error":
        return _error_card(record)
    # a reason that all claims share is said once, in the badge
    shared = record.get("reason")
    claims = "".join(
        f"<li>{mark(c['holds'])}<span>{prose(c['sentence'])}"
        + (f" <span class=na>({escape(c['reason'])})</span>" if c["reason"] not in ("", shared) else "")
        + f'</span><span class="num">{escape(c["number"])}</span></li>'
        for c in record["claims"]
    )
    claims += "".join(
        f'<li><span class="na" title="measured, not judged">·</span><span>{prose(n["sentence"])}</span>'
        f'<span class="num">{escape(n["number"])}</span></li>'
        for n in record["numbers"]
    )
    caption = f'<p class="caption">{prose(record["caption"])}</p>' if record["caption"] else ""
    broad = " broad" if record.get("aspect", 1.0) > 1.9 else ""
    picture = ""
    if record["status"] == "done":
        folder = escape(record["folder"])
        full = "figure.pdf" if "figure.pdf" in record["files"] else "figure.png"
        image = f'<img loading="lazy" src="{folder}/figure.png" alt="{escape(record["title"])}">'
        picture = f'<a href="{folder}/{full}">{image}</a>'
    return f"""
<article class="card{broad}" id="{_anchor(record)}">
<h4><span>{prose(record["title"])}</span>{_figure_badge(record)}</h4>
{picture}
{caption}<ul class="claims">{claims}</ul>{_warnings(record)}{_meta(record)}
</article>"""


def _figure_badge(record: Record) -> str:
    if record["status"] == "skipped":
        return f'<span class="badge none">skipped: {escape(record["reason"])}</span>'
    tally = Tally.of([record])
    if not tally.claims:
        return '<span class="badge none">claims nothing</span>'
    look = {"failed": "bad", "held": "good", "partly": "mild"}.get(standing(record), "none")
    tested, untested = tally.held + tally.failed_claims, tally.untested.total()
    words = f"{tally.held} of {count(tested, 'claim')}" if tested else "no claim tested"
    words += f", {untested} not tested" if untested and tested else ""
    return f'<span class="badge {look}">{words}</span>'


def _theorem(record: Record) -> str:
    if record["status"] != "done":
        return _error_card(record)
    evidence, folder = record["evidence"], record["folder"]
    verdict = evidence["verdict"]
    look = _VERDICT_CLASS[verdict] if verdict != record["expected"] or verdict == "holds" else "none"
    source = f" <span class=na>{prose(record['source'])}</span>" if record["source"] else ""
    assumptions = ""
    if record["assumptions"]:
        items = "".join(f"<li>{prose(a)}</li>" for a in record["assumptions"])
        assumptions = f'<span class="label">Assumptions</span><ul class="assume">{items}</ul>'
    drawn = set(record["files"])
    plots = [_evidence(evidence, folder, "check", "Observed", look, drawn)]
    for i, control in enumerate(record["controls"], 1):
        title = f"Control: {control['description']}"
        plots.append(_evidence(control, folder, f"control-{i}", title, "good" if control["passed"] else "bad", drawn))
    defects = "".join(f'<p class="defect">✘ {escape(d)}</p>' for d in record["defects"])
    badge = f'<span class="badge {look}">{escape(verdict.replace("_", " "))}</span>'
    return f"""
<article class="card theorem" id="{_anchor(record)}">
<h4><span>{prose(record["title"])}</span>{badge}</h4>
<p class="statement">{prose(record["statement"])}{source}</p>{assumptions}{defects}
<div class="evidence">{"".join(plots)}</div>{_warnings(record)}{_meta(record)}
</article>"""


def _evidence(evidence: Record, folder: str, name: str, title: str, look: str, drawn: set[str]) -> str:
    verdict = evidence["verdict"].replace("_", " ")
    note = f"<br>{prose(evidence['note'])}" if evidence["note"] else ""
    picture = ""
    if evidence["n"] and f"{name}.svg" in drawn:
        image = escape(f"{folder}/{name}.svg")
        picture = f'<a href="{image}"><img loading="lazy" src="{image}" alt="observed against bound"></a>'
    return (
        f'<figure><figcaption>{prose(title)} <span class="badge {look}">{escape(verdict)}</span></figcaption>'
        f'{picture}<p class="facts">{_facts(evidence)}{note}</p></figure>'
    )


def _facts(evidence: Record) -> str:
    judged = evidence["n"] and evidence["verdict"] in ("holds", "violated")
    facts = [f"Tested: {_KIND_WORDS[evidence['kind']]}"] if judged else []
    ratio, at = evidence["ratio"], evidence["at"]
    if evidence["kind"] == "linear_rate" and evidence["fitted"] is not None:
        facts.append(f"fitted {number(evidence['fitted'])}, claimed {number(evidence['claimed'])}")
    elif judged and ratio == "nan":
        facts.append(f"not a number at k = {number(at)}")
    elif judged:
        facts.append(
            f"worst ratio {number(ratio)} at k = {number(at)}{', a loose bound' if evidence.get('loose') else ''}"
        )
    facts += [f"{escape(name)} {number(value)}" for name, value in evidence["detail"].items()]
    return "; ".join(facts)


def _error_card(record: Record) -> str:
    return f"""
<article class="card broad" id="{_anchor(record)}">
<h4><span>{escape(record["title"])}</span><span class="badge bad">error</span></h4>
<pre>{escape(record["traceback"])}</pre>{_meta(record)}
</article>"""


def _warnings(record: Record) -> str:
    if not record["warnings"]:
        return ""
    lines = escape("\n".join(record["warnings"]))
    return f"<details><summary>{count(len(record['warnings']), 'warning')}</summary><pre>{lines}</pre></details>"


def _meta(record: Record) -> str:
    links = [
        f'<a href="{escape(record["folder"])}/{escape(name)}">{escape(name)}</a>'
        for name in record["files"]
        if not name.endswith((".png", ".svg"))
    ]
    facts = [f"scale {escape(record['scale'])}", f"seed {record['seed']}", duration(record.get("seconds", 0.0)), *links]
    if "page" in record.get("code", {}):
        page, line = record["code"]["page"], record["code"]["line"]
        facts.append(f'<a href="{escape(page)}#L{line}">source</a>')
    if record["kind"] != "file":
        facts.append(f"<code>{escape(rerun(record))}</code>")
    return f'<div class="meta">{"".join(f"<span>{fact}</span>" for fact in facts)}</div>'


def rerun(record: Record) -> str:
    """Return the command that runs a record again."""
    verb = "reproduce" if record["kind"] == "figure" else "verify"
    seed = f" --seed {record['seed']}" if record["seed"] else ""
    return f"optlab {verb} {record['id']} --scale {record['scale']}{seed} --no-cache"


# -- footer


def _footer(index: dict[str, Any], records: list[Record]) -> str:
    facts = dict(index.get("provenance", {}))
    if not facts.get("commit"):
        facts.pop("commit", None)
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    total = duration(sum(r.get("seconds", 0.0) for r in records))
    cached = sum(bool(r.get("cached")) for r in records)
    return (
        f"<footer><b>Provenance of the last run</b><dl>{items}</dl>"
        f"{total} of computing altogether; {cached} of {count(len(records), 'result')} taken from the cache. "
        "A commit with a + had local changes.</footer>"
    )


# -- small pieces


def why(record: Record) -> str:
    """What went wrong with a record, in a line."""
    if record["status"] == "error":
        return str(record["traceback"]).strip().splitlines()[-1][:160]
    if record["kind"] == "figure":
        failed = [c["sentence"] for c in record["claims"] if c["holds"] is False]
        return "; ".join(failed)
    if record["evidence"]["verdict"] != record["expected"]:
        return str(record["evidence"]["verdict"]).replace("_", " ")
    return " ".join(record["defects"])


def _read_bench(out: Path) -> dict[str, Any] | None:
    try:
        bench: dict[str, Any] = json.loads((out / "bench.json").read_text(encoding="utf-8"))
        return bench
    except (OSError, ValueError):
        return None


def _anchor(record: Record) -> str:
    return escape(f"{record['kind']}-{record['id']}")


def _natural(text: str) -> list[Any]:
    """Sort key in which E2 comes before E10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text)]
