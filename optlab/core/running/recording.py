"""Record schedules: after which iterations a run is measured."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from optlab.core.validation import as_integer

# 24 points a decade: neighbours lie 10 % apart, so an iteration count read off a log-spaced history is at most
# 10 % above the true one
_POINTS_PER_DECADE = 24


class Schedule:
    """The iterations at which a run is recorded; the start and the last iterate are recorded in any case.

    Parameters
    ----------
    record : {"log", "all"}, int or sequence of int
        "log": every iteration up to 10, then ones about 10 % apart; an int: every so many iterations; "all": every
        iteration; a sequence: these iterations.

    Examples
    --------
    >>> schedule = Schedule("log")
    >>> points = [0]
    >>> while points[-1] < 40:
    ...     points.append(schedule.next_after(points[-1], 40))
    >>> points
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 26, 29, 32, 35, 38, 40]
    """

    def __init__(self, record: Any = "log") -> None:
        self._every: int | None = None
        self._points: list[int] | None = None
        if isinstance(record, str):
            if record not in ("log", "all"):
                raise ValueError(
                    f"record must be 'log', 'all', a number of iterations or a sequence of iterations, got {record!r}"
                )
            if record == "all":
                self._every = 1
        elif isinstance(record, (Sequence, np.ndarray, range)):
            points = sorted({as_integer(v, f"record[{i}]", minimum=0) for i, v in enumerate(record)})
            self._points = points
        else:
            self._every = as_integer(record, "record", minimum=1)

    def next_after(self, k: int, last: int) -> int:
        """Return the first record point after iteration `k`, at most `last`."""
        if self._every is not None:
            return min(last, k - k % self._every + self._every)
        if self._points is not None:
            position = bisect_right(self._points, k)
            return min(last, self._points[position]) if position < len(self._points) else last
        if k < 10:
            return min(last, k + 1)
        exponent = int(np.floor(_POINTS_PER_DECADE * np.log10(k)))
        while (point := round(10 ** (exponent / _POINTS_PER_DECADE))) <= k:
            exponent += 1
        return min(last, point)

    def contains(self, k: int) -> bool:
        """Return whether `k` is a point of the schedule itself, not just the end of a run."""
        return k == 0 or self.next_after(k - 1, k + 1) == k
