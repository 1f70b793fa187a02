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

from optlab.reproduce.markup import alarm, count, duration, escape, human, join, mark, number, prose, tally
from optlab.reproduce.report_bench import bars_met, bench_section, missed_bars
from optlab.reproduce.store import write_bytes

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
}


def write_report(out: Path, index: dict[str, Any]) -> Path:
    """Write ``out/index.html`` from the index (see `Store`) and ``out/bench.json``; return its path."""
    out = Path(out)
    path = out / "index.html"
    write_bytes(path, render(index, _read_bench(out)).encode())
    return path


def render(index: dict[str, Any], bench: dict[str, Any] | None = None) -> str:
    """Return the report as HTML."""
    records: list[Record] = sorted(index["records"], key=lambda r: (r["paper"], r["kind"], _natural(r["id"])))
    papers = list(dict.fromkeys(r["paper"] for r in records))
    sections = [_paper(paper, [r for r in records if r["paper"] == paper]) for paper in papers]
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
{_nav(papers, records, benches)}
<main>
<h1>Results</h1>
<p class="sub">{_headline(records, benches)}</p>
{_banner(records, benches)}
{_overview(papers, records)}
{"".join(sections)}
{bench_section(benches)}
{_footer(index, records)}
</main>
</div>
</body>
</html>
"""


# -- the page's frame


def _nav(papers: list[str], records: list[Record], benches: list[Record]) -> str:
    parts = ['<nav><a class="brand" href="#">optlab</a>']
    for paper in papers:
        parts.append(f'<h2><a href="#{escape(paper)}">{escape(human(paper))}</a></h2><ul>')
        for record in (r for r in records if r["paper"] == paper):
            text = record["title"] if record["kind"] == "figure" else human(record["title"])
            parts.append(f'<li>{mark(_ok(record))}<a href="#{_anchor(record)}">{escape(text)}</a></li>')
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


def _banner(records: list[Record], benches: list[Record]) -> str:
    bad = [r for r in records if not _ok(r)]
    misses = [b for b in benches if bars_met(b) is False]
    if not records and not benches:
        return ""
    if not bad and not misses:
        held = "Every claim and every theorem held, and every control failed as it should." if records else ""
        met = "Every bar of the benchmarks was met." if any(bars_met(b) for b in benches) else ""
        return f'<div class="banner good">{" ".join(filter(None, (held, met)))}</div>' if held or met else ""
    items = [f'<li><a href="#{_anchor(r)}">{escape(r["title"])}</a>: {escape(_why(r))}</li>' for r in bad]
    items += [
        f'<li><a href="#bench-{escape(b["id"])}">{escape(b["title"])}</a>: {escape(missed_bars(b))}</li>'
        for b in misses
    ]
    return f'<div class="banner bad">Not everything held.<ul>{"".join(items)}</ul></div>'


def _overview(papers: list[str], records: list[Record]) -> str:
    if not records:
        return ""
    rows = []
    for paper in papers:
        own = [r for r in records if r["paper"] == paper]
        figures = [r for r in own if r["kind"] == "figure"]
        claims = [c for r in figures for c in r.get("claims", ())]
        theorems = [r for r in own if r["kind"] == "theorem"]
        verdicts = [r["evidence"]["verdict"] for r in theorems if r["status"] == "done"]
        controls = [c for r in theorems for c in r.get("controls", ())]
        cells = [
            str(len(figures)),
            tally([c["holds"] for c in claims]),
            str(len(theorems)),
            str(verdicts.count("holds")),
            alarm(verdicts.count("violated") + verdicts.count("inconclusive")),
            str(verdicts.count("not_applicable")),
            tally([c["passed"] for c in controls]),
            alarm(sum(r["status"] != "done" for r in own)),
            duration(sum(r.get("seconds", 0.0) for r in own)),
        ]
        link = f'<td class="wide"><a href="#{escape(paper)}">{escape(human(paper))}</a></td>'
        rows.append(f"<tr>{link}{''.join(f'<td class=n>{c}</td>' for c in cells)}</tr>")
    names: tuple[str, ...] = ("Figures", "Claims held", "Theorems", "Hold", "Violated or open", "Not applicable")
    names += ("Controls refuted", "Errors", "Time")
    head = "".join(f'<th class="n">{name}</th>' for name in names)
    return f'<div class="scroll"><table><tr><th>Paper</th>{head}</tr>{"".join(rows)}</table></div>'


def _paper(paper: str, records: list[Record]) -> str:
    parts = [f'<section id="{escape(paper)}"><h2>{escape(human(paper))}</h2>']
    files = [r for r in records if r["kind"] == "file"]
    figures = [r for r in records if r["kind"] == "figure"]
    theorems = [r for r in records if r["kind"] == "theorem"]
    parts += [_error_card(r) for r in files]
    if figures:
        parts += ['<h3 class="part">Figures</h3><div class="grid">', *map(_figure, figures), "</div>"]
    if theorems:
        parts += ['<h3 class="part">Theorems</h3>', *map(_theorem, theorems)]
    return "".join([*parts, "</section>"])


# -- cards


def _figure(record: Record) -> str:
    if record["status"] != "done":
        return _error_card(record)
    folder = record["folder"]
    claims = "".join(
        f"<li>{mark(c['holds'])}<span>{prose(c['sentence'])}"
        f"{' <span class=na>(not tested at this scale)</span>' if c['holds'] is None else ''}</span>"
        f'<span class="num">{escape(c["number"])}</span></li>'
        for c in record["claims"]
    )
    caption = f'<p class="caption">{prose(record["caption"])}</p>' if record["caption"] else ""
    broad = " broad" if record.get("aspect", 1.0) > 1.9 else ""
    full = "figure.pdf" if "figure.pdf" in record["files"] else "figure.png"
    image = f'<img loading="lazy" src="{escape(folder)}/figure.png" alt="{escape(record["title"])}">'
    return f"""
<article class="card{broad}" id="{_anchor(record)}">
<h4><span>{prose(record["title"])}</span>{_figure_badge(record)}</h4>
<a href="{escape(folder)}/{full}">{image}</a>
{caption}<ul class="claims">{claims}</ul>{_warnings(record)}{_meta(record)}
</article>"""


def _figure_badge(record: Record) -> str:
    held = [c["holds"] for c in record["claims"]]
    if not held:
        return ""
    tested = [h for h in held if h is not None]
    look = "bad" if False in held else ("good" if tested else "none")
    left = f", {held.count(None)} not tested" if None in held else ""
    return f'<span class="badge {look}">{sum(tested)} of {len(tested)} claims{left}</span>'


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
    plots = [_evidence(evidence, f"{folder}/check", "Observed", look)]
    for i, control in enumerate(record["controls"], 1):
        title = f"Control: {control['description']}"
        plots.append(_evidence(control, f"{folder}/control-{i}", title, "good" if control["passed"] else "bad"))
    defects = "".join(f'<p class="defect">✘ {escape(d)}</p>' for d in record["defects"])
    badge = f'<span class="badge {look}">{escape(verdict.replace("_", " "))}</span>'
    return f"""
<article class="card theorem" id="{_anchor(record)}">
<h4><span>{escape(human(record["title"]))}</span>{badge}</h4>
<p class="statement">{prose(record["statement"])}{source}</p>{assumptions}{defects}
<div class="evidence">{"".join(plots)}</div>{_warnings(record)}{_meta(record)}
</article>"""


def _evidence(evidence: Record, stem: str, title: str, look: str) -> str:
    verdict = evidence["verdict"].replace("_", " ")
    note = f"<br>{prose(evidence['note'])}" if evidence["note"] else ""
    picture = ""
    if evidence["n"]:
        image = f"{escape(stem)}.svg"
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
        facts.append(f"worst ratio {number(ratio)} at k = {number(at)}")
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
    facts = [f"<code>{escape(record['id'])}</code>", f"scale {escape(record['scale'])}", f"seed {record['seed']}"]
    facts += [duration(record.get("seconds", 0.0)), *links]
    return f'<div class="meta">{"".join(f"<span>{fact}</span>" for fact in facts)}</div>'


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


def _ok(record: Record) -> bool:
    from optlab.reproduce.runner import passed

    return passed(record)


def _why(record: Record) -> str:
    if record["status"] != "done":
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
