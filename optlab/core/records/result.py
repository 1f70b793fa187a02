"""What a run ended as: `Status` (why it stopped) and `Result` (what it found, and its whole history)."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optlab.core.identity import stable_repr
from optlab.core.records.history import History


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

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write solution, certificate and history to an ``.npz`` file, whole or not at all; no pickle.

        Method and problem are written as text. A solution that refers to its problem, as a transport plan does, takes
        the problem along. The state is not written: to go on exactly, use ``checkpoint`` of `optlab.solve`.

        Parameters
        ----------
        path : path
            With the suffix ``.npz``.

        Returns
        -------
        Path

        Raises
        ------
        TypeError
            If the solution holds something that cannot be written, such as an object of a class of your own; the
            message gives its path.
        ValueError, OSError
            For another suffix, or if nothing can be written there.

        Examples
        --------
        >>> import tempfile, numpy as np, optlab
        >>> from optlab.splitting import BregmanDouglasRachford
        >>> from optlab.transport import OptimalTransport
        >>> problem = OptimalTransport([0.5, 0.5], [0.25, 0.75], np.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-6)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     back = optlab.Result.load(result.save(f"{folder}/run.npz"))
        >>> bool(back.solution.cost == result.solution.cost), back.history.equals(result.history)
        (True, True)
        """
        from optlab.core.records.stored import save_result

        return save_result(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, problem: Any = None, method: Any = None) -> Result:
        """Read a result that `save` wrote. The file is not trusted: nothing in it is executed.

        Parameters
        ----------
        path : path
        problem, method : object, optional
            What the run was of, to have it in the result; otherwise the result has what the file says: a text, or the
            problem that its solution brings along.

        Returns
        -------
        Result
            Without a state: as ``x0`` of a run it is a start like any other point.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not a result, is damaged, or is of a class that this version of optlab does not have.
        """
        from optlab.core.records.stored import load_result

        return load_result(path, problem=problem, method=method)

    def _repr_html_(self) -> str:
        from optlab.core.records.notebook import result_html

        return result_html(self)

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
