"""The progress bar of a run or of a study: tqdm when one is wanted, nothing otherwise."""

from __future__ import annotations

import sys
import warnings
from typing import Any


class ProgressBar:
    """A bar over iterations that shows the primary metric, or over runs; with the time left.

    Parameters
    ----------
    show : bool or None
        None: only if standard error is a terminal, or a notebook's.
    total : int
        Iterations at most.
    name : str
        What is running.
    unit : str
        What is counted.
    done : int
        How many are done at the start, and cost no time.
    """

    def __init__(self, show: bool | None, total: int, name: str, unit: str = "it", done: int = 0) -> None:
        self._bar: Any = None
        notebook = _in_notebook()
        if show or (show is None and sys.stderr is not None and (sys.stderr.isatty() or notebook)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a notebook without ipywidgets gets a bar of characters
                from tqdm.auto import tqdm

            # a widget for every short run would make cells jump
            delay = 0.5 if notebook and show is None else 0.0
            self._bar = tqdm(
                total=total, initial=done, desc=name, unit=unit, dynamic_ncols=True, leave=False, delay=delay
            )

    @property
    def shown(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def move_to(self, k: int) -> None:
        """Set the number of iterations done."""
        if self._bar is not None:
            self._bar.update(k - self._bar.n)

    def tell(self, name: str | None, value: float | None) -> None:
        """Show the newest value of the primary metric."""
        if self._bar is not None and name is not None and value is not None:
            self._bar.set_postfix_str(f"{name}={value:.3g}")

    def say(self, text: str) -> None:
        """Show a text at once, until the next value."""
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def _in_notebook() -> bool:
    """Whether standard error is that of a Jupyter kernel, which is no terminal."""
    return type(sys.stderr).__module__.partition(".")[0] == "ipykernel"
