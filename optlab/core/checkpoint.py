"""Checkpoints: the state, the history and the random generator in one ``.npz`` file, written atomically, no pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from optlab.core.errors import CheckpointError
from optlab.core.files import write_atomically
from optlab.core.history import History
from optlab.core.serialization import dataclass_types, pack, unpack

_FORMAT = 1


@dataclass
class Checkpoint:
    """What is needed to go on with a run.

    Attributes
    ----------
    state : object
        The method's state.
    history : History
        The records so far that lie on the record schedule.
    rng : numpy.random.Generator
        The driver's random generator.
    solve_time : float
        Seconds of solver time so far.
    start_k : int
        The state's iteration count when the run began (not 0 if it went on from an earlier result).
    identity : dict of str to str
        What must agree for a run to be resumed: method, problem, seed, record schedule.
    """

    state: Any
    history: History
    rng: np.random.Generator
    solve_time: float
    start_k: int
    identity: dict[str, str]

    def save(self, path: Path) -> None:
        """Write the checkpoint to `path`, atomically."""
        arrays: dict[str, np.ndarray] = {}
        header = {
            "format": _FORMAT,
            "identity": self.identity,
            "state": pack(self.state, arrays),
            "rng": pack(self.rng, arrays, "rng"),
            "solve_time": self.solve_time,
            "start_k": self.start_k,
            "primary_metric": self.history.primary_metric,
            "metadata": self.history.metadata,
            "columns": list(self.history.columns),
        }
        for i, name in enumerate(self.history.columns):
            arrays[f"column:{i}"] = self.history[name]

        def write(file: IO[Any]) -> None:
            np.savez(file, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]

        write_atomically(path, write)

    @classmethod
    def load(cls, path: Path, template: Any) -> Checkpoint:
        """Read a checkpoint; `template` is a state of the method about to go on, which says what classes may occur.

        Raises
        ------
        CheckpointError
            If the file is damaged or of another kind.
        """
        remedy = "remove it or pass resume=False to start anew"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                arrays: Mapping[str, np.ndarray] = {name: archive[name] for name in archive.files}
            header = json.loads(str(arrays["header"]))
            if header["format"] != _FORMAT:
                raise CheckpointError(
                    f"checkpoint {str(path)!r} has format {header['format']}, this version reads {_FORMAT}; {remedy}"
                )
            classes = dataclass_types(template)
            columns = {name: arrays[f"column:{i}"].tolist() for i, name in enumerate(header["columns"])}
            return cls(
                state=unpack(header["state"], arrays, classes),
                history=History(columns, primary_metric=header["primary_metric"], metadata=header["metadata"]),
                rng=unpack(header["rng"], arrays, classes),
                solve_time=float(header["solve_time"]),
                start_k=int(header["start_k"]),
                identity=header["identity"],
            )
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, OSError) as error:
            raise CheckpointError(
                f"checkpoint {str(path)!r} cannot be read: it is truncated, damaged or not a checkpoint ({error}); "
                f"{remedy}"
            ) from None

    def check_identity(self, expected: dict[str, str], path: Path) -> None:
        """Raise `CheckpointError` if this checkpoint is of another run than `expected`."""
        for name, wanted in expected.items():
            found = self.identity.get(name)
            if found != wanted:
                raise CheckpointError(
                    f"checkpoint {str(path)!r} belongs to another run: its {name} is {found}, this run's is {wanted}; "
                    "remove it or pass resume=False to start anew"
                )
