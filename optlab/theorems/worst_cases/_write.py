"""Writes the table of worst cases anew: ``python -m optlab.theorems.worst_cases._write [part of an id ...]``."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from pathlib import Path

from optlab.theorems.worst_cases._cases import CASES
from optlab.theorems.worst_cases._values import VALUES


def main(parts: list[str]) -> None:
    """Compute the worst cases whose id has one of `parts` in it (default: all) and write the table."""
    for name in ("splitting", "relative_smoothness", "steps", "sums", "operators"):
        importlib.import_module(f"optlab.theorems.worst_cases.{name}")
    versions = " ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pepit", "clarabel", "scs"))
    controls: dict[str, list[float]] = {}
    for id, case in CASES.items():
        if parts and not any(part in id for part in parts):
            continue
        key = repr((case.wrong or case.method, case.wrong_class or case.problem_class, case.metric, case.ks))
        if key not in controls:
            controls[key] = case.computed(wrong=True, confirm=False)
        VALUES[id] = {"value": case.computed(wrong=False), "control": controls[key], "solvers": versions}
        print(id, VALUES[id], [case.bound(k) for k in case.ks], flush=True)
        table = {id: VALUES[id] for id in sorted(VALUES) if id in CASES}
        text = json.dumps(table, indent=1).replace("NaN", "NAN").replace("Infinity", "INFINITY")
        Path(__file__).with_name("_values.py").write_text(
            '"""Worst cases of the classes, by check: written by `_write`, not by hand."""\n\n'
            + "".join(f"from math import {n[:3].lower()} as {n}\n" for n in ("INFINITY", "NAN") if n in text)
            + "\n"
            + f"VALUES: dict = {text}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main(sys.argv[1:])
