"""The command line: ``optlab list | show | reproduce | verify | bench``. The only place that knows all parts of the
library.

Exit status: 0 if every claim and theorem held and every bar was met, 1 if not, 2 for a mistake in the call
(an unknown id, a folder that cannot be written), 130 after Ctrl-C and 143 after SIGTERM (the report then shows what was
finished).

Everything heavy is imported inside the commands, so that ``optlab --help`` answers at once.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer

app = typer.Typer(
    name="optlab",
    help="Regenerate a paper's figures, verify its theorems numerically, compare speed and memory with peers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


class Kind(StrEnum):
    """What can be listed."""

    figure = "figure"
    theorem = "theorem"
    method = "method"
    problem = "problem"
    benchmark = "benchmark"


class Scale(StrEnum):
    """How large the runs are."""

    smoke = "smoke"
    cpu = "cpu"
    paper = "paper"


_Ids = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...", help="Ids, papers or patterns ('bdrs-*'); default: everything.", show_default=False
    ),
]
_BenchIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID]...",
        help="Ids, patterns, or families (the first word of ids: transport, policy, ...); default: everything.",
        show_default=False,
    ),
]
_Scale = Annotated[
    Scale, typer.Option(help="smoke: about a minute on two cores; cpu: minutes; paper: the paper's own size.")
]
_Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Worker processes; default: one per core.", show_default=False)
]
_Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="Run on a dask scheduler's workers instead.", show_default=False),
]
_Out = Annotated[str, typer.Option("--out", "-o", metavar="FOLDER", help="Where results and the report go.")]
_Seed = Annotated[int, typer.Option(min=0, help="Base seed of everything random.")]
_NoCache = Annotated[bool, typer.Option("--no-cache", help="Run again even what is on disk already.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        import optlab

        typer.echo(f"optlab {optlab.__version__}")
        raise typer.Exit


@app.command()
def reproduce(
    ids: _Ids = None,
    scale: _Scale = Scale.cpu,
    jobs: _Jobs = None,
    scheduler: _Scheduler = None,
    out: _Out = "results",
    seed: _Seed = 0,
    no_cache: _NoCache = False,
) -> None:
    """Draw every figure, test the paper's claims on it, check the theorems; write
    [bold]results/index.html[/bold].
    """
    with _terminable():
        _run(ids, ("figure", "theorem", "file"), scale, jobs, scheduler, out, seed, no_cache)


@app.command()
def verify(
    ids: _Ids = None,
    scale: _Scale = Scale.cpu,
    jobs: _Jobs = None,
    scheduler: _Scheduler = None,
    out: _Out = "results",
    seed: _Seed = 0,
    no_cache: _NoCache = False,
) -> None:
    """Run every theorem as an experiment: observed against bound, with a negative control that must fail."""
    with _terminable():
        _run(ids, ("theorem",), scale, jobs, scheduler, out, seed, no_cache)


@app.command()
def bench(
    ids: _BenchIds = None,
    scale: _Scale = Scale.cpu,
    out: _Out = "results",
    seed: _Seed = 0,
) -> None:
    """Measure speed and memory against peers, side by side in one run, as ratios."""
    with _terminable():
        _bench(ids, scale, out, seed)


@app.command("list")
def list_(
    word: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Only what has it in id, paper or title; or a pattern ('bdrs-*').")
    ] = "",
    paper: Annotated[str, typer.Option(help="Only what belongs to this paper, package or family.")] = "",
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
) -> None:
    """Show figures, theorems, methods, problems and benchmarks, a line each."""
    import json

    from optlab import catalogue

    every = catalogue.entries(catalogue.KINDS if kind is None else (kind.value,))
    papers = sorted({entry.paper for entry in every})
    if paper and paper not in papers:
        _stop(f"no paper, package or family is called {paper!r}; there are {', '.join(papers)}")
    found = catalogue.matching(every, word, paper)
    if as_json:
        listed = [{"kind": e.kind, "id": e.id, "paper": e.paper, "title": e.title} for e in found]
        typer.echo(json.dumps(listed, indent=1, ensure_ascii=False))
        return
    console = _console()
    headings = {"figure": "Figures", "theorem": "Theorems", "method": "Methods", "problem": "Problems"}
    headings |= {"benchmark": "Benchmarks", "broken": "What cannot be loaded"}
    for name, heading in headings.items():
        rows = [entry for entry in found if entry.kind == name]
        if not rows:
            continue
        table = _table(heading)
        # of methods and problems the package stands in the name
        columns = ["id", "title"] if name in ("method", "problem") else ["id", "paper", "title"]
        for column in columns:
            table.add_column({"paper": "family"}.get(column, column) if name == "benchmark" else column, no_wrap=True)
        for entry in rows:
            table.add_row(*(getattr(entry, column) for column in columns))
        console.print(table)
    if not found:
        typer.echo("nothing fits")


@app.command()
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="As `optlab list` shows it.")],
    out: _Out = "results",
) -> None:
    """Show one of them: what it states, where it comes from, its code, how to run it, and its last result."""
    import difflib

    from rich.markup import escape

    from optlab import catalogue

    every = catalogue.entries()
    found = [entry for entry in every if id in (entry.id, entry.id.rpartition(".")[2], f"optlab.{entry.id}")]
    if not found:
        near = difflib.get_close_matches(id, [entry.id for entry in every], n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        _stop(f"nothing is called {id!r}{hint} (`optlab list` shows every id)")
    console = _console()
    for entry in found:
        for label, text in [*catalogue.facts(entry), ("run", catalogue.command(entry)), *_last_result(entry, out)]:
            line = f"[dim]{label:>10}[/dim]  {escape(text)}" if label else f"[bold]{escape(text)}[/bold]"
            console.print(line, soft_wrap=True)


def _last_result(entry: Any, out: str) -> list[tuple[str, str]]:
    """What the report in `out` says of a figure or theorem, if it does."""
    import json
    from pathlib import Path

    from optlab.reproduce.tally import Tally

    try:
        records = json.loads((Path(out) / "index.json").read_text(encoding="utf-8"))["records"]
        (record,) = [r for r in records if (r["kind"], r["id"]) == (entry.kind, entry.id)]
        return [("last", f"scale {record['scale']}, seed {record['seed']}: {Tally.of([record]).sentence()}")]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def main() -> None:
    """Entry point of the ``optlab`` command."""
    app()


# -- running


def _terminable() -> AbstractContextManager[Any]:
    from optlab.core.interrupts import terminable

    return terminable()


def _bench(ids: list[str] | None, scale: Scale, out: str, seed: int) -> None:
    from optlab import benchmarks
    from optlab.reproduce.discovery import Task, UnknownId, select
    from optlab.reproduce.store import UnwritableOutput

    found = benchmarks.discover()
    # a family is to benchmarks what a paper is to figures: all of it is chosen by its name
    tasks = [Task("benchmark", id, spec.family, spec.title, spec.file) for id, spec in found.items()]
    try:
        chosen = [found[task.id] for task in select(tasks, ids or [])]
        if not chosen:
            _stop("there is no benchmark to run")
        records = benchmarks.run(chosen, out=out, scale=scale.value, seed=seed, on_record=_print_bench)
    except UnknownId as error:
        _stop(_elsewhere(error, ("figure", "theorem")))
    except UnwritableOutput as error:
        _stop(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    from pathlib import Path

    typer.echo(str(Path(out).absolute() / "index.html"))
    raise typer.Exit(0 if all(map(benchmarks.passed, records)) else 1)


def _run(
    ids: list[str] | None,
    kinds: tuple[str, ...],
    scale: Scale,
    jobs: int | None,
    scheduler: str | None,
    out: str,
    seed: int,
    no_cache: bool,
) -> None:
    from optlab.reproduce import runner
    from optlab.reproduce.discovery import UnknownId, discover, select
    from optlab.reproduce.store import Store, UnwritableOutput

    try:
        Store(out)  # before anything is loaded or computed
        known = discover()
        # a theorem module that cannot be loaded must fail `verify` too: its checks would silently be missing
        tasks = [task for task in known if task.kind in kinds or (task.kind == "file" and task.origin[-3:] != ".py")]
        chosen = select(tasks, ids or [])
        if not chosen:
            _stop("there is nothing to run: no experiments/<paper>/<figure>.py and no theorem was found")
        summary = runner.run(
            chosen,
            out=out,
            scale=scale.value,
            seed=seed,
            jobs=jobs,
            scheduler=scheduler,
            cache=not no_cache,
            known=known,
            on_record=_print_record,
        )
    except UnknownId as error:
        _stop(_elsewhere(error, ("figure", "benchmark")))
    except UnwritableOutput as error:
        _stop(str(error))
    except (ModuleNotFoundError, OSError) as error:
        if scheduler is None:
            raise
        _stop(f"cannot use the scheduler {scheduler}: {error}" if isinstance(error, OSError) else str(error))
    except KeyboardInterrupt:  # while loading, before anything ran
        raise typer.Exit(130) from None
    _print_summary(summary)
    typer.echo(summary.report)
    raise typer.Exit(130 if summary.interrupted else 0 if summary.passed else 1)


def _elsewhere(error: Any, kinds: tuple[str, ...]) -> str:
    """The message for an unknown id; if another command knows it, which."""
    from optlab import catalogue

    for entry in catalogue.entries(kinds):
        if entry.id == error.name:
            return f"{entry.id!r} is a {entry.kind}: {catalogue.command(entry)}"
    return str(error)


def _stop(message: str) -> NoReturn:
    typer.echo(f"optlab: {message}", err=True)
    raise typer.Exit(2)


# -- printing


def _console() -> Any:
    import sys

    from rich.console import Console

    # into a pipe or a file there is no width to keep to: a line each, and nothing cut off
    return Console(highlight=False, width=None if sys.stdout.isatty() else 240)


def _table(title: str) -> Any:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)


def _print_record(record: dict[str, Any]) -> None:
    """One line per finished task, above the progress bar."""
    from rich.markup import escape
    from tqdm import tqdm

    from optlab.reproduce.report import why
    from optlab.reproduce.tally import Tally, standing

    tally = Tally.of([record])
    stands = standing(record)
    if record["status"] == "error":
        text = "error"
    elif record["status"] == "skipped":
        text = f"skipped: {record['reason']}"
    elif record["kind"] == "figure":
        text = f"{tally.held}/{tally.held + tally.failed_claims} claims"
        text += "".join(f", {n} {words}" for n, words in tally.reasons())
    else:
        text = record["evidence"]["verdict"].replace("_", " ") + f", {tally.refuted}/{tally.controls} controls refuted"
    time = "cached" if record.get("cached") else f"{record['seconds']:.1f} s"
    with tqdm.external_write_mode():
        console = _console()
        line = f"{_MARKS[stands]} {record['kind']:<8}[bold]{escape(record['id'])}[/bold]  {escape(text)}"
        console.print(f"{line}  [dim]{time}[/dim]", soft_wrap=True)
        if stands == "failed":
            console.print(f"    [red]{escape(why(record))}[/red]", soft_wrap=True)


# how a record stands; only what ran and held has a tick
_MARKS = {
    "held": "[green]✔[/green]",
    "partly": "[yellow]◐[/yellow]",
    "untested": "[dim]–[/dim]",
    "skipped": "[yellow]–[/yellow]",
    "failed": "[red]✘[/red]",
}


def _print_summary(summary: Any) -> None:
    from rich.markup import escape

    from optlab.reproduce.tally import COLUMNS

    tally = summary.tally
    console = _console()
    table = _table("")
    table.title = None
    for column in COLUMNS:
        table.add_column(column.lower(), justify="right")
    table.add_row(*tally.cells())
    console.print(table)
    color = {"good": "green", "mild": "yellow", "bad": "red"}[tally.look]
    sentence = tally.sentence("interrupted" if summary.interrupted else "finished")
    console.print(f"[{color}]{escape(sentence)}[/{color}]", soft_wrap=True)
    if summary.interrupted:
        console.print("[yellow]Run again to go on from there.[/yellow]")
    if tally.failed:
        console.print(f"[red]{tally.failed} of {tally.records} did not come out as they should.[/red]")


def _print_bench(record: dict[str, Any]) -> None:
    from rich.markup import escape

    from optlab.reproduce.report_bench import bench_columns, bench_text

    console = _console()
    if record["status"] != "done":
        console.print(f"[red]✘[/red] [bold]{escape(record['title'])}[/bold]\n{escape(record['traceback'])}")
        return
    table = _table(record["title"])
    columns = bench_columns(record["rows"])
    for column, heading in columns.items():
        numeric = any(isinstance(row.get(column), (int, float)) for row in record["rows"])
        table.add_column(heading, justify="right" if numeric and column != "pass" else "left")
    marks = {True: "[green]pass[/green]", False: "[red]miss[/red]", None: ""}
    for row in record["rows"]:
        cells = [marks[row.get(c)] if c == "pass" else escape(bench_text(row.get(c), c)) for c in columns]
        table.add_row(*cells)
    console.print(table)


if __name__ == "__main__":
    main()
