"""Methods for regularised preference games, on log-policies: mirror descent and mirror prox towards the equilibrium.

With l the log-policy, r that of the reference, N the normalisation, h the implicit step:

    Nash mirror prox   log m = N((l + h beta r + h P e^l) / (1 + h beta))
                       l+    = N((l + h beta r + h P e^m) / (1 + h beta))
    magnetic descent   the second line with m = l
    Nash-MD            mix = N((1 - eta beta) l + eta beta r),   l+ = N(mix + eta P e^mix)
    EGPO               Nash mirror prox in its own step ``eta = h / (1 + h beta)``
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from optlab.core import Method, State
from optlab.core.validation import as_number

Array = Any


@dataclass
class PolicyState(State):
    """State after k iterations: the log-policy, and the queries of the preferences."""

    log_policy: Array
    oracle_calls: int = 0
    seen: Any = None  # the preferences of the last half point, where they are used again


def normalized(logits: Array) -> Array:
    """Return logits less their logsumexp."""
    top = logits.max()
    return logits - (top + np.log(np.sum(np.exp(logits - top))))


class PreferenceMethod(Method):
    """Base of the methods on preference games."""

    requires: ClassVar[tuple[str, ...]] = ("preferences", "log_start")
    needs: ClassVar[str] = "a preference game (optlab.games.PreferenceGame)"

    def init(self, problem: Any, x0: Any, rng: Any) -> PolicyState:
        """Return the state at iteration 0."""
        return PolicyState(0, problem.log_start(x0))

    def iterate(self, problem: Any, state: PolicyState) -> Array:
        """Return the policy."""
        return np.exp(state.log_policy)

    def variable(self, state: PolicyState) -> Array:
        """Return the log-policy."""
        return state.log_policy

    def with_variable(self, problem: Any, state: PolicyState, value: Array) -> PolicyState:
        """Return the state at another log-policy, which is normalised."""
        return replace(state, log_policy=normalized(value), seen=None)


def _implicit(problem: Any, log_policy: Array, preferred: Array, h: float) -> Array:
    pulled = log_policy + h * (problem.beta * problem.log_reference + preferred)
    return normalized(pulled / (1.0 + h * problem.beta))


@dataclass(frozen=True)
class NashMirrorProx(PreferenceMethod):
    """Mirror prox for regularised preferences: linear convergence in the divergence to the equilibrium.

    ``KL(pi* | pi_k)`` falls by ``1 + h beta`` a step for ``h <= 2 (beta + sqrt(1 + beta^2))`` with two queries, and for
    ``h <= 2 (sqrt 2 - 1)`` with one (derived here).

    Parameters
    ----------
    step_size : float, optional
        h. Default: the largest for which that is proved.
    queries : {2, 1}, default 2
        With 1 the look ahead uses the preferences that the last one saw.

    References
    ----------
    Tiapkin et al. (2025), Accelerating Nash learning from human feedback via mirror prox, version 1.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import NashMirrorProx, PreferenceGame
    >>> P = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
    >>> game = PreferenceGame(P, reference=[0.7, 0.2, 0.1], beta=0.1)
    >>> optlab.solve(game, NashMirrorProx(), tol=1e-10, max_iter=500).success
    True
    """

    step_size: float | None = None
    queries: int = 2
    reference: ClassVar[str] = "tiapkin2025accelerating"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))
        if self.queries not in (1, 2):
            raise ValueError(f"queries must be 1 or 2, got {self.queries!r}")

    def implicit_step(self, problem: Any) -> float:
        """Return h."""
        if self.step_size is not None:
            return self.step_size
        if self.queries == 1:
            return 2.0 * (math.sqrt(2.0) - 1.0)
        return 2.0 * (problem.beta + math.sqrt(1.0 + problem.beta**2))

    def step(self, problem: Any, state: PolicyState) -> PolicyState:
        """Return the state one iteration later."""
        h, l = self.implicit_step(problem), state.log_policy
        ahead = state.seen
        calls = state.oracle_calls + 1
        if self.queries == 2 or ahead is None:
            ahead = problem.preferences(np.exp(l))
            calls += 1
        middle = _implicit(problem, l, ahead, h)
        seen = problem.preferences(np.exp(middle))
        return PolicyState(state.k + 1, _implicit(problem, l, seen, h), calls, seen if self.queries == 1 else None)


@dataclass(frozen=True)
class EGPO(NashMirrorProx):
    """Extragradient preference optimization: Nash mirror prox, named by its explicit step.

    Parameters
    ----------
    step_size : float, optional
        ``eta = h / (1 + h beta)``, below 1 / beta. Default: that of the largest proved h.

    References
    ----------
    Zhou, Fazel, Du (2025), Extragradient preference optimization.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import EGPO, PreferenceGame
    >>> P = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
    >>> optlab.solve(PreferenceGame(P, beta=0.1), EGPO(1.0), x0=[0.8, 0.1, 0.1], tol=1e-10, max_iter=500).success
    True
    """

    reference: ClassVar[str] = "zhou2025extragradient"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against steps that no implicit one corresponds to."""
        beta = getattr(problem, "beta", 0.0)
        if self.step_size is not None and self.step_size * beta >= 1.0:
            return f"needs a step size below 1 / beta = {1.0 / beta:.4g}, got {self.step_size:.4g}"
        return None

    def implicit_step(self, problem: Any) -> float:
        """Return h."""
        if self.step_size is None:
            return super().implicit_step(problem)
        return self.step_size / (1.0 - self.step_size * problem.beta)


@dataclass(frozen=True)
class NashMirrorDescent(PreferenceMethod):
    """Nash-MD: a step against a policy mixed, geometrically, with the reference.

    Parameters
    ----------
    step_size : float, default 0.1
        eta, with ``eta beta <= 1``.

    References
    ----------
    Munos et al. (2023), Nash learning from human feedback.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import NashMirrorDescent, PreferenceGame
    >>> P = np.array([[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]])
    >>> game = PreferenceGame(P, reference=[0.6, 0.3, 0.1], beta=0.5)
    >>> optlab.solve(game, NashMirrorDescent(0.05), tol=1e-3, max_iter=2000).success
    True
    """

    step_size: float = 0.1
    reference: ClassVar[str] = "munos2023nash"

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))

    def step(self, problem: Any, state: PolicyState) -> PolicyState:
        """Return the state one iteration later."""
        eta = self.step_size
        share = min(eta * problem.beta, 1.0)
        mixed = normalized((1.0 - share) * state.log_policy + share * problem.log_reference)
        after = normalized(mixed + eta * problem.preferences(np.exp(mixed)))
        return PolicyState(state.k + 1, after, state.oracle_calls + 1)


@dataclass(frozen=True)
class MagneticMirrorDescent(PreferenceMethod):
    """Magnetic mirror descent: the step of Nash mirror prox without the look ahead.

    ``KL(pi* | pi_k)`` falls by ``1 + h beta`` a step for ``h <= 4 beta`` (derived here): slow where beta is small, and
    longer steps do not converge in games that rotate.

    Parameters
    ----------
    step_size : float, optional
        h. Default: ``4 beta``.

    References
    ----------
    Sokota et al. (2023), A unified approach to reinforcement learning, quantal response equilibria, and two-player
    zero-sum games.

    Examples
    --------
    >>> import optlab
    >>> from optlab.games import MagneticMirrorDescent, PreferenceGame
    >>> P = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
    >>> game = PreferenceGame(P, reference=[0.7, 0.2, 0.1], beta=0.3)
    >>> optlab.solve(game, MagneticMirrorDescent(), tol=1e-10, max_iter=500).success
    True
    """

    step_size: float | None = None
    reference: ClassVar[str] = "sokota2023unified"

    def __post_init__(self) -> None:
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))

    def step(self, problem: Any, state: PolicyState) -> PolicyState:
        """Return the state one iteration later."""
        h = 4.0 * problem.beta if self.step_size is None else self.step_size
        seen = problem.preferences(np.exp(state.log_policy))
        return PolicyState(state.k + 1, _implicit(problem, state.log_policy, seen, h), state.oracle_calls + 1)
