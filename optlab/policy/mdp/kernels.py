"""Compiled passes over the transitions of an MDP: plain arrays in, plain arrays out.

`indptr`, `indices`, `data` are the CSR rows of the pairs (s, a), row ``s * A + a`` (see
`optlab.policy.mdp.transitions`). The indices are unsigned: signed ones would be tested for wrapping round at every
access, which doubles the time. Costs come as an array (S, A) with ``+inf`` at pairs that are not available, whose rows
are empty: a minimum over actions then needs no mask. `V` are values, `discount` is called gamma in the comments.

A weighted system ``I - gamma P_pi`` is never formed: its rows are sums over the actions' rows with the policy's
probabilities as `weights` (S, A), so no copy of the transitions is made for a policy (160 MB at a million states).
For a deterministic policy `select_rows` gathers the chosen rows, a quarter of the work at four actions.

Every pass takes a range of states, releases the interpreter lock and returns its partial sums; the ranges are dealt
out to threads by `optlab.policy.mdp.passes`. Not ``parallel=True``: this way everything is cached on disk.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math
from typing import Any

import numba as nb
import numpy as np

_OPTIONS = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
_NEGLIGIBLE = 1e-20  # a probability below it changes no digit of a sum of values; its row is not read


def _kernel(function: Any) -> Any:
    """Compile with a cache on disk; without a writable place for it, in memory."""
    try:
        return nb.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return nb.njit(**_OPTIONS)(function)


# ------------------------------------------------------------------ backups and sweeps


@_kernel
def greedy_backup(indptr, indices, data, cost, V, discount, out, policy, start, stop):
    """``out = min_a Q``, ``policy`` = its first minimiser; return the least and the largest of ``out - V``."""
    n_actions = cost.shape[1]
    low, high = np.inf, -np.inf
    for s in range(start, stop):
        best, choice = np.inf, 0
        for a in range(n_actions):
            row = s * n_actions + a
            total = 0.0
            for j in range(indptr[row], indptr[row + 1]):
                total += data[j] * V[indices[j]]
            q = cost[s, a] + discount * total
            if q < best:
                best, choice = q, a
        out[s] = best
        policy[s] = choice
        change = best - V[s]
        low, high = min(low, change), max(high, change)
    return low, high


@_kernel
def improve(indptr, indices, data, cost, V, discount, slack, policy, start, stop):
    """Make `policy` greedy in place, keeping an action that is within `slack` of the best.

    Return the changes, the least and the largest of ``min_a Q - V``, and the largest of ``Q(s, policy(s)) - V`` for the
    policy as given. Keeping incumbents is what makes policy iteration stop at ties.
    """
    n_actions = cost.shape[1]
    changes, low, high, excess = 0, np.inf, -np.inf, -np.inf
    for s in range(start, stop):
        best, choice, held = np.inf, 0, np.inf
        for a in range(n_actions):
            row = s * n_actions + a
            total = 0.0
            for j in range(indptr[row], indptr[row + 1]):
                total += data[j] * V[indices[j]]
            q = cost[s, a] + discount * total
            if q < best:
                best, choice = q, a
            if a == policy[s]:
                held = q
        low, high, excess = min(low, best - V[s]), max(high, best - V[s]), max(excess, held - V[s])
        if not held <= best + slack:
            policy[s] = choice
            changes += 1
    return changes, low, high, excess


@_kernel
def action_values(indptr, indices, data, cost, V, discount, out, start, stop):
    """``out[s, a] = cost[s, a] + gamma sum_s' P(s' | s, a) V(s')``."""
    n_actions = cost.shape[1]
    for s in range(start, stop):
        for a in range(n_actions):
            row = s * n_actions + a
            total = 0.0
            for j in range(indptr[row], indptr[row + 1]):
                total += data[j] * V[indices[j]]
            out[s, a] = cost[s, a] + discount * total


@_kernel
def policy_sweep(indptr, indices, data, weights, right, V, discount, out, start, stop):
    """``out = right + gamma P_pi V``; return the least and the largest of ``out - V``. One action: weights are ones."""
    n_actions = weights.shape[1]
    low, high = np.inf, -np.inf
    if n_actions == 1:
        for s in range(start, stop):
            total = 0.0
            for j in range(indptr[s], indptr[s + 1]):
                total += data[j] * V[indices[j]]
            value = right[s] + discount * total
            out[s] = value
            change = value - V[s]
            low, high = min(low, change), max(high, change)
        return low, high
    for s in range(start, stop):
        total = 0.0
        j = indptr[s * n_actions]
        for a in range(n_actions):
            end = indptr[s * n_actions + a + 1]
            w = weights[s, a]
            if w > _NEGLIGIBLE:
                part = 0.0
                while j < end:
                    part += data[j] * V[indices[j]]
                    j += 1
                total += w * part
            j = end
        value = right[s] + discount * total
        out[s] = value
        change = value - V[s]
        low, high = min(low, change), max(high, change)
    return low, high


@_kernel
def hopeless(width, before, goal, patience):
    """Whether four sweeps that took the span from `before` to `width` promise more than `patience` to `goal`."""
    if not width < before:
        return True
    return 4.0 * math.log(width / goal) > patience * math.log(before / width)


@_kernel
def sweep_until(indptr, indices, data, weights, right, V, work, discount, sweeps, span, patience):
    """Sweep `V` in place until the residual's span is at most `span`; return (sweeps, least, largest residual).

    Each sweep shrinks the span by the chain's mixing and by gamma, the constant part by gamma alone; the caller adds
    the constant in closed form. At most `sweeps` are made, and every fourth the pass gives up if the last four shrank
    the span too little to end within `patience` further ones: a Krylov method does better there.
    """
    n = right.size
    made, mark = 0, 0.0
    here, there = V, work
    low, high = -np.inf, np.inf
    while made < sweeps:
        low, high = policy_sweep(indptr, indices, data, weights, right, here, discount, there, 0, n)
        here, there = there, here
        made += 1
        width = high - low
        if width <= span:
            break
        if made % 4 == 1:
            if made > 1 and hopeless(width, mark, span, patience):
                break
            mark = width
    if made % 2:
        for s in range(n):  # `V[:] = here` would compile what formats an error message: two seconds
            V[s] = here[s]
    return made, low, high


@_kernel
def select_rows(indptr, indices, data, cost, policy):
    """Return the CSR rows of the chosen actions, next to one another, and their costs."""
    n, n_actions = cost.shape
    pointers = np.empty(n + 1, indptr.dtype)
    right = np.empty(n)
    pointers[0] = 0
    for s in range(n):
        row = s * n_actions + policy[s]
        pointers[s + 1] = pointers[s] + indptr[row + 1] - indptr[row]
        right[s] = cost[s, policy[s]]
    columns = np.empty(pointers[n], indices.dtype)
    values = np.empty(pointers[n])
    for s in range(n):
        row = s * n_actions + policy[s]
        shift = indptr[row] - pointers[s]
        for j in range(pointers[s], pointers[s + 1]):
            columns[j] = indices[j + shift]
            values[j] = data[j + shift]
    return pointers, columns, values, right


@_kernel
def modified_step(indptr, indices, data, cost, V, discount, sweeps, contraction, rounding, out, policy):
    """A backup of all actions, then sweeps of the greedy policy; return (bound on `out`'s error, sweeps, span).

    The span is that of the backup's residual.

    `optlab.policy.ModifiedPolicyIteration` has the formulas.
    """
    n = V.size
    low, high = greedy_backup(indptr, indices, data, cost, V, discount, out, policy, 0, n)
    factor = discount / (1.0 - discount)
    out += factor * 0.5 * (low + high)
    least = rounding * np.abs(out).max()
    if sweeps == 0 or not high - low > least:
        return factor * 0.5 * (high - low), 0, high - low
    pointers, columns, values, right = select_rows(indptr, indices, data, cost, policy)
    span = max(contraction * (high - low), least)
    made, less, more = sweep_until(
        pointers, columns, values, np.ones((n, 1)), right, out, np.empty(n), discount, sweeps, span, np.inf
    )
    out += factor * 0.5 * (less + more)
    return factor * (high - low) + factor * 0.5 * (more - less), made, high - low


@_kernel
def mixed_cost(cost, weights, out, start, stop):
    """``out[s] = sum_a weights[s, a] cost[s, a]`` over the pairs of positive weight."""
    for s in range(start, stop):
        total = 0.0
        for a in range(cost.shape[1]):
            if weights[s, a] > 0.0:
                total += weights[s, a] * cost[s, a]
        out[s] = total


@_kernel
def dense_system(indptr, indices, data, weights, discount):
    """Return ``I - gamma P_pi`` as a dense array."""
    n, n_actions = weights.shape
    out = np.zeros((n, n))
    for s in range(n):
        out[s, s] = 1.0
        for a in range(n_actions):
            for j in range(indptr[s * n_actions + a], indptr[s * n_actions + a + 1]):
                out[s, indices[j]] -= discount * weights[s, a] * data[j]
    return out


# ------------------------------------------------------------------ BiCGSTAB on (I - gamma P_pi) x = right


@_kernel
def apply_system(indptr, indices, data, weights, discount, x, out, left, start, stop):
    """``out = x - gamma P_pi x``; return ``<left, out>`` and ``<out, out>``. One action: weights are ones."""
    n_actions = weights.shape[1]
    inner, square = 0.0, 0.0
    if n_actions == 1:
        for s in range(start, stop):
            total = 0.0
            for j in range(indptr[s], indptr[s + 1]):
                total += data[j] * x[indices[j]]
            value = x[s] - discount * total
            out[s] = value
            inner += left[s] * value
            square += value * value
        return inner, square
    for s in range(start, stop):
        total = 0.0
        j = indptr[s * n_actions]
        for a in range(n_actions):
            end = indptr[s * n_actions + a + 1]
            w = weights[s, a]
            if w > _NEGLIGIBLE:
                part = 0.0
                while j < end:
                    part += data[j] * x[indices[j]]
                    j += 1
                total += w * part
            j = end
        value = x[s] - discount * total
        out[s] = value
        inner += left[s] * value
        square += value * value
    return inner, square


@_kernel
def half_step(r, v, alpha, start, stop):
    """``r -= alpha v`` in place; return the largest entry of ``|r|``."""
    top = 0.0
    for s in range(start, stop):
        r[s] -= alpha * v[s]
        top = max(top, abs(r[s]))
    return top


@_kernel
def full_step(x, p, r, t, shadow, alpha, omega, start, stop):
    """``x += alpha p + omega r`` and ``r -= omega t`` in place; return ``<shadow, r>`` and the largest ``|r|``."""
    inner, top = 0.0, 0.0
    for s in range(start, stop):
        x[s] += alpha * p[s] + omega * r[s]
        r[s] -= omega * t[s]
        inner += shadow[s] * r[s]
        top = max(top, abs(r[s]))
    return inner, top


@_kernel
def new_direction(p, r, v, beta, omega, start, stop):
    """``p = r + beta (p - omega v)`` in place."""
    for s in range(start, stop):
        p[s] = r[s] + beta * (p[s] - omega * v[s])


@_kernel
def bicgstab(indptr, indices, data, weights, right, x, discount, goal, max_iter):
    """Solve ``(I - gamma P_pi) x = right`` in place from `x`; return (iterations, sup norm of the true residual).

    Van der Vorst (1992). A breakdown starts again from the true residual, which is also what decides at the end; three
    restarts without an improvement end the attempt.
    """
    n = right.size
    r, v, p, t = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    shadow = np.empty(n)
    count, fruitless, before = 0, 0, np.inf
    while True:
        apply_system(indptr, indices, data, weights, discount, x, r, x, 0, n)
        top, rho = 0.0, 0.0
        for s in range(n):
            r[s] = right[s] - r[s]
            shadow[s] = r[s]
            p[s] = r[s]
            top = max(top, abs(r[s]))
            rho += r[s] * r[s]
        fruitless = fruitless + 1 if not top < 0.5 * before else 0
        if top <= goal or count >= max_iter or fruitless >= 3 or not math.isfinite(top):
            return count, top
        before = top
        first = math.sqrt(rho)
        while count < max_iter:
            inner, square = apply_system(indptr, indices, data, weights, discount, p, v, shadow, 0, n)
            if not abs(inner) > 1e-14 * first * math.sqrt(square):
                break
            alpha = rho / inner
            top = half_step(r, v, alpha, 0, n)
            count += 1
            if top <= goal:
                full_step(x, p, r, t, shadow, alpha, 0.0, 0, n)
                break
            inner, square = apply_system(indptr, indices, data, weights, discount, r, t, r, 0, n)
            if not square > 0.0:
                full_step(x, p, r, t, shadow, alpha, 0.0, 0, n)
                break
            omega = inner / square
            previous = rho
            rho, top = full_step(x, p, r, t, shadow, alpha, omega, 0, n)
            if top <= goal or not abs(rho) > 1e-14 * abs(previous) * 1e-2 or omega == 0.0 or not math.isfinite(top):
                break
            new_direction(p, r, v, rho / previous * alpha / omega, omega, 0, n)


# ------------------------------------------------------------------ fused mirror steps: no Q is stored
#
# Both write the new policy as probabilities (`weights`) and logarithms (`out`), and, the action values being at hand,
# what its evaluation starts with: its cost (`right`) and its first sweep (`backed`, sum_a pi(a | s) Q(s, a)). They
# return the largest V - min_a Q, and the least and the largest of `backed - V`.


@_kernel
def kl_step(
    indptr, indices, data, cost, V, discount, log_policy, step_size, floor, out, weights, right, backed, start, stop
):
    """``out = log softmax(log_policy - step_size Q)`` floored.

    `step_size` has one entry, or one per state. Differences to the best Q are formed before the multiplication, so
    step sizes up to 1e300 do no harm. An action of probability zero keeps it; the floor is for the others.
    """
    n_actions = cost.shape[1]
    q, y = np.empty(n_actions), np.empty(n_actions)
    gap, low, high = -np.inf, np.inf, -np.inf
    eta = step_size[0]
    for s in range(start, stop):
        if step_size.size > 1:
            eta = step_size[s]
        best = np.inf
        j = indptr[s * n_actions]
        for a in range(n_actions):
            end = indptr[s * n_actions + a + 1]
            total = 0.0
            while j < end:
                total += data[j] * V[indices[j]]
                j += 1
            q[a] = cost[s, a] + discount * total
            best = min(best, q[a])
        gap = max(gap, V[s] - best)
        top = -np.inf
        for a in range(n_actions):
            if log_policy[s, a] > -np.inf and q[a] < np.inf:
                y[a] = log_policy[s, a] - eta * (q[a] - best)
                top = max(top, y[a])
            else:
                y[a] = -np.inf
        total = 0.0
        for a in range(n_actions):
            y[a] -= top
            weights[s, a] = math.exp(y[a])
            total += weights[s, a]
        normaliser, inverse = math.log(total), 1.0 / total
        value, expense = 0.0, 0.0
        for a in range(n_actions):
            if q[a] < np.inf and log_policy[s, a] > -np.inf:
                out[s, a] = max(y[a] - normaliser, floor)
                weights[s, a] *= inverse
                value += weights[s, a] * q[a]
                expense += weights[s, a] * cost[s, a]
            else:
                out[s, a] = -np.inf
                weights[s, a] = 0.0
        backed[s], right[s] = value, expense
        low, high = min(low, value - V[s]), max(high, value - V[s])
    return gap, low, high


@_kernel
def euclidean_step(
    indptr, indices, data, cost, V, discount, policy, step_size, out, weights, right, backed, start, stop
):
    """``weights = projection onto the simplex of policy - step_size Q``, row by row; ``out`` its logarithm.

    The projection is the sort of Held, Wolfe and Crowder (1974), here an insertion sort of the A entries; pairs that
    are not available take no part.
    """
    n_actions = cost.shape[1]
    q, y, ordered = np.empty(n_actions), np.empty(n_actions), np.empty(n_actions)
    gap, low, high = -np.inf, np.inf, -np.inf
    eta = step_size[0]
    for s in range(start, stop):
        if step_size.size > 1:
            eta = step_size[s]
        best = np.inf
        j = indptr[s * n_actions]
        for a in range(n_actions):
            end = indptr[s * n_actions + a + 1]
            total = 0.0
            while j < end:
                total += data[j] * V[indices[j]]
                j += 1
            q[a] = cost[s, a] + discount * total
            best = min(best, q[a])
        gap = max(gap, V[s] - best)
        count = 0
        for a in range(n_actions):
            if q[a] < np.inf:
                y[a] = policy[s, a] - eta * (q[a] - best)
                place = count
                while place > 0 and ordered[place - 1] < y[a]:
                    ordered[place] = ordered[place - 1]
                    place -= 1
                ordered[place] = y[a]
                count += 1
        total, threshold = 0.0, 0.0
        for i in range(count):
            total += ordered[i]
            candidate = (total - 1.0) / (i + 1)
            if ordered[i] <= candidate:
                break
            threshold = candidate
        total = 0.0
        for a in range(n_actions):
            weights[s, a] = max(y[a] - threshold, 0.0) if q[a] < np.inf else 0.0
            total += weights[s, a]
        value, expense = 0.0, 0.0
        for a in range(n_actions):
            weights[s, a] /= total  # rounding of the threshold
            if weights[s, a] > 0.0:
                out[s, a] = math.log(weights[s, a])
                value += weights[s, a] * q[a]
                expense += weights[s, a] * cost[s, a]
            else:
                out[s, a] = -np.inf
        backed[s], right[s] = value, expense
        low, high = min(low, value - V[s]), max(high, value - V[s])
    return gap, low, high
