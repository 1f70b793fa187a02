"""Step sizes of policy mirror descent: schedules of the iteration number, and the rule that reads the policy.

`Constant` and `Geometric` are those of `optlab.splitting`. What is added: `DiscountGrowth`, the factor 1/discount per
iteration under which policy mirror descent converges linearly (Xiao 2022, Theorem 10); `LinearGrowth`; and
`AdaptiveStepSize`, which makes every step long enough to be nearly greedy and so reaches the rate of policy iteration
(Johnson, Pike-Burke and Rebeschini 2023).

A rule of your own is a function ``k -> float``, or an object with ``for_policy(k, problem, action_values, log_policy,
mirror_map)``. Step sizes are capped at 1e100: beyond, dual coordinates would leave the range of floating-point numbers,
and the step has long been one of policy iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from optlab.bregman.mirror_maps import MirrorMap
from optlab.core.validation import as_number
from optlab.schedules import Constant, Geometric

__all__ = [
    "AdaptiveStepSize",
    "Constant",
    "DiscountGrowth",
    "Geometric",
    "LinearGrowth",
    "PolicyStepSize",
    "StepSizeRule",
    "check_policy_step_size",
    "greedy_divergence",
    "policy_step_size",
]

LARGEST_STEP_SIZE = 1e100


@runtime_checkable
class PolicyStepSize(Protocol):
    """A rule that reads the problem or the policy: a frozen description without state of its own."""

    def for_policy(
        self, k: int, problem: Any, action_values: np.ndarray, log_policy: np.ndarray, mirror_map: MirrorMap
    ) -> Any:
        """Return the step size of iteration k: a number, or one per row of the policy, shape (S, 1)."""
        ...


StepSizeRule = float | Constant | Geometric | PolicyStepSize | Callable[[int], float]


@dataclass(frozen=True)
class LinearGrowth:
    """Step sizes ``start (k + 1)``: a gap of order 1/k^2, not yet a linear rate.

    The order is that of the basic recursion (Xiao 2022, Proposition 9) summed with the step sizes as weights, once k
    exceeds the mismatch coefficient (derived here).

    Parameters
    ----------
    start : float, default 1.0

    Examples
    --------
    >>> [LinearGrowth(0.5)(k) for k in range(3)]
    [0.5, 1.0, 1.5]
    """

    start: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_number(self.start, "start", above=0))

    def __call__(self, k: int) -> float:
        return self.start * (k + 1)


@dataclass(frozen=True)
class DiscountGrowth:
    """Step sizes ``min(start / discount**k, maximum)`` with the discount of the problem.

    Parameters
    ----------
    start : float, default 1.0
    maximum : float, default 1e12

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rule = DiscountGrowth(start=2.0)
    >>> policy_step_size(rule, 3, SimpleNamespace(discount=0.5), np.zeros((1, 2)), np.zeros((1, 2)), None)
    16.0
    """

    start: float = 1.0
    maximum: float = 1e12

    reads_policy: ClassVar[bool] = False  # of the problem it needs the discount only

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", as_number(self.start, "start", above=0))
        object.__setattr__(self, "maximum", as_number(self.maximum, "maximum", minimum=self.start))

    def for_policy(
        self, k: int, problem: Any, action_values: np.ndarray, log_policy: np.ndarray, mirror_map: MirrorMap
    ) -> float:
        """Return the step size of iteration k."""
        return Geometric(self.start, growth=1 / problem.discount, maximum=self.maximum)(k)


@dataclass(frozen=True)
class AdaptiveStepSize:
    """The smallest step size that moves within ``c_k = c0 discount**(2k + 1)`` of policy iteration.

    ``eta_k = max_s min_a D(e_a, pi_s) / c_k``, a ranging over the actions that are greedy for the action values. Then
    ``||V_k - V*||_inf <= discount**k (||V_0 - V*||_inf + c0 / (1 - discount))`` (Johnson et al. 2023, Theorem 4.1,
    with that choice of c_k), the rate of policy iteration.

    Parameters
    ----------
    c0 : float, default 1.0
        The slack of the first step; smaller is longer steps.
    per_state : bool, default False
        Whether every state has a step size of its own, without the maximum; the theorem holds as well.
    minimum : float, default 1e-12
        Step size where the policy is already greedy.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from optlab.bregman import NegativeEntropyMap
    >>> rule, problem = AdaptiveStepSize(), SimpleNamespace(discount=0.5)
    >>> Q, log_policy = np.array([[1.0, 2.0]]), np.log([[0.25, 0.75]])
    >>> round(policy_step_size(rule, 0, problem, Q, log_policy, NegativeEntropyMap()), 6)  # log(4) / 0.5
    2.772589
    """

    c0: float = 1.0
    per_state: bool = False
    minimum: float = 1e-12

    def __post_init__(self) -> None:
        object.__setattr__(self, "c0", as_number(self.c0, "c0", above=0))
        object.__setattr__(self, "minimum", as_number(self.minimum, "minimum", above=0))
        if not isinstance(self.per_state, bool):
            raise TypeError(f"per_state must be True or False, got {self.per_state!r}")

    def for_policy(
        self, k: int, problem: Any, action_values: np.ndarray, log_policy: np.ndarray, mirror_map: MirrorMap
    ) -> Any:
        """Return the step size of iteration k, shape (S, 1) if `per_state`."""
        needed = greedy_divergence(mirror_map, action_values, log_policy)
        slack = max(self.c0 * problem.discount ** (2 * k + 1), 1e-200)
        # the cap comes before the division, which would overflow
        steps = np.clip(np.minimum(needed, LARGEST_STEP_SIZE * slack) / slack, self.minimum, LARGEST_STEP_SIZE)
        return steps[:, None] if self.per_state else float(steps.max())


def greedy_divergence(mirror_map: MirrorMap, action_values: np.ndarray, log_policy: np.ndarray) -> np.ndarray:
    """Return ``min_a D(e_a, pi_s)`` over the greedy actions a of every state, shape (S,).

    ``D(e_a, pi) - D(e_b, pi) = grad Phi(pi)_b - grad Phi(pi)_a``: of several greedy actions the likeliest is nearest.

    Examples
    --------
    >>> from optlab.bregman import NegativeEntropyMap
    >>> log_policy = np.log([[0.25, 0.25, 0.5]])
    >>> greedy_divergence(NegativeEntropyMap(), np.array([[1.0, 1.0, 1.0]]), log_policy).round(6)
    array([0.693147])
    """
    best = action_values == action_values.min(axis=-1, keepdims=True)
    nearest = np.where(best, np.maximum(log_policy, -1e300), -np.inf).argmax(axis=-1)  # also where all are clipped
    vertex = np.full(log_policy.shape, -np.inf)
    np.put_along_axis(vertex, nearest[..., None], 0.0, axis=-1)
    return mirror_map.divergence_from_log(vertex, log_policy)


def check_policy_step_size(step_size: Any, name: str = "step_size") -> Any:
    """Return a method's ``step_size`` argument after checking it.

    Examples
    --------
    >>> check_policy_step_size(-1.0)
    Traceback (most recent call last):
        ...
    ValueError: step_size must be a number above 0, got -1.0
    """
    if hasattr(step_size, "for_policy") or callable(step_size):
        return step_size
    return as_number(step_size, name, above=0)


def policy_step_size(
    rule: Any, k: int, problem: Any, action_values: np.ndarray | None, log_policy: np.ndarray | None, mirror_map: Any
) -> Any:
    """Return the step size of iteration `k`, capped at 1e100: a float, or an array of shape (S, 1).

    The last three arguments may be None for a rule that does not read the policy.

    Examples
    --------
    >>> policy_step_size(lambda k: 10.0**k, 2, None, None, None, None)
    100.0
    """
    if hasattr(rule, "for_policy"):
        eta: Any = rule.for_policy(k, problem, action_values, log_policy, mirror_map)
        if isinstance(eta, np.ndarray):
            return np.minimum(eta, LARGEST_STEP_SIZE)
        return min(as_number(eta, f"step_size at iteration {k}", above=0), LARGEST_STEP_SIZE)
    if getattr(rule, "relative", False):
        raise ValueError("step_size must not be relative here: policy mirror descent has no default step size")
    value = rule(k) if callable(rule) else rule
    return min(as_number(value, f"step_size({k})", above=0), LARGEST_STEP_SIZE)
