"""The mutation campaign: plant one fault at a time in a copy of the package, and see which tests and checks notice.

    python tests/mutation/campaign.py [--only PART ...] [--slice I/N] [--out mutation.json]

Each fault runs in processes of its own on a copy in a temporary folder. The report is a table: the fault, the first
test that failed, the checks that did not pass. Exit status 0 if the shares that are asked for are met.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from faults import ROOT, Fault, faults

LIMIT = 900  # seconds for the tests of one fault, and for its checks


def copy_of_the_tree(folder: Path) -> None:
    """Copy what tests and checks need; the compiled caches of Numba are left, they do not see faults in callees."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("optlab", "tests", "experiments", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "constraints.txt"):
        shutil.copy2(ROOT / name, folder / name)


def _run(command: list[str], folder: Path, cache: Path) -> tuple[int, str]:
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(cache),
    }
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return 124, "out of time"
    return done.returncode, done.stderr + done.stdout  # warnings first: the last line is the answer


def _first_failure(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0] if lines else output.strip().splitlines()[-1] if output.strip() else "no output"


def examine(fault: Fault, folder: Path, with_checks: bool = True) -> dict[str, Any]:
    """Plant `fault` in the copy, run its tests and checks, and take it out again."""
    path = folder / fault.file
    before = path.read_bytes()
    path.write_text(fault.new, encoding="utf-8")
    # what is compiled from faulty code must not be found by the next fault, nor what is sound by this one
    compiled = any(word in fault.new for word in ("njit", "step_rule", "update_rule"))
    cache = Path(tempfile.mkdtemp(dir=folder.parent)) if compiled else folder.parent / "cache"
    record: dict[str, Any] = {"id": fault.id, "file": fault.file, "what": fault.what}
    try:
        code, output = _run(
            [
                sys.executable,
                "-m",
                "pytest",
                *fault.tests,
                fault.file,
                "--doctest-modules",
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "--no-header",
            ],
            folder,
            cache,
        )
        # 1: a test failed; 2: nothing could be collected; 124: out of time, which a fault can be the cause of
        record |= {"tests": code in (1, 2, 124), "test": _first_failure(output) if code else ""}
        if code not in (0, 1, 2, 124):
            raise RuntimeError(f"{fault.id}: pytest ended with status {code}:\n{output}")
        if fault.checks and with_checks:
            code, output = _run([sys.executable, __file__, "--checks", *fault.checks], folder, cache)
            failed = json.loads(output.splitlines()[-1]) if code == 0 else ["crash: " + output[-200:]]
            record |= {"checks": bool(failed), "check": failed}
    finally:
        path.write_bytes(before)
        if compiled:
            shutil.rmtree(cache, ignore_errors=True)
    return record


def failing_checks(patterns: list[str]) -> list[str]:
    """Return up to three checks that do not pass, controls included; run in the copy."""
    from optlab import theorems

    failed: list[str] = []
    for id, spec in theorems.discover().items():
        if len(failed) < 3 and any(fnmatchcase(id, pattern) for pattern in patterns):
            try:
                good = spec.accepts(spec("smoke", 0).verdict)
                good = good and all(spec.refutes(control("smoke", 0).verdict) for control in spec.controls)
            except Exception:
                good = False
            if not good:
                failed.append(id)
    return failed


def report(records: list[dict[str, Any]]) -> str:
    """Return the table as Markdown, the shares first."""
    tests = [r["tests"] for r in records]
    checks = [r["checks"] for r in records if "checks" in r]
    lines = [
        f"{sum(tests)} of {len(tests)} faults noticed by tests, {sum(checks)} of {len(checks)} by checks.",
        "",
        "| fault | what | noticed by test | by check |",
        "|---|---|---|---|",
    ]
    for r in records:
        check = ", ".join(r["check"]) or "**none**" if "checks" in r else "no check"
        test = r["test"].replace("FAILED ", "") if r["tests"] else "**none**"
        lines.append(f"| {r['id']} | `{r['what'].replace('|', chr(92) + '|')}` | {test} | {check} |")
    return "\n".join(lines)


def campaign(chosen: list[Fault], out: Path | None, with_checks: bool = True) -> list[dict[str, Any]]:
    """Examine faults one after the other; the records so far are in `out` after each."""
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tree"
        copy_of_the_tree(folder)
        for fault in chosen:
            records.append(examine(fault, folder, with_checks))
            print(json.dumps(records[-1]), flush=True)
            if out is not None:
                out.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return records


def main() -> int:
    """Run as the top of this file says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--slice", default="0/1")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checks", nargs="*")
    options = parser.parse_args()
    if options.checks is not None:
        print(json.dumps(failing_checks(options.checks)))
        return 0
    part, parts = map(int, options.slice.split("/"))
    chosen = [f for f in faults() if not options.only or any(word in f.id for word in options.only)][part::parts]
    records = campaign(chosen, options.out)
    print(report(records))
    checks = [r["checks"] for r in records if "checks" in r]
    met = sum(r["tests"] for r in records) >= 0.97 * len(records) and sum(checks) >= 0.8 * len(checks)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
