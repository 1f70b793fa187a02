"""Checkpoints: the state, the history and the random generator in one ``.npz`` file, written atomically, no pickle."""

from __future__ import annotations

import json
import math
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from optlab.core.errors import CheckpointError, CheckpointWarning
from optlab.core.files import OwnedFile, names_of, read_arrays
from optlab.core.identity import Identity, identify
from optlab.core.records.history import History
from optlab.core.serialization import dataclass_types, pack, unpack

_FORMAT = 2
_SECONDS = 2.0
_REMEDY = "remove it or pass resume=False to start anew"


def environment() -> dict[str, str]:
    """Return the versions that numbers depend on."""
    from optlab import __version__

    return {"optlab": __version__, "numpy": np.__version__, "python": platform.python_version()}


def run_identity(problem: Any, method: Any, x0: Any, record: Any, seed: Any) -> dict[str, Identity]:
    """Return what must agree for a run to be gone on with.

    Raises
    ------
    TypeError
        If a part of the problem, the method or the start cannot be identified.
    """
    if not isinstance(record, str):
        record = [int(k) for k in record] if np.ndim(record) else int(record)
    identity = {
        "method": identify(method, "method"),
        "problem": identify(problem, "problem"),
        "x0": identify(x0, "x0"),
        "record": identify(record, "record"),
    }
    if isinstance(seed, (int, np.integer)):
        identity["seed"] = identify(int(seed), "seed")
    return identity


@dataclass
class Checkpoint:
    """What is needed to go on with a run.

    Attributes
    ----------
    state : object
        The method's state.
    recorded : object
        The state of the history's last row: `state` itself, or an earlier one.
    history : History
        The records so far that lie on the record schedule.
    rng : numpy.random.Generator
        The driver's random generator.
    solve_time : float
        Seconds of solver time so far.
    start_k : int
        The state's iteration count when the run began (not 0 if it went on from an earlier result).
    identity : dict of str to Identity
        What must agree for a run to be resumed: method, problem, start, record schedule, seed.
    versions : dict of str to str
        What computed it.
    """

    state: Any
    recorded: Any
    history: History
    rng: np.random.Generator
    solve_time: float
    start_k: int
    identity: dict[str, Identity]
    versions: dict[str, str] = field(default_factory=lambda: environment())

    def save(self, file: OwnedFile) -> None:
        """Write the checkpoint, atomically."""
        arrays: dict[str, np.ndarray] = {}
        header = {
            "format": _FORMAT,
            "identity": {name: asdict(part) for name, part in self.identity.items()},
            "versions": self.versions,
            "state": pack(self.state, arrays),
            "recorded": None if self.recorded is self.state else pack(self.recorded, arrays),
            "rng": pack(self.rng, arrays, "rng"),
            "solve_time": self.solve_time,
            "start_k": self.start_k,
            "primary_metric": self.history.primary_metric,
            "metadata": self.history.metadata,
            "columns": list(self.history.columns),
        }
        for i, name in enumerate(self.history.columns):
            arrays[f"column:{i}"] = self.history[name]

        def write(opened: IO[Any]) -> None:
            np.savez(opened, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]

        file.write(write)

    @classmethod
    def load(cls, path: Path, identity: dict[str, Identity], template: Callable[[], Any]) -> Checkpoint:
        """Read the checkpoint of the run that `identity` describes.

        Parameters
        ----------
        path : Path
            The file.
        identity : dict of str to Identity
            From `run_identity`.
        template : callable
            Returns a state of the method about to go on, which says what classes may occur. Called only if the
            checkpoint is of this run.

        Raises
        ------
        CheckpointError
            If the file is damaged, of another kind or of another run.
        """
        with _reading(path):
            arrays = read_arrays(path)
            if "header" not in arrays:
                raise ValueError("it has no header")
            header = json.loads(str(arrays["header"]))
            if not isinstance(header, dict) or "format" not in header:
                raise ValueError("its header is not that of a checkpoint")
            if header["format"] != _FORMAT:
                raise CheckpointError(
                    f"checkpoint {str(path)!r} has format {header['format']}, this version reads {_FORMAT}; {_REMEDY}"
                )
            stored = {name: Identity(**part) for name, part in header["identity"].items()}
            versions = {str(name): str(version) for name, version in header["versions"].items()}
        _check_identity(stored, identity, versions, path)
        wanted = template()
        with _reading(path):
            classes = dataclass_types(wanted)
            columns = {name: arrays[f"column:{i}"] for i, name in enumerate(names_of(header["columns"], "columns"))}
            state = unpack(header["state"], arrays, classes)
            found = cls(
                state=state,
                recorded=state if header["recorded"] is None else unpack(header["recorded"], arrays, classes),
                history=History(columns, primary_metric=header["primary_metric"], metadata=header["metadata"]),
                rng=unpack(header["rng"], arrays, classes),
                solve_time=float(header["solve_time"]),
                start_k=int(header["start_k"]),
                identity=stored,
                versions=versions,
            )
            found._check(type(wanted))
        return found

    def _check(self, kind: type) -> None:
        for name in ("state", "recorded"):
            if type(getattr(self, name)) is not kind:
                raise ValueError(f"its {name} is a {type(getattr(self, name)).__name__}, not a {kind.__name__}")
        if not isinstance(self.rng, np.random.Generator):
            raise ValueError("it has no random generator")
        last = self.history.last.get("iteration", math.nan)
        if last != self.recorded.k - self.start_k or not self.recorded.k <= self.state.k:
            raise ValueError("its history does not end where its state is")
        if not (math.isfinite(self.solve_time) and self.solve_time >= 0):
            raise ValueError(f"its solver time is {self.solve_time}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever a damaged file makes the reader stumble over becomes a `CheckpointError` that names the file."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = str(error) if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"
        raise CheckpointError(
            f"checkpoint {str(path)!r} cannot be read: it is truncated, damaged or not a checkpoint ({reason}); "
            f"{_REMEDY}"
        ) from None


class Saver:
    """Writes the checkpoints of one run: when, and what happens if it fails. A context; without a path it does nothing.

    Parameters
    ----------
    path : Path or None
        The file. No other run may write it meanwhile.
    every : float or None
        Seconds from save to save. None: 2, and more where saving itself takes more than a twentieth of that.

    Raises
    ------
    CheckpointError
        If another run that is alive is writing the file.
    """

    def __init__(self, path: Path | None, every: float | None = None) -> None:
        self.path = path
        self.every = every
        self.interval = _SECONDS if every is None else every
        self.saved_at = time.monotonic()
        self.kept: int | None = None  # the iteration that the file on the disk has
        self.complaint = ""
        self.file: OwnedFile | None = None
        if path is not None:
            try:
                self.file = OwnedFile(path)
            except BlockingIOError as error:
                raise CheckpointError(f"checkpoint: {error}; give each run a file") from None

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file is not None:
            self.file.close()

    def due(self) -> bool:
        """Return whether it is time to save."""
        return self.file is not None and time.monotonic() - self.saved_at >= self.interval

    def save(self, checkpoint: Checkpoint, *, last: bool) -> None:
        """Write the checkpoint; a failure of the disk is a warning, since the run itself is sound.

        Raises
        ------
        CheckpointError
            If another run has written the file in the meantime.
        """
        assert self.file is not None
        began = time.monotonic()
        try:
            checkpoint.save(self.file)
        except BlockingIOError as error:
            raise CheckpointError(
                f"checkpoint: {error}, and is not overwritten; give each run a file of its own"
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            if last or reason != self.complaint:
                self.complaint = reason
                held = (
                    "there is none yet" if self.kept is None else f"the file holds the run up to iteration {self.kept}"
                )
                warnings.warn(
                    f"checkpoint {str(self.path)!r} could not be written ({reason}): "
                    f"{'the end of the run is not saved' if last else 'the run goes on'}; {held}",
                    CheckpointWarning,
                    stacklevel=2,
                )
        else:
            self.complaint = ""
            self.kept = int(checkpoint.state.k) - checkpoint.start_k
        self.saved_at = time.monotonic()
        if self.every is None:
            self.interval = max(_SECONDS, 20 * (self.saved_at - began))


def _check_identity(
    stored: dict[str, Identity], expected: dict[str, Identity], versions: dict[str, str], path: Path
) -> None:
    """Raise `CheckpointError` if a checkpoint is of another run; warn if only versions differ."""
    present = environment()
    changed = [name for name in present if versions.get(name) != present[name]]
    python = _minor(versions.get("python", "")) != _minor(present["python"])
    for name, wanted in expected.items():
        found = stored.get(name)
        if (
            found is None
            or found.data != wanted.data
            # another Python compiles functions to other byte code, another optlab has other functions
            or (found.code != wanted.code and not python)
            or (found.library != wanted.library and not changed)
        ):
            raise CheckpointError(
                f"checkpoint {str(path)!r} belongs to another run: its {name} is {_shown(found)}, this run's is "
                f"{_shown(wanted)}{_difference(found, wanted)}; {_REMEDY}"
            )
    if changed:
        then = ", ".join(f"{name} {versions.get(name, 'unknown')}" for name in changed)
        now = ", ".join(f"{name} {present[name]}" for name in changed)
        warnings.warn(
            f"checkpoint {str(path)!r} was written with {then}; this is {now}. The run goes on, but its last digits "
            f"may differ from an uninterrupted run's{', and functions cannot be compared' if python else ''}",
            CheckpointWarning,
            stacklevel=4,
        )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _shown(identity: Identity | None) -> str:
    if identity is None:
        return "not stored"
    shown = " ".join(str(identity.shown).split())
    return shown if len(shown) <= 100 else f"{shown[:97]}..."


def _difference(found: Identity | None, wanted: Identity) -> str:
    if found is None or not isinstance(found.parts, dict):
        return ""
    # parts come before what they are parts of, so the first that differs is the most telling one
    for path, digest in wanted.parts.items():
        if found.parts.get(path, digest) != digest:
            return f" (they differ in {path})" if len(wanted.parts) > 1 else ""
    return ""
