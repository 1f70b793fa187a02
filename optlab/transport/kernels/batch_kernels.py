"""The compiled loop behind `optlab.transport.batch_transport`: one small entropic problem after another.

A problem's potentials are kept as ``F + log u``, ``G + log v`` with ``K = exp(F + G - kappa C)`` formed now and
then, so that an iteration is two matrix-vector products on a matrix in the first-level cache. Where a sum underflows,
and at the start of every temperature, one step in the log domain takes its place. What forty
iterations at the last temperature do not settle, Newton's method does: at these sizes a step costs as much as some
thirty iterations.
"""

# Compiled code: Numba infers the types.
# mypy: ignore-errors

from __future__ import annotations

import math

import numpy as np

from optlab.transport.kernels.half_steps import _SUM, _compile

# reassociation makes vector code of every loop, and compiling takes twice as long: for the innermost products only
_PLAIN = {"contract"}
_HUGE = 1e50  # scalings beyond are absorbed into the potentials
_TINY = 1e-50


@_compile(_PLAIN)
def _log_step(C, kappa, log_target, potential, out, by_rows):
    """Write to `out` the potential that gives the rows (or columns) their target sums, in the log domain."""
    n, m = C.shape
    count, other = (n, m) if by_rows else (m, n)
    for i in range(count):
        top = -np.inf
        for j in range(other):
            c = C[i, j] if by_rows else C[j, i]
            top = max(top, potential[j] - kappa * c)
        if log_target[i] == -np.inf or top == -np.inf:
            out[i] = -np.inf
            continue
        total = 0.0
        for j in range(other):
            c = C[i, j] if by_rows else C[j, i]
            total += math.exp(potential[j] - kappa * c - top)
        out[i] = log_target[i] - top - math.log(total)


@_compile(_PLAIN, inline=True)
def _form(C, kappa, F, G, K, u, v):
    n, m = C.shape
    for i in range(n):
        for j in range(m):
            # at most the smaller marginal after a log step; the cap is for the half-step between
            K[i, j] = math.exp(min(F[i] + G[j] - kappa * C[i, j], 80.0))
    u[:] = 1.0
    v[:] = 1.0


@_compile(_PLAIN)
def _settle(C, kappa, log_a, log_b, F, G, K, u, v):
    """Make one step of each kind in the log domain, and form the kernel there."""
    _log_step(C, kappa, log_a, G, F, True)
    _log_step(C, kappa, log_b, F, G, False)
    _form(C, kappa, F, G, K, u, v)


@_compile(_PLAIN, inline=True)
def _absorb(F, G, u, v):
    for i in range(F.size):
        F[i] += math.log(u[i]) if u[i] > 0.0 else 0.0
    for j in range(G.size):
        G[j] += math.log(v[j]) if v[j] > 0.0 else 0.0


@_compile(_SUM, inline=True)
def _times(K, v, r):
    for i in range(K.shape[0]):
        total = K[i, 0] * v[0]
        for j in range(1, K.shape[1]):
            total += K[i, j] * v[j]
        r[i] = total


@_compile(_SUM, inline=True)
def _transposed_times(K, u, c):
    c[:] = 0.0
    for i in range(K.shape[0]):
        factor = u[i]
        for j in range(K.shape[1]):
            c[j] += K[i, j] * factor


@_compile(_SUM, inline=True)
def _update(sums, target, scaling):
    """Scale to the target sums; return the L1 error before, and whether everything is in range."""
    error = 0.0
    fine = True
    for i in range(sums.size):
        if target[i] == 0.0:
            scaling[i] = 0.0
        elif sums[i] < _TINY:
            fine = False
        else:
            error += abs(target[i] - sums[i] * scaling[i])
            scaling[i] = target[i] / sums[i]
            if not (_TINY < scaling[i] < _HUGE):
                fine = False
    return error, fine


@_compile(_PLAIN)
def _cholesky_solve(S, x):
    """Solve with a positive definite S in place, overwriting its lower triangle; return whether it is definite."""
    size = x.size
    for j in range(size):
        for k in range(j):
            factor = S[j, k]
            if factor != 0.0:
                for i in range(j, size):
                    S[i, j] -= S[i, k] * factor
        if not S[j, j] > 0.0:
            return False
        root = math.sqrt(S[j, j])
        for i in range(j, size):
            S[i, j] /= root
    for j in range(size):
        for k in range(j):
            x[j] -= S[j, k] * x[k]
        x[j] /= S[j, j]
    for j in range(size - 1, -1, -1):
        for k in range(j + 1, size):
            x[j] -= S[k, j] * x[k]
        x[j] /= S[j, j]
    return True


@_compile(_PLAIN, inline=True)
def _dual(a, b, F, G):
    total = 0.0
    for i in range(a.size):
        if a[i] > 0.0:
            total += a[i] * F[i]
    for j in range(b.size):
        if b[j] > 0.0:
            total += b[j] * G[j]
    return total


@_compile(_PLAIN)
def _newton(a, b, log_a, log_b, C, kappa, F, G, X, c, goal, budget):
    """Newton's method on the dual with F maximised out; return the number of steps and the marginal error.

    The Hessian of ``G -> max_F`` is ``X^T diag(1 / a) X - diag(X^T 1)``. A ridge keeps it definite along the constants
    and where the plan is nearly disconnected; steps that do not raise the dual are halved, and a step of Sinkhorn's
    iteration stands in where that fails.
    """
    n, m = C.shape
    S, step, trial, shifted, ones = np.empty((m, m)), np.empty(m), np.empty(m), np.empty(n), np.empty(n)
    unused = np.empty(m)
    ridge = 1e-11
    error, best, stuck, count = math.inf, math.inf, 0, 0
    _log_step(C, kappa, log_a, G, F, True)
    while True:
        _form(C, kappa, F, G, X, ones, unused)
        ones[:] = 1.0
        _transposed_times(X, ones, c)
        error = 0.0
        slope = 0.0
        for j in range(m):
            error += abs(b[j] - c[j])
        if error < best:
            best, stuck = error, 0
        else:
            stuck += 1
        if error <= goal or count >= budget or stuck >= 50:
            return count, error
        count += 1
        for j in range(m):
            for k in range(j + 1):
                S[j, k] = 0.0
        for i in range(n):
            if a[i] > 0.0:
                for j in range(m):
                    factor = X[i, j] / a[i]
                    if factor > 1e-30:
                        for k in range(j + 1):
                            S[j, k] -= factor * X[i, k]
        for j in range(m):
            step[j] = b[j] - c[j]
            S[j, j] += c[j] + ridge * max(c[j], b[j]) if b[j] > 0.0 else 1.0
        moved = False
        if _cholesky_solve(S, step):
            for j in range(m):
                slope += (b[j] - c[j]) * step[j]
            value = _dual(a, b, F, G)
            size = 1.0
            for _ in range(12):
                for j in range(m):
                    trial[j] = G[j] + size * step[j] if b[j] > 0.0 else G[j]
                _log_step(C, kappa, log_a, trial, shifted, True)
                # near the optimum the rise drowns in rounding: there Newton's own step is taken
                if _dual(a, b, shifted, trial) - value >= 1e-4 * size * slope - 1e-14 * (1.0 + abs(value)):
                    for j in range(m):
                        G[j] = trial[j]
                    for i in range(F.size):
                        F[i] = shifted[i]
                    moved = True
                    break
                size *= 0.5
            ridge = max(ridge * 0.1, 1e-13) if size == 1.0 else min(ridge * 10.0, 1e-3)
        else:
            ridge = min(ridge * 100.0, 1e-3)
        if not moved:
            _log_step(C, kappa, log_b, F, G, False)
            _log_step(C, kappa, log_a, G, F, True)


@_compile(_PLAIN)
def solve(A, B, C, eps, tol, max_iter, F_all, G_all, report):
    """Solve every problem; `report` has for each: iterations, relative marginal error, and whether G is a start.

    A, B, C, eps hold one problem each, or one for all.
    """
    n, m = C.shape[1], C.shape[2]
    K = np.empty((n, m))
    u, r, log_a = np.empty(n), np.empty(n), np.empty(n)
    v, c, log_b = np.empty(m), np.empty(m), np.empty(m)
    for k in range(F_all.shape[0]):
        a, b, cost = A[k % A.shape[0]], B[k % B.shape[0]], C[k % C.shape[0]]
        F, G = F_all[k], G_all[k]
        mass = 0.0
        for i in range(n):
            mass += a[i]
            log_a[i] = math.log(a[i]) if a[i] > 0.0 else -np.inf
        low, high = math.inf, -math.inf
        for i in range(n):
            for j in range(m):
                low = min(low, np.float64(cost[i, j]))
                high = max(high, np.float64(cost[i, j]))
        last = 1.0 / eps[k % eps.size]
        warm = report[k, 2] > 0.0
        kappa = last if warm else min(last, 25.0 / max(high - low, 1e-300))
        for j in range(m):
            log_b[j] = math.log(b[j]) if b[j] > 0.0 else -np.inf
            if b[j] == 0.0:
                G[j] = -np.inf
            elif warm:
                G[j] *= kappa
            else:
                G[j] = log_b[j] + kappa * low
        count = 0
        error = math.inf
        while True:
            # one step of each kind in the log domain settles the scale at this temperature
            _settle(cost, kappa, log_a, log_b, F, G, K, u, v)
            count += 1
            final = kappa >= last
            goal = tol * mass if final else 0.02 * mass
            limit = min(max_iter, count + 40)
            while count < limit:
                _times(K, v, r)
                _, fine = _update(r, a, u)
                _transposed_times(K, u, c)
                error, also = _update(c, b, v)
                count += 1
                if error <= goal:
                    break
                if not (fine and also):
                    for i in range(n):
                        u[i] = min(max(u[i], 1e-100), 1e100)
                    for j in range(m):
                        v[j] = min(max(v[j], 1e-100), 1e100)
                    _absorb(F, G, u, v)
                    _settle(cost, kappa, log_a, log_b, F, G, K, u, v)
            _absorb(F, G, u, v)
            if final and error > goal and count < max_iter:
                steps, error = _newton(a, b, log_a, log_b, cost, kappa, F, G, K, c, goal, max_iter - count)
                count += steps
            if final:
                break
            following = min(last, 4.0 * kappa)
            for j in range(m):
                if b[j] > 0.0:
                    G[j] *= following / kappa
            kappa = following
        report[k, 0] = count
        report[k, 1] = error / mass


@_compile(_PLAIN)
def certify(A, B, C, eps, F_all, G_all, out):
    """Write cost, objective (rounded plan), dual objective and marginal error (L1) of every problem to `out`.

    The potentials are in units of eps; G is improved by one step in the log domain, which the caller sees.
    """
    n, m = C.shape[1], C.shape[2]
    X = np.empty((n, m))
    columns, left, right = np.empty(m), np.empty(n), np.empty(m)
    log_a, log_b = np.empty(n), np.empty(m)
    for k in range(F_all.shape[0]):
        a, b, cost = A[k % A.shape[0]], B[k % B.shape[0]], C[k % C.shape[0]]
        F, G = F_all[k], G_all[k]
        e = eps[k % eps.size]
        for i in range(n):
            log_a[i] = math.log(a[i]) if a[i] > 0.0 else -np.inf
        for j in range(m):
            log_b[j] = math.log(b[j]) if b[j] > 0.0 else -np.inf
        _log_step(cost, 1.0 / e, log_b, F, G, False)
        columns[:] = 0.0
        raw_error = 0.0
        dual = 0.0
        total = 0.0
        for i in range(n):
            s = 0.0
            for j in range(m):
                x = math.exp(F[i] + G[j] - cost[i, j] / e) if F[i] > -np.inf and G[j] > -np.inf else 0.0
                X[i, j] = x
                s += x
            raw_error += abs(s - a[i])
            dual += a[i] * e * F[i] if a[i] > 0.0 else 0.0
            total += s
            # round: rows down to a, then columns down to b
            factor = a[i] / s if s > a[i] else 1.0
            for j in range(m):
                X[i, j] *= factor
                columns[j] += X[i, j]
        for j in range(m):
            dual += b[j] * e * G[j] if b[j] > 0.0 else 0.0
            right[j] = max(b[j] - columns[j], 0.0)
            # more than b only where the exponents are so large that their rounding is felt
            columns[j] = b[j] / columns[j] if columns[j] > b[j] else 1.0
        lack = 0.0
        for i in range(n):
            s = 0.0
            for j in range(m):
                X[i, j] *= columns[j]
                s += X[i, j]
            left[i] = max(a[i] - s, 0.0)
            lack += left[i]
        dual -= e * total
        value = 0.0
        entropy = 0.0
        for i in range(n):
            for j in range(m):
                x = X[i, j]
                if lack > 0.0:
                    x += left[i] * right[j] / lack
                if x > 0.0:
                    value += cost[i, j] * x
                    entropy += x * (math.log(x) - 1.0)
        out[k, 0] = value
        out[k, 1] = value + e * entropy
        out[k, 2] = dual
        out[k, 3] = raw_error
