"""What a run ended as: `Status` (why it stopped) and `Result` (what it found, and its whole history)."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from optlab.core.history import History
from optlab.core.identity import stable_repr


class Status(enum.Enum):
    """Why a run stopped. Only `CONVERGED` is success: a tolerance was met, or a point reached that cannot improve.

    `INFEASIBLE` and `UNBOUNDED` mean that a certificate of it was found and checked.
    """

    CONVERGED = "converged"
    MAX_ITER = "max_iter"
    TIME_LIMIT = "time_limit"
    STALLED = "stalled"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"

    def __str__(self) -> str:
        return self.value


@dataclass(repr=False)
class Result:
    """The outcome of `optlab.solve`.

    Attributes
    ----------
    solution : object
        The problem's solution: an array, a transport plan, a policy.
    metrics : dict of str to float
        The metrics of `solution`, as last measured.
    history : History
        All records; the last row belongs to `solution`.
    status : Status
        Why the run stopped.
    message : str
        One sentence that a person can act on.
    n_iter : int
        Iterations done, up to `solution`.
    solve_time : float
        Seconds spent in the method's iterations; measuring, recording, preparing and compiling excluded.
    method, problem : object
        What was run on what.
    state : object
        The method's state at `solution`; ``optlab.solve(problem, method, x0=result)`` goes on from it.
    setup_time : float
        Seconds of preparation before the first iteration, and of compiling (once per process, and to disk where Numba
        can) during the run; also ``history.metadata["setup_time"]``.
    certificate : object or None
        Of `INFEASIBLE` and `UNBOUNDED`: what proves it, with a ``verify()`` of its own (for splitting methods an
        `optlab.splitting.Certificate`).
    """

    solution: Any
    metrics: dict[str, float]
    history: History
    status: Status
    message: str
    n_iter: int
    solve_time: float
    method: Any
    problem: Any
    state: Any = field(default=None)
    setup_time: float = 0.0
    certificate: Any = field(default=None)

    @property
    def success(self) -> bool:
        """Whether the status is CONVERGED."""
        return self.status is Status.CONVERGED

    def __repr__(self) -> str:
        width = max([len(name) for name in self.metrics] + [10])
        lines = [
            f"{self.status.name}: {self.message}",
            f"  {'method':<{width}}  {_shortened(stable_repr(self.method))}",
            f"  {'problem':<{width}}  {_shortened(stable_repr(self.problem))}",
            f"  {'iterations':<{width}}  {self.n_iter}",
            f"  {'solve time':<{width}}  {self.solve_time:.3g} s (and {self.setup_time:.3g} s to set up)",
        ]
        lines += [f"  {name:<{width}}  {value:.6g}" for name, value in self.metrics.items()]
        return "\n".join(lines)


def _shortened(text: str, limit: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
