"""``results/index.html``: every figure with its claims, every theorem with observed against bound, from the
index.

One static page with relative links and its style inside it: it opens from disk, without a network, and
prints. The page shows what the index holds, so `reproduce`, `verify` and `bench` each add to the same report.
"""

from __future__ import annotations

import datetime
import html
import importlib.resources
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
<p class="sub">{_headline(records)}</p>
{_banner(records, benches)}
{_overview(papers, records)}
{"".join(sections)}
{_bench_section(benches)}
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
        parts.append(f'<h2><a href="#{_e(paper)}">{_e(_human(paper))}</a></h2><ul>')
        for record in (r for r in records if r["paper"] == paper):
            text = record["title"] if record["kind"] == "figure" else _human(record["title"])
            parts.append(f'<li>{_mark(_ok(record))}<a href="#{_anchor(record)}">{_e(text)}</a></li>')
        parts.append("</ul>")
    if benches:
        parts.append('<h2><a href="#bench">Benchmarks</a></h2>')
    return "".join(parts) + "</nav>"


def _headline(records: list[Record]) -> str:
    scales = sorted({r["scale"] for r in records})
    seeds = sorted({r["seed"] for r in records})
    when = datetime.datetime.now().astimezone().strftime("%-d %B %Y, %H:%M")
    if not records:
        return "Nothing has been run yet."
    return (
        f"{_count(len(records), 'result')} at scale {_join(f'<b>{_e(s)}</b>' for s in scales)}, "
        f"seed {_join(str(s) for s in seeds)}. {_e(when)}."
    )


def _banner(records: list[Record], benches: list[Record]) -> str:
    bad = [r for r in records if not _ok(r)]
    misses = [b for b in benches if b.get("status") == "error" or any(row.get("pass") is False for row in b["rows"])]
    if not records and not benches:
        return ""
    if not bad and not misses:
        return (
            '<div class="banner good">Every claim and every theorem held, and every control failed as it should.</div>'
        )
    items = [f'<li><a href="#{_anchor(r)}">{_e(r["title"])}</a>: {_e(_why(r))}</li>' for r in bad]
    items += [f'<li><a href="#bench-{_e(b["id"])}">{_e(b["title"])}</a>: a bar was missed</li>' for b in misses]
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
            _tally([c["holds"] for c in claims]),
            str(len(theorems)),
            str(verdicts.count("holds")),
            _alarm(verdicts.count("violated") + verdicts.count("inconclusive")),
            str(verdicts.count("not_applicable")),
            _tally([c["passed"] for c in controls]),
            _alarm(sum(r["status"] != "done" for r in own)),
            _seconds(sum(r.get("seconds", 0.0) for r in own)),
        ]
        link = f'<td class="wide"><a href="#{_e(paper)}">{_e(_human(paper))}</a></td>'
        rows.append(f"<tr>{link}{''.join(f'<td class=n>{c}</td>' for c in cells)}</tr>")
    names: tuple[str, ...] = ("Figures", "Claims held", "Theorems", "Hold", "Violated or open", "Not applicable")
    names += ("Controls refuted", "Errors", "Time")
    head = "".join(f'<th class="n">{name}</th>' for name in names)
    return f'<div class="scroll"><table><tr><th>Paper</th>{head}</tr>{"".join(rows)}</table></div>'


def _paper(paper: str, records: list[Record]) -> str:
    parts = [f'<section id="{_e(paper)}"><h2>{_e(_human(paper))}</h2>']
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
        f"<li>{_mark(c['holds'])}<span>{_text(c['sentence'])}"
        f"{' <span class=na>(not tested at this scale)</span>' if c['holds'] is None else ''}</span>"
        f'<span class="num">{_e(c["number"])}</span></li>'
        for c in record["claims"]
    )
    caption = f'<p class="caption">{_text(record["caption"])}</p>' if record["caption"] else ""
    broad = " broad" if record.get("aspect", 1.0) > 1.9 else ""
    full = "figure.pdf" if "figure.pdf" in record["files"] else "figure.png"
    return f"""
<article class="card{broad}" id="{_anchor(record)}">
<h4><span>{_text(record["title"])}</span>{_figure_badge(record)}</h4>
<a href="{_e(folder)}/{full}"><img loading="lazy" src="{_e(folder)}/figure.png" alt="{_e(record["title"])}"></a>
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
    source = f" <span class=na>{_text(record['source'])}</span>" if record["source"] else ""
    assumptions = ""
    if record["assumptions"]:
        items = "".join(f"<li>{_text(a)}</li>" for a in record["assumptions"])
        assumptions = f'<span class="label">Assumptions</span><ul class="assume">{items}</ul>'
    plots = [_evidence(evidence, f"{folder}/check", "Observed", look)]
    for i, control in enumerate(record["controls"], 1):
        title = f"Control: {control['description']}"
        plots.append(_evidence(control, f"{folder}/control-{i}", title, "good" if control["passed"] else "bad"))
    defects = "".join(f'<p class="defect">✘ {_e(d)}</p>' for d in record["defects"])
    return f"""
<article class="card theorem" id="{_anchor(record)}">
<h4><span>{_e(_human(record["title"]))}</span><span class="badge {look}">{_e(verdict.replace("_", " "))}</span></h4>
<p class="statement">{_text(record["statement"])}{source}</p>{assumptions}{defects}
<div class="evidence">{"".join(plots)}</div>{_warnings(record)}{_meta(record)}
</article>"""


def _evidence(evidence: Record, stem: str, title: str, look: str) -> str:
    verdict = evidence["verdict"].replace("_", " ")
    note = f"<br>{_text(evidence['note'])}" if evidence["note"] else ""
    picture = ""
    if evidence["n"]:
        image = f"{_e(stem)}.svg"
        picture = f'<a href="{image}"><img loading="lazy" src="{image}" alt="observed against bound"></a>'
    return (
        f'<figure><figcaption>{_text(title)} <span class="badge {look}">{_e(verdict)}</span></figcaption>'
        f'{picture}<p class="facts">{_facts(evidence)}{note}</p></figure>'
    )


def _facts(evidence: Record) -> str:
    judged = evidence["n"] and evidence["verdict"] in ("holds", "violated")
    facts = [f"Tested: {_KIND_WORDS[evidence['kind']]}"] if judged else []
    ratio, at = evidence["ratio"], evidence["at"]
    if evidence["kind"] == "linear_rate" and evidence["fitted"] is not None:
        facts.append(f"fitted {_number(evidence['fitted'])}, claimed {_number(evidence['claimed'])}")
    elif judged and ratio == "nan":
        facts.append(f"not a number at k = {_number(at)}")
    elif judged:
        facts.append(f"worst ratio {_number(ratio)} at k = {_number(at)}")
    facts += [f"{_e(name)} {_number(value)}" for name, value in evidence["detail"].items()]
    return "; ".join(facts)


def _error_card(record: Record) -> str:
    return f"""
<article class="card broad" id="{_anchor(record)}">
<h4><span>{_e(record["title"])}</span><span class="badge bad">error</span></h4>
<pre>{_e(record["traceback"])}</pre>{_meta(record)}
</article>"""


def _warnings(record: Record) -> str:
    if not record["warnings"]:
        return ""
    lines = _e("\n".join(record["warnings"]))
    return f"<details><summary>{_count(len(record['warnings']), 'warning')}</summary><pre>{lines}</pre></details>"


def _meta(record: Record) -> str:
    links = [
        f'<a href="{_e(record["folder"])}/{_e(name)}">{_e(name)}</a>'
        for name in record["files"]
        if not name.endswith((".png", ".svg"))
    ]
    facts = [f"<code>{_e(record['id'])}</code>", f"scale {_e(record['scale'])}", f"seed {record['seed']}"]
    facts += [_seconds(record.get("seconds", 0.0)), *links]
    return f'<div class="meta">{"".join(f"<span>{fact}</span>" for fact in facts)}</div>'


# -- benchmarks and footer


def _bench_section(benches: list[Record]) -> str:
    if not benches:
        return ""
    parts = ['<section id="bench"><h2>Benchmarks</h2>']
    for bench in benches:
        parts.append(f'<h3 class="part" id="bench-{_e(bench["id"])}">{_e(bench["title"])}</h3>')
        if bench.get("status") == "error":
            parts.append(f"<pre>{_e(bench['traceback'])}</pre>")
            continue
        columns = list(dict.fromkeys(key for row in bench["rows"] for key in row))
        head = "".join(f"<th>{_e(_human(c))}</th>" for c in columns)
        body = "".join(f"<tr>{''.join(_bench_cell(row.get(c), c) for c in columns)}</tr>" for row in bench["rows"])
        parts.append(f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>')
    return "".join([*parts, "</section>"])


def _bench_cell(value: Any, column: str) -> str:
    if column == "pass":
        return "<td></td>" if value is None else f"<td>{_mark(value)}</td>"
    if value is None:
        return "<td></td>"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'<td class="n">{bench_text(value, column)}</td>'
    return f'<td class="wide">{_e(value)}</td>'


def bench_text(value: Any, column: str) -> str:
    """One cell of a benchmark table as text: times in ms or s, memory in MB, the rest to three digits."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if column.endswith("seconds") or column in ("first_call", "minimum"):
        return _seconds(value)
    if column.endswith("memory"):
        return f"{value / 2**20:,.1f} MB"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _footer(index: dict[str, Any], records: list[Record]) -> str:
    facts = dict(index.get("provenance", {}))
    if not facts.get("commit"):
        facts.pop("commit", None)
    items = "".join(f"<div><dt>{_e(name)}</dt><dd>{_e(value)}</dd></div>" for name, value in facts.items())
    total = _seconds(sum(r.get("seconds", 0.0) for r in records))
    cached = sum(bool(r.get("cached")) for r in records)
    return (
        f"<footer><b>Provenance of the last run</b><dl>{items}</dl>"
        f"{total} of computing altogether; {cached} of {_count(len(records), 'result')} taken from the cache. "
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


def _e(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _text(value: str) -> str:
    """Escaped prose in which `backticks` become code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", _e(value))


def _mark(holds: Any) -> str:
    if holds is None:
        return '<span class="na" title="not tested">–</span>'
    return '<span class="yes">✔</span>' if holds else '<span class="no">✘</span>'


def _tally(values: list[Any]) -> str:
    if not values:
        return "–"
    tested = [v for v in values if v is not None]
    text = f"{sum(tested)} / {len(tested)}"
    return f'<span class="no">{text}</span>' if False in values else text


def _alarm(n: int) -> str:
    return f'<span class="no">{n}</span>' if n else "0"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _e(value)


def _seconds(value: float) -> str:
    if value >= 90:
        return f"{value / 60:.1f} min"
    if value >= 1:
        return f"{value:.1f} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def _human(name: str) -> str:
    words = name.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _count(n: int, word: str) -> str:
    return f"{n} {word}" + ("" if n == 1 else "s")


def _join(words: Iterable[str]) -> str:
    return " and ".join(words)


def _anchor(record: Record) -> str:
    return _e(f"{record['kind']}-{record['id']}")


def _natural(text: str) -> list[Any]:
    """Sort key in which E2 comes before E10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text)]
