r"""What can be said of a policy and of a run: mismatch coefficients, distances to an optimal policy, bounds.

Notation, cost form: ``delta_k = V_rho(pi_k) - V*_rho``; d_k the normalised visitation law of pi_k from rho, d* that of
an optimal policy pi*; D the divergence of a mirror map; ``D*_k = E_{s ~ d*} D(pi*_s, pi_{k,s})``;
``theta_k = ||d*/d_k||_inf`` and ``theta_rho = ||d*/rho||_inf / (1 - gamma) >= theta_k``.

The bounds are those of tabular policy mirror descent on finite MDPs with costs in an interval of length one: Xiao
(2022), *On the convergence rates of policy gradient methods*, Theorems 8, 10, 13, Proposition 9, Lemma 14
(reconstructed: displayed formulas were rebuilt from the proofs), and the gamma-rate of Johnson, Pike-Burke and
Rebeschini (2023), Theorem 4.1. Those with an approximated dual or an entropy are in
`optlab.policy.tabular.dual_certificates`. All are functions of numbers, usable by theorem checks and by methods alike,
and hold up to rounding only.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.mirror_maps import MirrorMap
from optlab.core.validation import as_float_array, as_number
from optlab.policy.arguments import checked_numbers
from optlab.policy.mdp.model import MDP

__all__ = [
    "advantage_gap",
    "basic_recursion",
    "concentrability",
    "divergence_to_optimal",
    "gamma_rate_bound",
    "inexact_linear_bound",
    "linear_bound",
    "linear_growth_factor",
    "mismatch",
    "monte_carlo_error",
    "monte_carlo_rollouts",
    "optimal_visitation",
    "simple_linear_bound",
    "start_mismatch",
    "sublinear_bound",
]


# ---------------------------------------------------------------- coefficients


def mismatch(law: Any, other: Any) -> float:
    """Return ``||law / other||_inf``, ``inf`` if `other` misses a state that `law` has; 0/0 counts as nothing.

    With d* and d_k it is the mismatch coefficient theta_k.

    Examples
    --------
    >>> mismatch([0.5, 0.5, 0.0], [0.25, 0.75, 0.0])
    2.0
    """
    law = as_float_array(law, "law", ndim=1, nonnegative=True)
    other = as_float_array(other, "other", shape=law.shape, nonnegative=True)
    inside = law > 0
    if np.any(other[inside] == 0):
        return float("inf")
    return float(np.max(law[inside] / other[inside]))


def concentrability(following: Any, law: Any) -> float:
    """Return ``C_k = ||d_{k+1} / d_k||_inf``, of states only: how far a visitation law moves in one iteration.

    Examples
    --------
    >>> concentrability([0.5, 0.5], [0.8, 0.2])
    2.5
    """
    return mismatch(following, law)


def optimal_visitation(mdp: Any) -> np.ndarray:
    """Return d*, the visitation law of the optimal policy ``mdp.optimal`` from the start law, shape (S,)."""
    law: np.ndarray = as_mdp(mdp).visitation(mdp.optimal.probabilities)
    return law


def as_mdp(mdp: Any) -> MDP:
    """Return `mdp` if it is one."""
    if not isinstance(mdp, MDP):
        raise TypeError(f"mdp must be an optlab.policy.MDP, got {type(mdp).__name__}")
    return mdp


def start_mismatch(mdp: Any, law: Any = None) -> float:
    """Return ``theta_rho = ||d*/rho||_inf / (1 - gamma)``, at least ``1 / (1 - gamma)``; `law` is d* if it is known.

    Raises
    ------
    ValueError
        If the start law gives no probability to a state that the optimal policy visits.

    Examples
    --------
    >>> from optlab.policy import garnet
    >>> start_mismatch(garnet(20, 3, 3, discount=0.9, seed=0)) >= 10
    True
    """
    law = optimal_visitation(mdp) if law is None else law
    theta = mismatch(law, mdp.start)
    if np.isinf(theta):
        mdp.require_full_support()
    return theta / (1 - mdp.discount)


def divergence_to_optimal(mdp: Any, policy: Any, mirror_map: MirrorMap, law: Any = None) -> float:
    """Return ``D*_k = E_{s ~ d*} D(pi*_s, pi_s)``, for the optimal policy ``mdp.optimal``.

    Parameters
    ----------
    mdp : MDP
    policy : policy object
    mirror_map : MirrorMap
    law : array_like, shape (S,), optional
        d* if it is known; default: computed.

    Examples
    --------
    >>> from optlab.bregman import NegativeEntropyMap
    >>> from optlab.policy import garnet
    >>> mdp = garnet(20, 4, 3, discount=0.9, seed=0)
    >>> round(divergence_to_optimal(mdp, mdp.default_start(None), NegativeEntropyMap()), 6)  # log(4)
    1.386294
    """
    if not isinstance(mirror_map, MirrorMap):
        raise TypeError(f"mirror_map must be a MirrorMap, got {type(mirror_map).__name__}")
    if not hasattr(policy, "log_probabilities"):
        raise TypeError(f"policy must be a policy object such as TabularPolicy, got {type(policy).__name__}")
    law = optimal_visitation(mdp) if law is None else as_float_array(law, "law", shape=(as_mdp(mdp).n_states,))
    inside = law > 0
    with np.errstate(divide="ignore"):
        best = np.log(mdp.optimal.probabilities[inside])
    terms = mirror_map.divergence_from_log(best, np.asarray(policy.log_probabilities())[inside])
    return float(law[inside] @ terms)


def advantage_gap(mdp: Any, policy: Any) -> float:
    """Return ``max_s (V(s) - min_a Q(s, a)) / (1 - gamma)``, which bounds ``||V - V*||_inf`` without the optimum."""
    return float(as_mdp(mdp).evaluate(policy).advantage_gap)


# ---------------------------------------------------------------- policy mirror descent, exact and inexact critic


@checked_numbers
def sublinear_bound(k: Any, step_size: float, divergence: float, discount: float, cost_span: float = 1.0) -> Any:
    """Return the bound on delta_k under a constant step size (Xiao 2022, Theorem 8).

    ``delta_k <= (D*_0 / ((1 - gamma) eta) + span/(1 - gamma)^2) / (k + 1)``.

    Parameters
    ----------
    k : int or array_like
    step_size : float
    divergence : float
        ``D*_0``.
    discount : float
    cost_span : float, default 1.0
        Largest cost less smallest.

    Examples
    --------
    >>> round(sublinear_bound(9, 1.0, 1.0, 0.5), 6)
    0.6
    """
    steps = np.asarray(k) + 1.0
    return _plain((divergence / ((1 - discount) * step_size) + cost_span / (1 - discount) ** 2) / steps)


@checked_numbers
def basic_recursion(
    theta: float,
    gap: float,
    next_gap: float,
    divergence: float,
    next_divergence: float,
    step_size: float,
    discount: float,
) -> tuple[float, float]:
    """Return both sides of ``theta (delta_{k+1} - delta_k) + delta_k <= (D*_k - D*_{k+1}) / ((1 - gamma) eta_k)``.

    Xiao (2022), Proposition 9, with ``theta = theta_{k+1}``.
    """
    return theta * (next_gap - gap) + gap, (divergence - next_divergence) / ((1 - discount) * step_size)


@checked_numbers
def linear_growth_factor(theta: float) -> float:
    """Return ``theta / (theta - 1)``, the least growth of the step sizes in the linear bounds (``inf`` if theta <= 1).

    Examples
    --------
    >>> linear_growth_factor(10.0) <= 1 / 0.9
    True
    """
    return theta / (theta - 1) if theta > 1 else float("inf")


@checked_numbers
def linear_bound(k: Any, theta: float, gap: float, divergence: float, step_size: float, discount: float) -> Any:
    """Return the bound on delta_k for step sizes growing by ``theta_rho/(theta_rho - 1)`` or more, as 1/gamma is.

    ``delta_k <= (1 - 1/theta_rho)^k (delta_0 + D*_0 / (gamma eta_0))`` (Xiao 2022, Theorem 10).

    Parameters
    ----------
    k : int or array_like
    theta : float
        ``theta_rho`` (see `start_mismatch`).
    gap, divergence, step_size : float
        ``delta_0``, ``D*_0`` and ``eta_0``.
    discount : float

    Examples
    --------
    >>> linear_bound([0, 1], 2.0, 1.0, 1.0, 2.0, 0.5)
    array([2., 1.])
    """
    return _plain((1 - 1 / theta) ** np.asarray(k, dtype=float) * (gap + divergence / (discount * step_size)))


@checked_numbers
def simple_linear_bound(k: Any, theta: float, discount: float) -> Any:
    """Return ``2 (1 - 1/theta_rho)^k / (1 - gamma)``: `linear_bound` if also ``eta_0 >= (1 - gamma)/gamma D*_0``."""
    return _plain(2 * (1 - 1 / theta) ** np.asarray(k, dtype=float) / (1 - discount))


@checked_numbers
def inexact_linear_bound(k: Any, theta: float, critic_error: float, discount: float) -> Any:
    """Return the bound with a critic of ``|Q^ - Q| <= critic_error`` (Xiao 2022, Theorem 13).

    ``delta_k <= 2 (1 - 1/theta_rho)^k / (1 - gamma) + 4 theta_rho tau / (1 - gamma)``, step sizes as in
    `simple_linear_bound`.
    """
    return simple_linear_bound(k, theta, discount) + 4 * theta * critic_error / (1 - discount)


@checked_numbers
def monte_carlo_rollouts(horizon: int, discount: float, n_pairs: int, failure: float) -> int:
    """Return the number of rollouts per pair (s, a) that `monte_carlo_error` needs (Xiao 2022, Lemma 14).

    ``M >= gamma^(-2H)/2 log(2 |S| |A| / p)``: it grows with the horizon since the error to be met shrinks.

    Examples
    --------
    >>> monte_carlo_rollouts(10, 0.9, 200, 0.05)
    37
    """
    needed = np.float64(discount) ** (-2.0 * horizon) / 2 * np.log(2 * n_pairs / failure)
    if not np.isfinite(needed):
        raise ValueError(f"horizon must be shorter: {horizon} transitions need more rollouts than can be counted")
    return int(np.ceil(needed))


@checked_numbers
def monte_carlo_error(horizon: int, discount: float) -> float:
    """Return ``2 gamma^H / (1 - gamma)``: `monte_carlo_rollouts` reach it with probability ``1 - failure``."""
    return 2 * discount**horizon / (1 - discount)


@checked_numbers
def gamma_rate_bound(sup_gap: float, slacks: Any, discount: float) -> np.ndarray:
    """Return the bounds on ``||V_k - V*||_inf``, k = 0, ..., K (Johnson et al. 2023, Theorem 4.1).

    ``b_0 = ||V_0 - V*||_inf, b_{k+1} = gamma b_k + c_k``, whenever ``eta_k >= max_s min_a D(e_a, pi_{k,s}) / c_k`` over
    greedy actions a. Any step size obeys this with ``c_k = max_s min_a D(e_a, pi_{k,s}) / eta_k``.

    Parameters
    ----------
    sup_gap : float
        ``||V_0 - V*||_inf``.
    slacks : array_like, shape (K,)
        ``c_k``.
    discount : float

    Examples
    --------
    >>> gamma_rate_bound(8.0, [0.0, 1.0], 0.5)
    array([8., 4., 3.])
    """
    slacks = as_float_array(slacks, "slacks", ndim=1, nonnegative=True, allow_empty=True)
    bounds = [as_number(sup_gap, "sup_gap", minimum=0)]
    for slack in slacks:
        bounds.append(discount * bounds[-1] + float(slack))
    return np.array(bounds)


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)
