"""Anderson acceleration of any method whose iteration moves a variable, with a safeguard; and the combination itself.

Anderson's method (1965; type II of Fang and Saad 2009) keeps the last few images ``T(z_i)`` of a fixed-point map and
their residuals ``r_i = T(z_i) - z_i``, and goes on from the affine combination of the images whose residuals combine to
the shortest vector. On an affine map it is GMRES in disguise (Walker and Ni 2011): it ends after as many
iterations as the residual's minimal polynomial has degrees. Fu, Zhang and Boyd (2020, A2DR) apply it to
Douglas-Rachford splitting, with a safeguard.

The safeguard here: the combination is only a *candidate*. The next iteration evaluates T at it, and keeps it if the
residual there is at most `safeguard` < 1 times the largest of the last five kept; otherwise the plain image stands in,
the memory is emptied, and the iteration has cost two evaluations instead of one. A candidate farther from the plain
image than 1e6 residuals is not tried.

Why this preserves convergence (T averaged and the same at every step, a fixed point exists): a plain step never raises
the residual. Hence the largest of the last five, W, never rises, and once a candidate is kept everything after it is at
most ``safeguard * W``, so that W has fallen by that factor five iterations later. If only finitely many candidates are
kept, the rest is the plain iteration. If infinitely many are, W tends to zero, and the candidates, each at most
``1e6 W`` from where the plain step would have led, are errors with a finite sum: the iteration converges to a fixed
point as the inexact Krasnoselskii-Mann iteration does (Combettes 2001). In other geometries there is no such proof;
lengths are then what the method inside says of its displacements.

What this file does not do: weigh the cost of its own work, some twenty vectors an iteration, which counts on small
problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core import DomainError
from optlab.core.validation import as_integer, as_number
from optlab.wrappers.base import WrappedState, Wrapper, check_wrappable, known, scaled

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
    answer = scaled(float(weights[-1]), points[-1])
    for weight, point in zip(weights[:-1], points):
        answer = answer + scaled(float(weight), point)
    return answer


@dataclass
class AndersonState(WrappedState):
    """State of an accelerated method after k iterations.

    Parameters
    ----------
    inner : State
        The state from which the method inside goes on.
    image : State
        What the last iteration of the method inside made; `inner` is the same, or has a candidate as its variable.
    images, residuals : tuple of variables
        The last few ``T(z_i)`` and ``T(z_i) - z_i``.
    extrapolated : bool
        Whether the variable of `inner` is a candidate rather than the last image.
    refusals : int
        Candidates turned away since one was kept.
    lengths : tuple of float
        Of the last residuals kept, at most five.
    accepted, rejected : int
        Candidates so far.
    evaluations : float
        Work of the method inside so far, that on candidates turned away included.
    """

    image: Any
    images: tuple[Any, ...] = ()
    residuals: tuple[Any, ...] = ()
    extrapolated: bool = False
    refusals: int = 0
    lengths: tuple[float, ...] = ()
    accepted: int = 0
    rejected: int = 0
    evaluations: float = 0

    @property
    def last(self) -> Any:
        """What the last iteration of the method inside made."""
        return self.image

    @property
    def oracle_calls(self) -> float:
        """Work of the method inside so far."""
        return self.evaluations


class AndersonAcceleration(Wrapper):
    """The acceleration itself; `Anderson` and the named methods built on it differ in how they name their settings."""

    memory: int
    safeguard: float

    def _check_settings(self) -> None:
        object.__setattr__(self, "memory", as_integer(self.memory, "memory", minimum=1))
        object.__setattr__(self, "safeguard", as_number(self.safeguard, "safeguard", above=0, below=1))

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> AndersonState:
        """Return the state at iteration 0."""
        start = self.method.init(problem, x0, rng)
        return AndersonState(0, start, start)

    def step(self, problem: Any, state: AndersonState) -> AndersonState:
        """Return the state one iteration later, after one evaluation of T, or two where a candidate is turned away."""
        before, kept = state.inner, True
        images, residuals = state.images, state.residuals
        refusals = 0 if state.extrapolated else state.refusals
        after, length = self._try(problem, state)
        if after is None:
            before, kept, images, residuals, refusals = state.image, False, (), (), state.refusals + 1
            after = self.method.step(problem, before)
            length = self.method.residual_length(problem, before, after)
        known(length)
        # a candidate turned away has cost as much as the iteration that replaces it
        work = (1 if kept else 2) * (_work(after) - _work(before))
        if not self.method.same_map(before, after):
            images, residuals = (), ()
        images = (*images, self.method.variable(after))[-self.memory - 1 :]
        residuals = (*residuals, self.method.displacement(before, after))[-self.memory - 1 :]
        inner = None
        if refusals < _PATIENCE or len(images) > self.memory:
            inner = self._candidate(problem, images, residuals, after)
        return AndersonState(
            state.k + 1,
            after if inner is None else inner,
            after,
            images,
            residuals,
            inner is not None,
            refusals,
            (*state.lengths, length)[-_WINDOW:],
            state.accepted + int(state.extrapolated and kept),
            state.rejected + int(not kept),
            state.evaluations + work,
        )

    def _try(self, problem: Any, state: AndersonState) -> tuple[Any, float]:
        """Evaluate T at the variable; no state if it is a candidate and the safeguard turns it away."""
        if not state.extrapolated:
            after = self.method.step(problem, state.inner)
            return after, self.method.residual_length(problem, state.inner, after)
        try:
            after = self.method.step(problem, state.inner)
            length = self.method.residual_length(problem, state.inner, after)
        except (DomainError, ArithmeticError):
            return None, 0.0
        return (after, length) if length <= self.safeguard * max(state.lengths) else (None, 0.0)

    def _candidate(self, problem: Any, images: Any, residuals: Any, after: Any) -> Any:
        """Return `after` with the combination to try next as its variable, None if there is none worth trying."""
        vectors = [self.method.coordinates(problem, residual, after) for residual in residuals]
        coefficients = anderson_coefficients(vectors)
        if coefficients is None:
            return None
        candidate = anderson_combination(images, coefficients)
        moved = float(np.linalg.norm(self.method.coordinates(problem, candidate - images[-1], after)))
        if not moved <= _FARTHEST * float(np.linalg.norm(vectors[-1])):
            return None
        try:
            return self.method.with_variable(problem, after, candidate)
        except DomainError:
            return None

    def with_variable(self, problem: Any, state: AndersonState, value: Any) -> AndersonState:
        """Return a state at `value` with an empty memory."""
        inner = self.method.with_variable(problem, state.inner, value)
        return AndersonState(
            state.k, inner, inner, accepted=state.accepted, rejected=state.rejected, evaluations=state.evaluations
        )

    def measure(self, problem: Any, state: AndersonState) -> dict[str, float]:
        """Return the measures of the method inside, and the numbers of candidates ``accepted`` and ``rejected``."""
        counts = {"accepted": float(state.accepted), "rejected": float(state.rejected)}
        return {**super().measure(problem, state), **counts}


def _work(state: Any) -> float:
    return float(getattr(state, "oracle_calls", state.k))


@dataclass(frozen=True)
class Anderson(AndersonAcceleration):
    """Safeguarded Anderson acceleration (type II) around a method.

    Parameters
    ----------
    method : Method
        Any method with a variable, whose iteration is a map of it: no momentum, no random numbers. Where the map
        changes (a step size that varies), the memory is emptied.
    memory : int, default 20
        Differences of residuals combined; the memory holds one image more.
    safeguard : float in (0, 1), default 0.999
        A candidate is kept only if its residual is at most this part of the largest of the last five.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or out of range.

    References
    ----------
    Anderson (1965); Fang and Saad (2009); Fu, Zhang, Boyd (2020), Anderson accelerated Douglas-Rachford splitting.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import OptimalTransport, Sinkhorn
    >>> from optlab.wrappers import Anderson
    >>> problem = OptimalTransport(*transport_family("l2", 30), regularization=0.01)
    >>> plain = optlab.solve(problem, Sinkhorn(), tol=1e-9, max_iter=5000)
    >>> fast = optlab.solve(problem, Anderson(Sinkhorn()), tol=1e-9, max_iter=5000)
    >>> fast.success, bool(fast.history["oracle_calls"][-1] < plain.n_iter / 3)
    (True, True)
    """

    method: Any
    memory: int = 20
    safeguard: float = 0.999

    def __post_init__(self) -> None:
        check_wrappable(self.method)
        self._check_settings()

    @property
    def reference(self) -> str:
        """The paper of the safeguarded method."""
        return "fu2020anderson"
