"""JIVE: joint and individual variation explained (Lock, Hoadley, Marron and Nobel 2013), with given ranks.

    minimise  sum_k ||X_k - J_k - A_k||^2,    rank [J_1 ... J_K] <= r,  rank A_k <= r_k,  scores of J orthogonal to A_k

by alternation, run by `optlab.solve`. One iteration (section 2.3 of the paper):

    [J_1 ... J_K] = truncated singular value decomposition of [X_1 - A_1 ... X_K - A_K], with left vectors U
    A_k           = truncated singular value decomposition of (I - U U') (X_k - J_k)

Ranks are given: the permutation test that the paper chooses them with is not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from optlab.core.contract.protocols import Method, State
from optlab.core.running.solver import solve
from optlab.core.validation import as_flag, as_integer
from optlab.multiview.baselines.base import Baseline, per_view, truncated_svd
from optlab.multiview.views.preparation import Prepared

__all__ = ["JIVE", "AlternatingJIVE", "JIVESolution", "JointIndividual"]

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class JIVESolution:
    """Joint and individual parts of every view.

    Parameters
    ----------
    joint, individual : tuple of ndarray, shapes (n, p_k)
    scores : ndarray, shape (n, r)
        Orthonormal joint scores.
    """

    joint: Arrays
    individual: Arrays
    scores: np.ndarray


@dataclass(frozen=True)
class JointIndividual:
    """Split views into joint and individual parts of given ranks.

    Parameters
    ----------
    views : tuple of ndarray, shapes (n, p_k)
        Centred; scaled to comparable size.
    rank : int
        Joint rank.
    individual_ranks : tuple of int

    Notes
    -----
    ``measure`` gives the share of the squared norm that is left over. It does not tend to zero: stop on the method's
    ``change``, as in ``tol={"change": 1e-8}``.
    """

    views: Arrays = field(repr=False)
    rank: int
    individual_ranks: tuple[int, ...]
    primary_metric: ClassVar[str] = "residual"

    def default_start(self, rng: np.random.Generator) -> JIVESolution:
        """Parts that are zero; `rng` is not used."""
        zeros = tuple(np.zeros_like(X) for X in self.views)
        return JIVESolution(zeros, zeros, np.zeros((len(self.views[0]), self.rank)))

    def measure(self, iterate: JIVESolution) -> dict[str, float]:
        """``residual``: ``sum_k ||X_k - J_k - A_k||^2 / sum_k ||X_k||^2``."""
        parts = zip(self.views, iterate.joint, iterate.individual, strict=True)
        left = sum(float(np.sum((X - J - A) ** 2)) for X, J, A in parts)
        return {"residual": left / sum(float(np.sum(X * X)) for X in self.views)}


@dataclass
class JIVEState(State):
    """State of `AlternatingJIVE`.

    Parameters
    ----------
    k : int
    joint, individual : tuple of ndarray
    scores : ndarray, shape (n, r)
    bases : tuple of (ndarray or None)
        Orthonormal individual scores of each view; None before there are any.
    change : float
        Norm of the last change of the joint or the individual parts, the larger; of the data at the start.
    """

    joint: Arrays
    individual: Arrays
    scores: np.ndarray
    bases: tuple[np.ndarray | None, ...]
    change: float


@dataclass(frozen=True)
class AlternatingJIVE(Method):
    """The alternation of JIVE.

    Parameters
    ----------
    orthogonal_individual : bool, default False
        Make the individual scores of different views orthogonal to each other too, as the R package does (from the
        second iteration on).

    Examples
    --------
    >>> import numpy as np, optlab
    >>> rng = np.random.default_rng(0)
    >>> z = rng.standard_normal((20, 1))
    >>> views = tuple(z @ rng.standard_normal((1, p)) for p in (4, 5))
    >>> result = optlab.solve(JointIndividual(views, 1, (0, 0)), AlternatingJIVE(), tol={"change": 1e-10}, record=1)
    >>> result.success, result.metrics["residual"] < 1e-20
    (True, True)
    """

    orthogonal_individual: bool = False
    reference: ClassVar[str] = "lock2013joint"

    def init(self, problem: JointIndividual, x0: Any, rng: np.random.Generator) -> JIVEState:
        """Return the state at the start, a `JIVESolution`."""
        if not isinstance(x0, JIVESolution):
            raise TypeError(f"x0 must be a JIVESolution, got {type(x0).__name__}")
        bases = tuple(
            truncated_svd(A, r)[0] if np.any(A) else None
            for A, r in zip(x0.individual, problem.individual_ranks, strict=True)
        )
        size = float(np.sqrt(sum(np.sum(X * X) for X in problem.views)))
        return JIVEState(0, x0.joint, x0.individual, x0.scores, bases, size)

    def step(self, problem: JointIndividual, state: JIVEState) -> JIVEState:
        """Return the state after one update of the joint and of every individual part."""
        X = problem.views
        cuts = np.cumsum([Y.shape[1] for Y in X])[:-1]
        rest = np.hstack([Y - A for Y, A in zip(X, state.individual, strict=True)])
        scores, values, right = truncated_svd(rest, problem.rank)
        joint = tuple(np.split((scores * values) @ right, cuts, axis=1))
        bases, individual = list(state.bases), []
        for i, (Y, J) in enumerate(zip(X, joint, strict=True)):
            own = (Y - J) - scores @ (scores.T @ (Y - J))
            if self.orthogonal_individual and state.k > 0:
                for other, basis in enumerate(bases):
                    if other != i and basis is not None:
                        own = own - basis @ (basis.T @ own)
            u, s, v = truncated_svd(own, problem.individual_ranks[i])
            bases[i] = u
            individual.append((u * s) @ v)
        change = max(_distance(joint, state.joint), _distance(individual, state.individual))
        return JIVEState(state.k + 1, joint, tuple(individual), scores, tuple(bases), change)

    def iterate(self, problem: JointIndividual, state: JIVEState) -> JIVESolution:
        """Joint and individual parts, and the joint scores."""
        return JIVESolution(state.joint, state.individual, state.scores)

    def measure(self, problem: JointIndividual, state: JIVEState) -> dict[str, float]:
        """``change``: norm of the last change of the parts."""
        return {"change": state.change}


def _distance(new: Any, old: Any) -> float:
    return float(np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(new, old, strict=True))))


class JIVE(Baseline):
    """Joint and individual variation explained (Lock, Hoadley, Marron and Nobel 2013), with given ranks.

    Alternates a joint part (truncated singular value decomposition of all views less their individual parts) and the
    individual parts (the same of each view less its joint part, orthogonal to the joint scores).

    Parameters
    ----------
    rank : int
        Joint rank.
    individual_ranks : int or sequence of int, default 0
    orthogonal_individual : bool, default False
        Make the individual scores of different views orthogonal to each other too, as the R package does.
    max_iter : int, default 1000
    tol : float, default 1e-8
        On the change of joint and individual parts (views have unit norm).

    Attributes
    ----------
    joint_, individual_ : list of ndarray
        Parts of each view, in the compressed coordinates.
    result_, history_ : Result, History
        Of the run of `optlab.solve`.
    n_iter_ : int
    """

    def __init__(
        self,
        rank: int = 1,
        individual_ranks: Any = 0,
        orthogonal_individual: bool = False,
        max_iter: int = 1000,
        tol: float = 1e-8,
    ) -> None:
        self.rank = rank
        self.individual_ranks = individual_ranks
        self.orthogonal_individual = orthogonal_individual
        self.max_iter = max_iter
        self.tol = tol

    def _joint(self, data: Prepared) -> tuple[np.ndarray, None]:
        rank = data.check_rank(self.rank)
        X = tuple(Y / np.linalg.norm(Y) for Y in data.scores)
        problem = JointIndividual(X, rank, tuple(per_view(self.individual_ranks, len(X), "individual_ranks")))
        self.result_ = solve(
            problem,
            AlternatingJIVE(as_flag(self.orthogonal_individual, "orthogonal_individual")),
            max_iter=as_integer(self.max_iter, "max_iter", minimum=1),
            tol={"change": self.tol},
            record=1,
            progress=False,
            on_interrupt="raise",
        )
        solution: JIVESolution = self.result_.solution
        self.history_, self.n_iter_ = self.result_.history, self.result_.n_iter
        self.joint_, self.individual_ = list(solution.joint), list(solution.individual)
        return np.sqrt(data.n - 1) * solution.scores, None
