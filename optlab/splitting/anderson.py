"""Anderson acceleration of a Bregman splitting, with a safeguard; and the least-squares combination itself.

Anderson's method (1965; type II of Fang and Saad 2009) keeps the last few images ``T(z_i)`` of a fixed-point map and
their residuals ``r_i = T(z_i) - z_i``, and goes on from the affine combination of the images whose residuals combine to
the shortest vector. On an affine map it is GMRES in disguise (Walker and Ni 2011): it ends after as many
iterations as the residual's minimal polynomial has degrees. Fu, Zhang and Boyd (2020, A2DR) apply it to
Douglas-Rachford splitting, with a safeguard.

The safeguard here: the combination is only a *candidate*. The next iteration evaluates T at it, and keeps it if the
residual there is at most `safeguard` < 1 times the largest of the last five kept; otherwise the plain image stands in,
the memory is emptied, and the iteration has cost two evaluations instead of one. A candidate farther from the plain
image than 1e6 residuals is not tried.

Why this preserves convergence (quadratic kernel, relaxation below 2, constant step size, a fixed point exists): T is
averaged, so that a plain step never raises the residual. Hence the largest of the last five, W, never rises, and once
a candidate is kept everything after it is at most ``safeguard * W``, so that W has fallen by that factor five
iterations later. If only finitely many candidates are kept, the rest is the plain iteration. If infinitely many are,
W tends to zero, and the candidates, each at most ``1e6 W`` from where the plain step would have led, are errors with
a finite sum: the iteration converges to a fixed point as the inexact Krasnoselskii-Mann iteration does (Combettes
2001). For other kernels there is no such proof, as for the splitting itself; lengths are then measured in the local
metric of h*, or as the problem's ``residual_length`` says.

On linear optimal transport, where mirror points run off to infinity, it does no harm and hardly helps. Seen on the five
families of `optlab.datasets.transport_family` at n = 100 in 3,000 iterations: on four none of some 130 candidates was
kept and the gap was the plain iteration's; on the assignment problem (sq2d) nine were, and the gap was 7e-10 against
1e-5. Its map is not affine there before the support of the plan is found. Halpern's iteration does better.

What this file does not do: weigh the cost of its own work, some twenty vectors an iteration, which counts on small
problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core import DomainError
from optlab.core.validation import as_integer, as_number
from optlab.splitting.douglas_rachford import BregmanSplitting, SplittingState
from optlab.splitting.fixed_point import local_coordinates, residual_length
from optlab.splitting.protocols import SplitProblem
from optlab.splitting.schedules import AdaptiveStepSize, StepSize, check_step_size

_FARTHEST = 1e6  # residuals; a bound for the proof that no sensible candidate comes near
_WINDOW = 5
_PATIENCE = 3  # refusals in a row after which candidates are made of a full memory only: one a memory's length


def anderson_coefficients(residuals: Sequence[np.ndarray], rcond: float = 1e-10) -> np.ndarray | None:
    """Return c such that ``r_m - sum_i c_i (r_{i+1} - r_i)`` is shortest, for residuals r_0, ..., r_m.

    Parameters
    ----------
    residuals : sequence of ndarray, shape (n,)
        In the coordinates in which their Euclidean norm is their length; the newest last.
    rcond : float
        Singular values of the normalised differences below this part of the largest are taken for zero.

    Returns
    -------
    ndarray, shape (m,), or None
        None if there is nothing to combine: fewer than two residuals, or two alike.

    Examples
    --------
    >>> anderson_coefficients([np.array([4.0, 0.0]), np.array([2.0, 0.0])])
    array([-1.])
    """
    if len(residuals) < 2:
        return None
    differences = np.diff(np.asarray(residuals), axis=0).T
    lengths = np.linalg.norm(differences, axis=0)
    if not (np.all(lengths > 0.0) and np.all(np.isfinite(lengths))):
        return None
    # columns of length 1: the early differences may be larger than the late ones by many orders of magnitude
    return np.asarray(np.linalg.lstsq(differences / lengths, residuals[-1], rcond=rcond)[0] / lengths)


def anderson_combination(points: Sequence[Any], coefficients: np.ndarray) -> Any:
    """Return ``p_m - sum_i c_i (p_{i+1} - p_i)``, an affine combination of points (arrays or mirror points).

    Examples
    --------
    >>> anderson_combination([np.array([2.0]), np.array([1.0])], np.array([-1.0]))
    array([0.])
    """
    weights = np.diff(coefficients, prepend=0.0, append=1.0)  # c_0, c_1 - c_0, ..., 1 - c_{m-1}
    answer = float(weights[-1]) * points[-1]
    for weight, point in zip(weights[:-1], points):
        answer = answer + float(weight) * point
    return answer


@dataclass
class AcceleratedState(SplittingState):
    """State of an accelerated splitting after k iterations; all points are mirror points.

    Parameters
    ----------
    images, residuals : tuple of mirror points
        The last few ``T(z_i)`` and ``T(z_i) - z_i``.
    extrapolated : bool
        Whether z is a candidate rather than the last image.
    refusals : int
        Candidates turned away since one was kept.
    lengths : tuple of float
        Of the last residuals kept, at most five.
    accepted, rejected : int
        Candidates so far.
    oracle_calls : int
        Evaluations of T so far: iterations, and once more for each candidate turned away.
    mapped : mirror point or None
        The last image.
    """

    images: tuple[Any, ...] = ()
    residuals: tuple[Any, ...] = ()
    extrapolated: bool = False
    refusals: int = 0
    lengths: tuple[float, ...] = ()
    accepted: int = 0
    rejected: int = 0
    oracle_calls: int = 0
    mapped: Any = None

    def image(self) -> Any:
        """Return T of the point at which the last iteration began."""
        return self.z if self.mapped is None else self.mapped


@dataclass(frozen=True)
class AndersonDouglasRachford(BregmanSplitting):
    """Bregman Douglas-Rachford splitting with safeguarded Anderson acceleration (type II).

    Parameters
    ----------
    step_size : float, schedule, adaptive rule, callable or None
        As in `BregmanDouglasRachford`. A change of step size empties the memory: points of different maps do not
        combine. So None is the problem's ``default_step_size`` where its ``default_schedule`` is an adaptive rule
        (entropic transport: ``1 / regularization``, where the map is Sinkhorn's).
    relaxation : float, default 1.0
        lambda in (0, 2].
    memory : int, default 20
        Differences of residuals combined; the memory holds one image more.
    safeguard : float in (0, 1), default 0.999
        A candidate is kept only if its residual is at most this part of the largest of the last five.

    Examples
    --------
    >>> import numpy as np, optlab
    >>> from optlab.bregman import SquaredEuclidean
    >>> from optlab.bregman.functions import L1Norm, LeastSquares
    >>> from optlab.splitting import AndersonDouglasRachford, BregmanDouglasRachford, CompositeProblem
    >>> rng = np.random.default_rng(0)
    >>> A, b = rng.standard_normal((20, 30)), rng.standard_normal(20)
    >>> problem = CompositeProblem(L1Norm(0.5), LeastSquares(A, b), SquaredEuclidean())
    >>> plain = optlab.solve(problem, BregmanDouglasRachford(0.1), tol=1e-10, max_iter=5000)
    >>> fast = optlab.solve(problem, AndersonDouglasRachford(0.1), tol=1e-10, max_iter=5000)
    >>> plain.success, fast.success, fast.n_iter < plain.n_iter / 3
    (True, True, True)
    """

    step_size: StepSize = None
    relaxation: float = 1.0
    memory: int = 20
    safeguard: float = 0.999
    reference: ClassVar[str] = "fu2020anderson"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", check_step_size(self.step_size))
        object.__setattr__(self, "relaxation", as_number(self.relaxation, "relaxation", above=0, maximum=2))
        object.__setattr__(self, "memory", as_integer(self.memory, "memory", minimum=1))
        object.__setattr__(self, "safeguard", as_number(self.safeguard, "safeguard", above=0, below=1))

    def _rule(self, problem: SplitProblem) -> StepSize:
        rule = super()._rule(problem)
        if self.step_size is None and isinstance(rule, AdaptiveStepSize):
            return problem.default_step_size
        return rule

    def init(self, problem: SplitProblem, x0: Any, rng: Any) -> AcceleratedState:
        """Return the state at iteration 0; `x0` is a primal point or an earlier solution of the problem."""
        start = super().init(problem, x0, rng)
        return AcceleratedState(0, start.z, start.x, start.y, start.step_size, start.anchor, start.next_anchor)

    def step(self, problem: SplitProblem, state: SplittingState) -> AcceleratedState:
        """Return the state one iteration later, after one evaluation of T, or two where a candidate is turned away."""
        assert isinstance(state, AcceleratedState)
        gamma = self._step_size_after(problem, state)
        images, residuals, calls, rejected = state.images, state.residuals, 1, state.rejected
        refusals = 0 if state.extrapolated else state.refusals
        if gamma != state.step_size:
            images, residuals = (), ()
        evaluated = self._try(problem, state, gamma)
        if evaluated is None:
            images, residuals, calls, rejected, refusals = (), (), 2, rejected + 1, state.refusals + 1
            evaluated = self._evaluate(problem, state.image(), state.step_size, gamma)
        x, y, image, residual = evaluated
        images = (*images, image)[-self.memory - 1 :]
        residuals = (*residuals, self.relaxation * (y - x))[-self.memory - 1 :]
        candidate = None
        if refusals < _PATIENCE or len(images) > self.memory:
            candidate = self._candidate(problem, images, residuals, x)
        after = AcceleratedState(
            state.k + 1,
            image if candidate is None else candidate,
            x,
            y,
            gamma,
            *state.window_after(x),
            images=images,
            residuals=residuals,
            extrapolated=candidate is not None,
            refusals=refusals,
            lengths=(*state.lengths, residual)[-_WINDOW:],
            accepted=state.accepted + int(state.extrapolated and calls == 1),
            rejected=rejected,
            oracle_calls=state.oracle_calls + calls,
            mapped=image,
        )
        return self._remembering(problem, state, after)

    def _evaluate(self, problem: SplitProblem, z: Any, previous: float, gamma: float) -> tuple[Any, Any, Any, float]:
        x, y, image = self._apply(problem, z, previous, gamma)
        return x, y, image, self.relaxation * residual_length(problem, x, y)

    def _try(self, problem: SplitProblem, state: AcceleratedState, gamma: float) -> tuple[Any, Any, Any, float] | None:
        """Evaluate T at z; None if z is a candidate and the safeguard turns it away."""
        if not state.extrapolated:
            return self._evaluate(problem, state.z, state.step_size, gamma)
        try:
            evaluated = self._evaluate(problem, state.z, state.step_size, gamma)
        except (DomainError, ArithmeticError):
            return None
        return evaluated if evaluated[-1] <= self.safeguard * max(state.lengths) else None

    def _candidate(self, problem: SplitProblem, images: Any, residuals: Any, x: Any) -> Any:
        """Return the combination to try next, None if there is none worth trying."""
        vectors = [local_coordinates(problem, r, x) for r in residuals]
        coefficients = anderson_coefficients(vectors)
        if coefficients is None:
            return None
        candidate = anderson_combination(images, coefficients)
        moved = float(np.linalg.norm(local_coordinates(problem, candidate - images[-1], x)))
        if not moved <= _FARTHEST * float(np.linalg.norm(vectors[-1])):
            return None
        try:
            problem.check_mirror(candidate)
        except DomainError:
            return None
        return candidate

    def measure(self, problem: Any, state: Any) -> dict[str, float]:
        """Return ``step_size``, the numbers of candidates ``accepted`` and ``rejected``, and ``fixed_point_residual``
        if the problem can tell it.
        """
        counts = {"accepted": float(state.accepted), "rejected": float(state.rejected)}
        return {**super().measure(problem, state), **counts}
