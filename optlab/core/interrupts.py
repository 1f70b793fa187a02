"""Ctrl-C and termination signals: how an interrupt leaves a run, and a program made of many runs.

Three rules:

* `optlab.solve` answers Ctrl-C with the run so far, ``Status.INTERRUPTED``. A run that serves a larger computation must
  not: a half-finished part would pass for a whole one. Everything in optlab that runs another solve inside calls
  ``solve(..., on_interrupt="raise")``, and whatever runs code of others does so inside `raising`.
* SIGTERM and SIGHUP (Slurm, docker, systemd, a closed terminal) end a run as Ctrl-C does, with history and checkpoint
  saved; then the program ends too, by ``SystemExit`` with status 128 + the signal's number, so that ``finally`` blocks
  and exit handlers run and no worker process is left behind (`terminable`).
* A worker process ends with its parent, however that died (`end_with_parent`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

_raising: ContextVar[bool] = ContextVar("optlab_raising", default=False)

_TERMINATION = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

# the termination signal that has arrived, and how many of any kind; the handlers are the process's, so these are, too
_received: int | None = None
_arrivals = 0


class Terminated(KeyboardInterrupt):
    """A termination signal, raised where Ctrl-C would raise `KeyboardInterrupt`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Within it, an interrupted `optlab.solve` raises `KeyboardInterrupt` instead of returning the run so far.

    Examples
    --------
    >>> with raising():
    ...     interrupts_are_raised()
    True
    """
    token = _raising.set(True)
    try:
        yield
    finally:
        _raising.reset(token)


def interrupts_are_raised() -> bool:
    """Return whether the caller is inside `raising`."""
    return _raising.get()


@contextlib.contextmanager
def terminable(keyboard: bool = False) -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGHUP into `Terminated` inside, and at the end into ``SystemExit``, with 128 + number.

    Handlers are set in the main thread of the main process only, only over the default ones (a program with handlers of
    its own, or under ``nohup``, keeps them), and are put back. The first signal raises; later ones, which often come
    along with it, are ignored, so that what is being saved is saved. What is raised carries the `result` of the run, if
    any.

    Parameters
    ----------
    keyboard : bool
        Take note of Ctrl-C, too, unless the program has a handler of its own; it raises `KeyboardInterrupt` as ever.

    Yields
    ------
    threading.Event
        Set once a signal has arrived, even if the code inside has swallowed what was raised.
    """
    global _received
    seen = threading.Event()
    leaving = False

    def on_termination(number: int, frame: Any) -> None:
        global _received, _arrivals
        _arrivals += 1
        if _received is None:
            _received = number
            seen.set()
            if not leaving:
                raise Terminated(number)

    def on_keyboard(number: int, frame: Any) -> None:
        global _arrivals
        _arrivals += 1
        seen.set()
        raise KeyboardInterrupt

    handlers: dict[int, Any] = {}
    if _in_main_thread_of_main_process():
        handlers = {n: on_termination for n in _TERMINATION if signal.getsignal(n) is signal.SIG_DFL}
        if keyboard and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            handlers[signal.SIGINT] = on_keyboard
    outermost = on_termination in handlers.values()
    error: BaseException | None = None
    old: dict[int, Any] = {}
    try:
        for number, handler in handlers.items():
            old[number] = signal.signal(number, handler)
        yield seen
    except BaseException as raised:
        error = raised
        raise
    finally:
        leaving = True
        for number, handler in old.items():
            signal.signal(number, handler)
        if outermost and _received is not None:
            leave = SystemExit(128 + _received)
            leave.result = getattr(error, "result", None)  # type: ignore[attr-defined]
            _received = None
            raise leave from error


def arrivals() -> int:
    """Return how many signals have arrived inside `terminable`.

    What a handler raises may be lost on its way: Numba's dispatcher and `zipfile` put exceptions of their own in its
    place, and in a callback of the garbage collector it is only printed. That the number has grown tells all the same.
    """
    return _arrivals


def lost_interrupt(error: BaseException | None = None) -> KeyboardInterrupt:
    """Return the exception for a signal whose own was lost, with `error` as what came in its place."""
    interrupt = KeyboardInterrupt() if _received is None else Terminated(_received)
    interrupt.__cause__ = error
    return interrupt


def termination_received() -> bool:
    """Return whether SIGTERM or SIGHUP has arrived inside `terminable`."""
    return _received is not None


def _in_main_thread_of_main_process() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    # a worker's SIGTERM is its pool's way of ending it, at once
    process = sys.modules.get("multiprocessing.process")
    return process is None or process.current_process().name == "MainProcess"


_watching = False


def end_with_parent(interval: float = 1.0) -> None:
    """In a worker process: end once the parent has gone, even if it was killed; elsewhere, do nothing.

    A worker of a pool would otherwise finish its task and then wait for minutes for another one.
    """
    global _watching
    if _watching or not hasattr(os, "getppid") or "multiprocessing.process" not in sys.modules:
        return
    process = sys.modules["multiprocessing.process"].current_process()
    if not process.name.startswith("LokyProcess"):
        return
    _watching = True
    # as the process object was told: by now its parent may be gone, and another have taken its place
    parent = getattr(process, "_parent_pid", os.getppid())

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(interval)
        os._exit(1)

    threading.Thread(target=watch, name="optlab-parent", daemon=True).start()


__all__ = [
    "Terminated",
    "arrivals",
    "end_with_parent",
    "interrupts_are_raised",
    "lost_interrupt",
    "raising",
    "terminable",
    "termination_received",
]
