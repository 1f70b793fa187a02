"""Time and peak memory to a certified gap: ours, POT's, HiGHS, and (where installed) OTT-JAX and GeomLoss.

A contender gets a process of its own for each kind of cost, in which something small is solved before the clock. There
it solves larger and larger problems until it is dropped: it was ended for taking too long, or did not get to a relative
gap of 1e-3 in its time. Every gap is optlab's certificate (see `optlab.benchmarks.transport.contenders`), of which
neither seconds nor memory are charged to a peer. Memory is what the solve adds at its peak to the problem's data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from optlab.benchmarks import FreshProcess, Row, benchmark
from optlab.benchmarks.transport.contenders import CONTENDERS, Contender, certify, make_problem

TOLERANCES = ("1e-3", "1e-6", "1e-9")
OURS = "ExactTransport"
_LOADING = 300.0  # seconds that loading, compiling and making the problems may take

# an attempt: seconds, certified relative gap, note
Attempts = Sequence[tuple[float, float, str]]


@benchmark(id="transport-certified", title="Seconds and memory to a certified gap of 1e-3, 1e-6 and 1e-9")
def certified(scale: str, seed: int) -> list[Row]:
    """A row for each cost, size and contender; the columns `over ours` are its seconds over those of
    `ExactTransport`. Who was not run, dropped or ended is in one row a size, with the reason.

    First-order methods get some seconds for each problem (3; at scale *paper* 30), solvers that answer only at their
    end twenty times as long. OTT-JAX and GeomLoss (which needs torch) take part if they are installed.
    """
    if scale == "smoke":
        return _at_once("2-D", 49, seed)
    kinds = ("2-D", "2-D Euclidean", "10-D", "grid", "random")
    sizes, limit = ((256, 1024, 4096, 10_000), 30.0) if scale == "paper" else ((256, 1024, 4096), 3.0)
    rows: list[Row] = []
    for kind in kinds:
        # a matrix of random costs is in memory before anything is solved
        rows += _compare(kind, sizes if kind != "random" else tuple(n for n in sizes if n <= 4096), seed, limit)
    return rows


def _compare(kind: str, sizes: Sequence[int], seed: int, limit: float) -> list[Row]:
    """Return the rows of one kind of cost, by size."""
    found: dict[tuple[int, str], Row] = {}
    for name, contender in CONTENDERS.items():
        for n, row in zip(sizes, _grow(name, contender, kind, sizes, seed, limit)):
            found[n, name] = row
    rows: list[Row] = []
    for n in sizes:
        rows += _against_ours({name: found[n, name] for name in CONTENDERS}, kind, n)
    return rows


def _grow(name: str, contender: Contender, kind: str, sizes: Sequence[int], seed: int, limit: float) -> list[Row]:
    """Return what a contender reached at each size, in one process of its own."""
    refusals = {n: contender.refusal(kind, n) for n in sizes}
    tried = [n for n in sizes if not refusals[n]]
    rows: dict[int, Row] = {n: {"note": refusals[n]} for n in sizes}
    if not tried:
        return list(rows.values())
    # what answers only at its end gets longer, and is ended then; what keeps to its time may certify what it has
    allowed, patience = (20.0 * limit, 20.0 * limit) if contender.at_once else (limit, 10.0 * limit + 60.0)
    setup = (
        "from optlab.benchmarks.transport.contenders import CONTENDERS, certify, make_problem\n"
        f"contender = CONTENDERS[{name!r}]\n"
        f"small = make_problem({kind!r}, min(contender.warm, {tried[-1]}), {seed + 1})\n"
        "limit = 60.0 if contender.at_once else 0.5\n"
        # twice: what the first loads can use up all the time it has
        "for _ in range(2): certify(contender.solve(small, limit))\n"
        f"problems = {{n: make_problem({kind!r}, n, {seed}) for n in {tried}}}\n"
    )
    done = 0
    try:
        with FreshProcess(setup, _LOADING) as process:
            for n in tried:
                attempts, memory = process.run(
                    f"attempts = contender.solve(problems[{n}], {allowed})", "certify(attempts)", timeout=patience
                )
                rows[n], done = reached(attempts) | {"memory": memory}, done + 1
                if rows[n][f"seconds to {TOLERANCES[0]}"] is None:
                    dropped = f"dropped: no gap of {TOLERANCES[0]} in {allowed:g} s at n = {n}"
                    break
            else:
                return list(rows.values())
    except TimeoutError:
        rows[tried[done]] = {"note": f"ended after {patience:g} s"}
        dropped, done = f"dropped: ended after {patience:g} s at n = {tried[done]}", done + 1
    except RuntimeError as error:
        rows[tried[done]] = {"note": str(error).splitlines()[-1]}
        dropped, done = f"dropped: failed at n = {tried[done]}", done + 1
    for n in tried[done:]:
        rows[n] = {"note": dropped}
    return list(rows.values())


def _at_once(kind: str, n: int, seed: int) -> list[Row]:
    """Return the rows of one small problem, everything in this process: whether it works, not how fast."""
    rows: dict[str, Row] = {}
    for name, contender in CONTENDERS.items():
        refusal = contender.refusal(kind, n) or ("" if not contender.package else "not tried at this scale")
        if refusal:
            rows[name] = {"note": refusal}
        else:
            limit = 10.0 if contender.at_once else 0.1
            contender.solve(make_problem(kind, n, seed + 1), limit)  # compiles
            rows[name] = reached(certify(contender.solve(make_problem(kind, n, seed), limit)))
    return _against_ours(rows, kind, n)


def reached(attempts: Attempts) -> Row:
    """Return the least seconds of an attempt that reached each tolerance, and the smallest gap with its note.

    Examples
    --------
    >>> row = reached([(0.1, 1e-2, "coarse"), (2.0, 1e-7, "fine"), (3.0, 5e-7, "late")])
    >>> row["seconds to 1e-3"], row["seconds to 1e-6"], row["seconds to 1e-9"], row["smallest gap"], row["note"]
    (2.0, 2.0, None, 1e-07, 'fine')
    """
    row: Row = {}
    for tol in TOLERANCES:
        row[f"seconds to {tol}"] = min((seconds for seconds, gap, _ in attempts if gap <= float(tol)), default=None)
    attempts = [attempt for attempt in attempts if math.isfinite(attempt[1])]
    best: Any = min(attempts, key=lambda attempt: attempt[1], default=(0.0, None, "no answer in the time"))
    return row | {"smallest gap": best[1], "note": best[2]}


def _against_ours(rows: dict[str, Row], kind: str, n: int) -> list[Row]:
    """Return the rows with names, and with their seconds and memory over those of `OURS`; last, who was not run."""
    ours = rows[OURS]
    done: list[Row] = []
    idle: dict[str, list[str]] = {}
    for name, row in rows.items():
        if set(row) == {"note"}:
            idle.setdefault(row["note"], []).append(name)
            continue
        complete: Row = {"name": f"{kind}, n = {n}: {name}"}
        for tol in TOLERANCES:
            complete[f"seconds to {tol}"] = row[f"seconds to {tol}"]
        for tol in TOLERANCES:
            complete[f"over ours, {tol}"] = _over(row[f"seconds to {tol}"], ours.get(f"seconds to {tol}"))
        complete |= {"memory": row.get("memory"), "memory over ours": _over(row.get("memory"), ours.get("memory"))}
        done.append(complete | {"smallest gap": row["smallest gap"], "note": row["note"]})
    if idle:
        reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in idle.items())
        done.append({"name": f"{kind}, n = {n}: no result", "note": reasons})
    return done


def _over(value: float | None, ours: float | None) -> float | None:
    return None if value is None or not ours else value / ours
