"""Results on disk: one folder per (kind, id, scale, seed), replaced whole; plus the index the report is made
from.

    results/cache/<kind>/<id>--<scale>-<seed>/    record.json and the files; valid while record["key"] matches
    results/figures/<paper>/<id>.png|pdf|...      what was last run, under names to use in a text
    results/theorems/<paper>/<id>/...
    results/sources/<folder>/<file>.html          the code of each figure and check, as it ran
    results/index.json                            the records shown in index.html, what is planned and has not run

Everything is written to a temporary name and renamed, so a killed run leaves no half-written result. No
pickle.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from optlab.reproduce.markup import source_page

FORMAT = 2  # of the records in index.json; an index in another format is not read


class UnwritableOutput(OSError):
    """The results folder cannot be written to."""


class Store:
    """The results folder.

    Parameters
    ----------
    out : path-like
        Made if it does not exist.

    Raises
    ------
    UnwritableOutput
        Before anything is computed, if a file cannot be written there.
    """

    def __init__(self, out: str | os.PathLike[str]) -> None:
        self.out = Path(out).absolute()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.out, prefix=".probe-"):
                pass
        except OSError as error:
            reason = error.strerror or str(error)
            raise UnwritableOutput(
                f"cannot write results to {self.out}: {reason}; choose another folder with --out"
            ) from None
        self._clean()

    def get(self, kind: str, id: str, scale: str, seed: int, key: str) -> dict[str, Any] | None:
        """Return the cached record, or None if there is none for this key or it is damaged."""
        folder = self._folder(kind, id, scale, seed)
        try:
            record: dict[str, Any] = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if record.get("key") != key or not all((folder / name).is_file() for name in record["files"]):
            return None
        return record

    def put(self, record: dict[str, Any], files: dict[str, bytes]) -> None:
        """Keep a result, replacing an older one of the same run."""
        folder = self._folder(record["kind"], record["id"], record["scale"], record["seed"])
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        try:
            for name, data in files.items():
                (temporary / name).write_bytes(data)
            (temporary / "record.json").write_text(to_json(record), encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise

    def publish(self, record: dict[str, Any]) -> dict[str, Any]:
        """Copy a cached result's files to their readable places; return the record with those paths added."""
        source = self._folder(record["kind"], record["id"], record["scale"], record["seed"])
        target = self.out / f"{record['kind']}s" / record["paper"] / record["id"]
        target.mkdir(parents=True, exist_ok=True)
        for old in target.iterdir():
            if old.is_file() and old.name not in record["files"]:
                old.unlink()
        for name in record["files"]:
            write_bytes(target / name, (source / name).read_bytes())
        return record | {"folder": target.relative_to(self.out).as_posix()}

    def publish_source(self, file: str) -> str:
        """Write a source file as a page with numbered lines (``#L12``); return its place in the results folder."""
        path = Path(file)
        page = self.out / "sources" / path.parent.name / f"{path.stem}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(page, source_page(path.name, path.read_text(encoding="utf-8")).encode())
        return page.relative_to(self.out).as_posix()

    def read_index(self) -> dict[str, Any]:
        """Return the index of the last runs; an empty one if there is none or it cannot be read."""
        try:
            index: dict[str, Any] = json.loads((self.out / "index.json").read_text(encoding="utf-8"))
            if index.get("format") == FORMAT and all(isinstance(index.get(k), list) for k in ("records", "pending")):
                return index
        except (OSError, ValueError, AttributeError):
            pass
        return {"records": [], "pending": []}

    def write_index(self, index: dict[str, Any]) -> None:
        """Write the index."""
        write_bytes(self.out / "index.json", to_json(index | {"format": FORMAT}).encode())

    def _folder(self, kind: str, id: str, scale: str, seed: int) -> Path:
        return self.out / "cache" / kind / f"{id.replace('/', '--')}--{scale}-{seed}"

    def _clean(self) -> None:
        """Remove what a killed run left behind."""
        for leftover in self.out.glob("cache/*/.new-*"):
            if time.time() - leftover.stat().st_mtime > 3600:  # a younger one may be another run's, at work
                shutil.rmtree(leftover, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; leave it alone if it already holds these bytes."""
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def to_json(value: Any) -> str:
    """JSON that any reader accepts: infinities and NaN become strings, since JSON has no such numbers."""
    return json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Return JSON values: tuples as lists, NaN and infinities as the strings "nan", "inf", "-inf"."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
