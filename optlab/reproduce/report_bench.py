"""The report's tables of benchmarks: ratios beside their bars, empty columns left out."""

from __future__ import annotations

from typing import Any

from optlab.reproduce.markup import duration, escape, mark

Record = dict[str, Any]


def bench_section(benches: list[Record]) -> str:
    """Return the tables of all benchmarks."""
    if not benches:
        return ""
    parts = ['<section id="bench"><h2>Benchmarks</h2>']
    for bench in benches:
        parts.append(f'<h3 class="bench" id="bench-{escape(bench["id"])}">{escape(bench["title"])}</h3>')
        if bench.get("status") == "error":
            parts.append(f"<pre>{escape(bench['traceback'])}</pre>")
            continue
        columns = bench_columns(bench["rows"])  # with their headings
        numeric = {c for c in columns if any(_is_number(row.get(c)) for row in bench["rows"]) and c != "pass"}
        head = "".join(
            f"<th{' class=n' if c in numeric else ''}>{escape(heading)}</th>" for c, heading in columns.items()
        )
        body = "".join(f"<tr>{''.join(_bench_cell(row.get(c), c) for c in columns)}</tr>" for row in bench["rows"])
        parts.append(f'<div class="scroll"><table class="bench"><tr>{head}</tr>{body}</table></div>')
        parts.append(_bench_meta(bench))
    return "".join([*parts, "</section>"])


def _bench_cell(value: Any, column: str) -> str:
    if column == "pass":
        return "<td></td>" if value is None else f"<td>{mark(value)}</td>"
    if value is None:
        return "<td></td>"
    if _is_number(value):
        return f'<td class="n">{bench_text(value, column)}</td>'
    look = {"name": "", "note": ' class="note"'}.get(column, ' class="wide"')
    return f"<td{look}>{escape(value)}</td>"


def _bench_meta(bench: Record) -> str:
    facts = [f"<code>{escape(bench['id'])}</code>"]
    facts += [f"{name} {escape(bench[name])}" for name in ("scale", "seed") if name in bench]
    if "seconds" in bench:
        facts.append(duration(bench["seconds"]))
    commit = bench.get("provenance", {}).get("commit")
    facts += [f"commit {escape(commit)}"] if commit else []
    return f'<div class="meta bare">{"".join(f"<span>{fact}</span>" for fact in facts)}</div>'


def bench_columns(rows: list[Record]) -> dict[str, str]:
    """The columns of a benchmark's table with their headings: none that is empty, the verdict after its bar.

    What the ratio is, where it is the same in every row, is part of its heading.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row if any(r.get(key) is not None for r in rows)))
    if "pass" in columns:
        columns.remove("pass")
        columns.insert(columns.index("bar") + 1, "pass")
    headings = {column: _heading(column) for column in columns}
    meanings = {row.get("ratio_is") for row in rows if row.get("ratio") is not None}
    if len(meanings) == 1 and None not in meanings:
        headings["ratio"] += f", {meanings.pop()}"
        del headings["ratio_is"]
    return headings


def _heading(column: str) -> str:
    """Underscores are spaces; anything else (``1e-6``) stays."""
    words = column.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def bars_met(bench: Record) -> bool | None:
    """Whether a benchmark ran and met its bars; None if it has none."""
    if bench.get("status") == "error":
        return False
    verdicts = [row["pass"] for row in bench["rows"] if row.get("pass") is not None]
    return all(verdicts) if verdicts else None


def missed_bars(bench: Record) -> str:
    """Return which bars were missed, with the ratios."""
    if bench.get("status") == "error":
        return "error"
    rows = [row for row in bench["rows"] if row.get("pass") is False]
    return "a bar was missed: " + "; ".join(
        f"{row['name']} ({bench_text(row.get('ratio'), 'ratio') or 'no ratio'}, bar {row['bar']})" for row in rows
    )


def bench_text(value: Any, column: str) -> str:
    """One cell of a benchmark table as text: times in ms or s, memory in MB, the rest to three digits."""
    if value is None:
        return ""
    if not _is_number(value):
        return str(value)
    if column.endswith("seconds") or column.startswith("seconds") or column in ("first_call", "minimum"):
        return duration(value)
    if column.endswith("memory"):
        return f"{value / 2**20:,.1f} MB"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
