"""How long just-in-time compilation took, so that it is not taken for solver time.

Numba tells its listeners when its compiler lock is taken and released: from there until there a thread compiles, loads
compiled code from disk, or waits for another thread that does. All three are over after the first call with arguments
of a kind, and none of them is the method's work.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_log = logging.getLogger("optlab")


class _Thread(threading.local):
    depth = 0
    began = 0.0
    seconds = 0.0
    told: tuple[str, Callable[[], Any]] | None = None


_thread = _Thread()
_listening = False
_lock = threading.Lock()


def compilation_seconds() -> float:
    """Return how long this thread has compiled, loaded or waited for compiled code since the first call.

    Numba is not imported for it: while it is not loaded, nothing compiles.

    Examples
    --------
    >>> compilation_seconds() >= 0
    True
    """
    if not _listening:
        _listen()
    _thread.depth = 0  # an interrupt between the event and the lock may have left it open
    return _thread.seconds


@contextmanager
def announcing(name: str, tell: Callable[[], Any]) -> Iterator[None]:
    """Within it, the first function that is really compiled calls `tell` and is logged, as on behalf of `name`."""
    before, _thread.told = _thread.told, (name, tell)
    try:
        yield
    finally:
        _thread.told = before


def _listen() -> None:
    global _listening
    if "numba" not in sys.modules:
        return
    try:
        from numba.core import event
    except ImportError:  # being imported at this moment, by another thread
        return

    class Listener(event.Listener):
        def on_start(self, event: Any) -> None:
            if event.kind == "numba:compile":
                _announce()
                return
            _thread.depth += 1
            if _thread.depth == 1:
                _thread.began = time.perf_counter()

        def on_end(self, event: Any) -> None:
            if event.kind == "numba:compile" or not _thread.depth:
                return
            _thread.depth -= 1
            if not _thread.depth:
                _thread.seconds += time.perf_counter() - _thread.began

    with _lock:
        if not _listening:
            listener = Listener()
            event.register("numba:compiler_lock", listener)  # type: ignore[no-untyped-call]
            event.register("numba:compile", listener)  # type: ignore[no-untyped-call]
            _listening = True


def _announce() -> None:
    if _thread.told is None:
        return
    (name, tell), _thread.told = _thread.told, None
    _log.info("%s: compiling, once; this is no solver time", name)
    tell()


__all__ = ["announcing", "compilation_seconds"]
