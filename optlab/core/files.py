"""Files that are either whole or not there: write beside the target, flush, then rename over it.

A file being written is locked, and the lock goes with it when it takes the target's place. So a lock says that a
writer is alive, and nothing more: the system drops it with the process, however that ends. Where there are no such
locks (Windows, some network drives), leftovers of killed writers stay and a second writer is noticed later.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# What a file may unpack to beyond its own size: far above the histories that compress well, far below a bomb.
UNPACKED_LIMIT = 2**28


def check_writable(path: str | os.PathLike[str], name: str = "path") -> Path:
    """Return `path` as a `Path` after making sure, before any work is done, that a file can be written there.

    Raises
    ------
    OSError
        `NotADirectoryError`, `IsADirectoryError`, `FileNotFoundError`, `PermissionError` or another, naming the
        argument.
    """
    path = Path(path)
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            length = len(os.fsencode(path.name))
            raise OSError(f"{name}: the file name {path.name[:40]!r}... of {length} bytes is too long here") from None
        if error.errno == errno.ELOOP:
            raise OSError(f"{name}: {str(path)!r} is a symbolic link that leads back to itself") from None
    target = _resolved(path)
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
        handle, probe = tempfile.mkstemp(prefix=_prefix(target), suffix=".part", dir=folder)
    except OSError as error:
        raise type(error)(f"{name}: cannot write in the folder {str(folder)!r} ({error.strerror})") from None
    os.close(handle)
    os.unlink(probe)
    return path


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[Any]], None], mode: str = "wb") -> None:
    """Call ``write(file)`` on a temporary file beside `path` and rename it over `path` once it is on the disk.

    A reader, or a process that is killed at any moment, sees the old file or the new one, never a part of either. What
    writers of the same file left behind when they were killed is removed. A symbolic link stays one: what it points to
    is written.
    """
    handles: list[int] = []
    try:
        _replace(_resolved(path), write, mode, handles)
    finally:
        _close(handles)


class OwnedFile:
    """A file that one writer replaces again and again, and that no other one may replace in the meantime.

    Parameters
    ----------
    path : path
        The file, which need not exist yet.

    Raises
    ------
    BlockingIOError
        If another writer that is alive owns the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = _resolved(path)
        # of the file as it should be found: open, so that its number is not given anew. More than one only for a
        # moment, in which an interrupt may come: then either may be the file
        self.handles: list[int] = []
        with contextlib.suppress(FileNotFoundError):
            try:
                self.handles.append(os.open(self.path, os.O_RDWR))
            except PermissionError:
                self.handles.append(os.open(self.path, os.O_RDONLY))
        if self.handles and not _lock(self.handles[0], wait=False):
            self.close()
            raise BlockingIOError(f"another run that is alive is writing {str(path)!r}")
        _owned.add(self)

    def write(self, write: Callable[[IO[Any]], None]) -> None:
        """Replace the file as `write_atomically` does.

        Raises
        ------
        BlockingIOError
            If another writer replaced it in the meantime.
        """
        with contextlib.suppress(FileNotFoundError):
            found = os.stat(self.path)
            if not any(os.path.samestat(found, os.fstat(handle)) for handle in self.handles):
                raise BlockingIOError(f"another run has written {str(self.path)!r} in the meantime")
        _replace(self.path, write, "wb", self.handles)
        _close(self.handles, keep=1)

    def close(self) -> None:
        """Let others write the file."""
        _close(self.handles)


_owned: weakref.WeakSet[OwnedFile] = weakref.WeakSet()


def _disown() -> None:
    for file in list(_owned):  # a forked worker that outlives its parent must not hold the parent's lock
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown)


def _replace(target: Path, write: Callable[[IO[Any]], None], mode: str, handles: list[int]) -> None:
    """Replace `target` and append a handle of the new file, which is locked, to `handles`."""
    _remove_leftovers(target)
    handle, temporary = tempfile.mkstemp(prefix=_prefix(target), suffix=".part", dir=target.parent)
    handles.append(handle)  # before the file is in its place: who is interrupted right after must know it
    try:
        _lock(handle, wait=True)
        if not os.fstat(handle).st_nlink:  # another writer took it for a leftover in the moment before it was locked
            os.close(handles.pop())
            return _replace(target, write, mode, handles)
        with os.fdopen(os.dup(handle), mode, **({} if "b" in mode else {"encoding": "utf-8", "newline": ""})) as file:  # type: ignore[call-overload]
            write(file)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes private files; a result is as readable as the one before it, or as any other file of the user's
        try:
            permissions = os.stat(target).st_mode & 0o7777
        except FileNotFoundError:
            umask = os.umask(0)
            os.umask(umask)
            permissions = 0o666 & ~umask
        os.chmod(temporary, permissions)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):  # it is in its place already if the exception is an interrupt
            os.unlink(temporary)
            os.close(handles.pop())
        raise


def _close(handles: list[int], keep: int = 0) -> None:
    while len(handles) > keep:
        os.close(handles.pop(0))  # taken out first: what is in the list is open, whenever an interrupt comes


def _remove_leftovers(target: Path) -> None:
    # eight characters are what mkstemp puts in: of "run" these are the leftovers, and not of "run.npz"
    for leftover in target.parent.glob(f"{glob.escape(_prefix(target))}????????.part"):
        with contextlib.suppress(OSError):
            handle = os.open(leftover, os.O_RDWR)
            try:
                if fcntl is not None and _lock(handle, wait=False):
                    os.unlink(leftover)
            finally:
                os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    """Lock an open file; False if somebody else has the lock. Where files cannot be locked, True."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _resolved(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _prefix(target: Path) -> str:
    """How the temporary files of `target` begin; no longer than a file name may be."""
    name = target.name
    if len(os.fsencode(name)) > 200:
        name = hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()
    return f".{name}."


# ---------------------------------------------------------------------- reading what others may have written


def check_unpacked_size(size: int, path: Path) -> None:
    """Raise `ValueError` if a file says that it unpacks to more than it can hold in good faith."""
    limit = UNPACKED_LIMIT + 4 * path.stat().st_size
    if size > limit:
        raise ValueError(f"it would unpack to {size:.3g} bytes, more than the {limit:.3g} that are read of such a file")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file, without trusting it: sizes are checked before anything is allocated.

    Raises
    ------
    ValueError
        If the file is no whole ``.npz`` file, holds objects, or declares sizes that it does not have.
    OSError
        If it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_unpacked_size(sum(info.file_size for info in archive.infolist()), path)
            return {info.filename.removesuffix(".npy"): _read_array(archive, info) for info in archive.infolist()}
    except (OSError, ValueError):
        raise
    except Exception as error:  # zlib, struct, encryption, unknown compression: many kinds of the one fault
        raise ValueError(f"it is no whole .npz file ({type(error).__name__}: {error})") from None


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    formats: Any = np.lib.format
    with archive.open(info) as member:
        version = formats.read_magic(member)
        read_header = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
        shape, _, dtype = read_header(member)
        if dtype.hasobject:
            raise ValueError(f"{info.filename!r} holds objects, which are never read from a file")
        size = dtype.itemsize
        for length in shape:
            size *= length
        if size != info.file_size - member.tell():
            raise ValueError(f"{info.filename!r} declares shape {shape}, which is not the size of its data")
    with archive.open(info) as member:
        array: np.ndarray = formats.read_array(member, allow_pickle=False)
        member.read()  # to the end, where the checksum is compared
    return array


def names_of(items: Any, what: str) -> Iterator[str]:
    """Yield the strings of a list read from a file; `ValueError` if it is no such list."""
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"its {what} are not a list of names")
    yield from items
