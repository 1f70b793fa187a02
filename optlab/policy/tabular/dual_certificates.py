r"""Bounds for policy mirror descent with an approximated dual (DAPO) and with an entropy regulariser.

Notation as in `optlab.policy.tabular.certificates`. f is the fitted dual point of a state, ``pi_{k+1} = Pi(f)``;
``g = grad Phi(pi_k) - eta_k Q_k`` the target, ``pi+ = Pi(g)``; the dual error is ``D_{Phi*}(g, f)`` and the drift
``zeta = D(pi*, pi_{k+1}) - D(pi*, pi+)``; tau bounds the error of the critic.

The bounds with a dual error are derived here and verified numerically; they are not those of Xiong, Fazel and Xiao
(2024). Two features: they are linear in the dual error, and a dual error that stays bounded leaves no floor under
geometric step sizes, only that of the critic does. The regularised rate is that of Zhan et al. (2023).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman.mirror_maps import MirrorMap
from optlab.core.validation import as_float_array
from optlab.policy.arguments import checked_numbers
from optlab.policy.tabular.certificates import basic_recursion, gamma_rate_bound, linear_growth_factor

__all__ = [
    "drift",
    "dual_average_bound",
    "dual_improvement_bound",
    "dual_linear_bound",
    "dual_recursion",
    "dual_sup_bound",
    "soft_bellman_bound",
    "soft_linear_bound",
]


def drift(mirror_map: MirrorMap, log_optimal: Any, log_policy: Any, log_target: Any) -> np.ndarray:
    """Return ``zeta_s = D(pi*_s, pi_s) - D(pi*_s, pi+_s)``, shape (S,), from log-probabilities.

    What an approximate step lost (or won) against the exact one, as seen from the optimal policy.
    """
    if not isinstance(mirror_map, MirrorMap):
        raise TypeError(f"mirror_map must be a MirrorMap, got {type(mirror_map).__name__}")
    log_optimal = as_float_array(log_optimal, "log_optimal", ndim=2, finite=False)
    log_policy = as_float_array(log_policy, "log_policy", shape=log_optimal.shape, finite=False)
    log_target = as_float_array(log_target, "log_target", shape=log_optimal.shape, finite=False)
    reached = mirror_map.divergence_from_log(log_optimal, log_policy)
    wanted = mirror_map.divergence_from_log(log_optimal, log_target)
    return np.asarray(reached - wanted)


@checked_numbers
def dual_improvement_bound(dual_error: float, step_size: float, discount: float, critic_error: float = 0.0) -> float:
    """Return the largest possible rise ``(error/eta + 2 tau) / (1 - gamma)`` in one step.

    With ``error = E_{d_{k+1}} D_{Phi*}(g, f)`` of ``delta_{k+1} - delta_k``; with the largest dual error over the
    states, of V at every state.

    Examples
    --------
    >>> dual_improvement_bound(0.5, 1.0, 0.5)
    1.0
    """
    return (dual_error / step_size + 2 * critic_error) / (1 - discount)


@checked_numbers
def dual_recursion(
    theta: float,
    gap: float,
    next_gap: float,
    divergence: float,
    next_divergence: float,
    step_size: float,
    discount: float,
    *,
    drift: float,
    dual_error: float,
    critic_error: float = 0.0,
) -> tuple[float, float]:
    """Return both sides of the one-step inequality with dual error: `basic_recursion` plus what the errors add.

    ``theta (delta_{k+1} - delta_k) + delta_k <= (D*_k - D*_{k+1} + Z_k) / ((1 - gamma) eta_k)
    + theta (error/eta_k + 2 tau) / (1 - gamma)``, with ``Z_k = E_{d*} zeta`` (see `drift`), ``error = E_{d_{k+1}} D``.
    """
    left, right = basic_recursion(theta, gap, next_gap, divergence - next_divergence + drift, 0.0, step_size, discount)
    return left, right + theta * dual_improvement_bound(dual_error, step_size, discount, critic_error)


@checked_numbers
def dual_average_bound(
    gap: float,
    divergence: float,
    step_sizes: Any,
    drifts: Any,
    dual_errors: Any,
    theta: float,
    discount: float,
    critic_error: float = 0.0,
) -> np.ndarray:
    """Return the bounds on ``(delta_0 + ... + delta_{K-1})/K``, K = 1, ..., n, for step sizes that do not decrease.

    ``(D*_0/((1 - gamma) eta_0) + theta delta_0)/K + 1/K sum_k (Z_k + theta error_k)/((1 - gamma) eta_k)
    + 2 theta tau/(1 - gamma)``.

    Parameters
    ----------
    gap, divergence : float
        ``delta_0`` and ``D*_0``.
    step_sizes, drifts, dual_errors : array_like, shape (n,)
        ``eta_k``, ``Z_k`` and ``E_{d_{k+1}} D``.
    theta : float
        At least every ``theta_{k+1}`` of the run.
    discount, critic_error : float

    Examples
    --------
    >>> dual_average_bound(1.0, 1.0, [1.0, 1.0], [0.0, 0.0], [0.0, 0.0], 2.0, 0.5)
    array([4., 2.])
    """
    eta, Z, error = _histories(step_sizes, drifts, dual_errors)
    if np.any(np.diff(eta) < 0):
        raise ValueError("step_sizes must not decrease for this bound")
    steps = np.arange(1, eta.size + 1)
    first = divergence / ((1 - discount) * eta[:1]) + theta * gap
    added = np.cumsum((Z + theta * error) / eta) / (1 - discount)
    return np.asarray((first + added) / steps + 2 * theta * critic_error / (1 - discount))


@checked_numbers
def dual_linear_bound(
    gap: float,
    divergence: float,
    step_sizes: Any,
    drifts: Any,
    dual_errors: Any,
    theta: float,
    discount: float,
    critic_error: float = 0.0,
) -> np.ndarray:
    """Return the bounds on delta_K, K = 1, ..., n, for step sizes growing by ``theta/(theta - 1)`` or more.

    With ``q = 1 - 1/theta``: ``q^K (delta_0 + D*_0/((1 - gamma) eta_0 (theta - 1)))
    + sum_{k<K} q^(K-1-k) ((Z_k/theta + error_k)/eta_k + 2 tau)/(1 - gamma)``. Parameters as in `dual_average_bound`.

    Raises
    ------
    ValueError
        If the step sizes grow by less.

    Examples
    --------
    >>> dual_linear_bound(1.0, 1.0, [1.0, 2.0], [0.0, 0.0], [0.0, 0.0], 2.0, 0.5)
    array([1.5 , 0.75])
    """
    eta, Z, error = _histories(step_sizes, drifts, dual_errors)
    growth = linear_growth_factor(theta)
    short = eta[1:] < eta[:-1] * growth * (1 - 1e-12)
    if short.any():
        k = int(np.argmax(short))
        raise ValueError(
            f"step_sizes must grow by theta/(theta - 1) = {growth:.6g} at least, but grow by {eta[k + 1] / eta[k]:.6g} "
            f"from iteration {k}"
        )
    q = 1 - 1 / theta
    bounds, carried, scale = [], 0.0, gap + divergence / ((1 - discount) * eta[0] * (theta - 1))
    for k in range(eta.size):
        carried = q * carried + ((Z[k] / theta + error[k]) / eta[k] + 2 * critic_error) / (1 - discount)
        bounds.append(q ** (k + 1) * scale + carried)
    return np.array(bounds)


@checked_numbers
def dual_sup_bound(
    sup_gap: float, slacks: Any, step_sizes: Any, dual_errors: Any, discount: float, critic_error: float = 0.0
) -> np.ndarray:
    """Return the bounds on ``||V_k - V*||_inf``, k = 0, ..., n: `gamma_rate_bound` with dual and critic errors.

    ``b_{k+1} = gamma b_k + (c_k + max_s D_s/eta_k + 2 tau)/(1 - gamma)``: neither mismatch nor drift, but vacuous for
    small constant step sizes.

    Parameters
    ----------
    sup_gap : float
    slacks, step_sizes, dual_errors : array_like, shape (n,)
        ``c_k``, ``eta_k`` and ``max_s D_{Phi*}(g_s, f_s)``.
    discount, critic_error : float
    """
    eta, slack, error = _histories(step_sizes, slacks, dual_errors)
    return gamma_rate_bound(sup_gap, (slack + error / eta + 2 * critic_error) / (1 - discount), discount)


# ---------------------------------------------------------------- entropy regularisation


@checked_numbers
def soft_linear_bound(
    k: Any, q_gap: float, log_gap: float, temperature: float, step_size: float, discount: float
) -> Any:
    """Return the bound on ``||Q_tau^{k+1} - Q*_tau||_inf`` for regularised policy mirror descent (Zhan et al. 2023).

    ``gamma C_1 (1 - eta tau/(1 + eta tau) (1 - gamma))^k``, with
    ``C_1 = ||Q_tau^0 - Q*_tau||_inf + 2 tau/(1 + eta tau) ||log pi*_tau - log pi_0||_inf``; an infinite step size is
    soft policy iteration, with rate gamma. It bounds iteration k + 1.

    Parameters
    ----------
    k : int or array_like
    q_gap, log_gap : float
        ``||Q_tau^0 - Q*_tau||_inf`` and ``||log pi*_tau - log pi_0||_inf``.
    temperature, step_size, discount : float

    Examples
    --------
    >>> soft_linear_bound(1, 4.0, 1.0, 0.1, float("inf"), 0.5)
    1.0
    """
    kept = 1 / (1 + step_size * temperature)
    constant = q_gap + 2 * temperature * kept * log_gap
    bound = discount * constant * (1 - (1 - kept) * (1 - discount)) ** np.asarray(k, dtype=float)
    return float(bound) if np.ndim(k) == 0 else bound


@checked_numbers
def soft_bellman_bound(
    sup_gap: float, divergences: Any, temperature: float, discount: float, critic_error: float = 0.0
) -> np.ndarray:
    """Return the bounds on ``||V_tau^k - V*_tau||_inf``, k = 0, ..., n, for soft actor-critic; derived here.

    ``b_{k+1} = gamma b_k + (tau KL_k + 2 critic_error)/(1 - gamma)``, where ``KL_k`` is the largest
    ``KL(pi_{k+1,s} || softmax(-Q_tau/tau))``, its actor loss; ``tau KL`` is exactly the Bellman error of the new
    policy.
    """
    losses = as_float_array(divergences, "divergences", ndim=1, nonnegative=True, allow_empty=True)
    return gamma_rate_bound(sup_gap, (temperature * losses + 2 * critic_error) / (1 - discount), discount)


def _histories(first: Any, *others: Any) -> tuple[np.ndarray, ...]:
    eta = as_float_array(first, "step_sizes", ndim=1, positive=True)
    return (eta, *(as_float_array(other, "the histories of errors", shape=eta.shape) for other in others))
