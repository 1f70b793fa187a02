"""Files that are either whole or not there: write beside the target, flush, then rename over it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


def check_writable(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Return `path` as a `Path` after making sure, before any work is done, that a file can be written there.

    Raises
    ------
    OSError
        `NotADirectoryError`, `IsADirectoryError`, `FileNotFoundError` or `PermissionError`, naming the argument.
    """
    target = Path(path)
    folder = target.parent
    if target.is_dir():
        raise IsADirectoryError(f"{name} must name a file, but {str(target)!r} is a folder")
    if not folder.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(
                f"{name}: the folder {str(folder)!r} does not exist and cannot be made ({error.strerror})"
            ) from None
    if not folder.is_dir():
        raise NotADirectoryError(f"{name}: {str(folder)!r} is not a folder, so {target.name!r} cannot be written in it")
    try:
        handle, probe = tempfile.mkstemp(prefix=".", suffix=".probe", dir=folder)
    except OSError as error:
        raise type(error)(f"{name}: cannot write in the folder {str(folder)!r} ({error.strerror})") from None
    os.close(handle)
    os.unlink(probe)
    return target


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[Any]], None], mode: str = "wb") -> None:
    """Call ``write(file)`` on a temporary file beside `path` and rename it over `path` once it is on the disk.

    A reader, or a process that is killed at any moment, sees the old file or the new one, never a part of either.
    """
    target = Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, mode, **({} if "b" in mode else {"encoding": "utf-8", "newline": ""})) as file:  # type: ignore[call-overload]
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as any other file of the user's
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
