"""Primal averaging inside a compiled loop: gradients near an average of the iterates that they make.

A loop moves the variable z as ever, but takes its gradients at a point y between z and an average x of them:

    y = mu x + (1 - mu) z,       z+ = z + d,       x+ = (1 - c) x + c z+,

d the displacement that the method makes of the gradient at y (`optlab.wrappers.PrimalAveraging`). In a loop's record
z is ``steps.x``, x is ``steps.around.mean`` and y is ``steps.around.point``.

On sparse data with a step rule, z and x are kept as combinations of two vectors that change at the non-zeros of a
step's rows only,

    (z, x) = W (Z, A),    W <- M W,    (Z, A) += inverse of W times (d, c d),    W = (p, q; s, r),

with the 2 x 2 matrix M of a step without data. M has a part off the diagonal in z where a ridge term or a weight decay
pulls at y. The inner products of z and x, which the ridge term needs, follow by the same matrix (derived here, verified
numerically). The two vectors are added up before the combinations cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import types

from optlab.compiled.functions import F8, inlined, vector

# entries of the float64 vector `numbers`: the combinations, the inner products of z and x over the features, and what
# the rules of the weights remember
P, Q, S, R, ZZ, ZX, XX, TWO_BUFFERS, WEIGHT_SUM, LARGEST = range(10)


class Primal(NamedTuple):
    """What a loop needs to take its gradients near an average.

    Parameters
    ----------
    mean : ndarray
        The average x, float64; empty where y is carried on instead (`Near.use_two_buffers`).
    point : ndarray
        Where gradients are taken.
    mixing, interpolation : ndarray
        c and mu of each step, or one for all.
    decay : float
        Part of y that a step of size 1 takes off z.
    numbers : ndarray
        See the constants of this module.
    """

    mean: np.ndarray
    point: np.ndarray
    mixing: np.ndarray
    interpolation: np.ndarray
    decay: float
    numbers: np.ndarray


def primal_type(scalar: Any) -> Any:
    """Return Numba's type of the record, for data of this type."""
    f8 = vector(F8)
    fields = [f8, vector(scalar), vector(F8, True), vector(F8, True), F8, f8]
    return types.NamedTuple(fields, Primal)


def start_numbers(square: float = 0.0) -> np.ndarray:
    """Return the numbers of a run that begins at a point whose features have this squared norm."""
    return np.array([1.0, 0.0, 0.0, 1.0, square, square, square, 0.0, 0.0, 0.0])


@dataclass
class Near:
    """An average that a method is to take its gradients near; its arrays are changed in place.

    Parameters
    ----------
    mean, numbers, decay
        As in `Primal`.
    coefficients : callable
        ``coefficients(k, n, step_sizes, numbers)`` returns c and mu of the iterations k, ..., k+n-1, as arrays of
        length n or 1, from the method's scheduled step sizes (again n or 1); it may change the last two numbers.
    """

    mean: np.ndarray
    numbers: np.ndarray
    coefficients: Callable[[int, int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    decay: float = 0.0

    def use_two_buffers(self, mu: float) -> None:
        """Keep the point y in the place of the average, which is then ``(y - (1 - mu) z) / mu``.

        For loops that know z before and after a step at once: one vector less to read and write. mu must not change.
        """
        self.numbers[S], self.numbers[R], self.numbers[TWO_BUFFERS] = 1.0 - 1.0 / mu, 1.0 / mu, 1.0

    def block(self, x: np.ndarray, k: int, n: int, step_sizes: np.ndarray) -> Primal:
        """Return the record for n steps from iteration k on; x is the array that the loop moves."""
        mixing, interpolation = self.coefficients(k, n, step_sizes, self.numbers)
        if self.numbers[TWO_BUFFERS]:
            return Primal(np.empty(0), self.mean, mixing, interpolation, self.decay, self.numbers)
        primal = Primal(self.mean, np.empty_like(x), mixing, interpolation, self.decay, self.numbers)
        place_point(primal, x, interpolation[0])
        return primal

    def value(self, x: np.ndarray, intercept: bool) -> np.ndarray:
        """Return the average, x the array that the loop has moved; the last entry of both may be an intercept."""
        s, r = self.numbers[S], self.numbers[R]
        if s == 0.0 and r == 1.0:
            return self.mean
        value = s * x + r * self.mean
        if intercept and not self.numbers[TWO_BUFFERS]:
            value[-1] = self.mean[-1]
        return value


def place_point(primal: Primal, x: np.ndarray, mu: np.float64) -> None:
    """Write the point of a step, x the variable that moves."""
    primal.point[:] = mu * primal.mean + (1.0 - mu) * x.astype(np.float64, copy=False)


def average_in_numpy(steps, step, step_size):
    """After z has moved: average, and write the point of the next step. ``steps.x`` is z."""
    primal, x = steps.around, steps.x
    c = primal.mixing[step if primal.mixing.size > 1 else 0]
    mu = primal.interpolation[min(step + 1, primal.interpolation.size - 1)]
    if primal.decay > 0.0:
        x -= (step_size * primal.decay * primal.point.astype(np.float64)).astype(x.dtype)
    primal.mean[:] = (1.0 - c) * primal.mean + c * x.astype(np.float64, copy=False)
    place_point(primal, x, mu)


def average(steps, step, step_size):
    """`average_in_numpy`, to be compiled: one pass."""
    primal, x = steps.around, steps.x
    mean, point = primal.mean, primal.point
    c = primal.mixing[step if primal.mixing.size > 1 else 0]
    mu = primal.interpolation[min(step + 1, primal.interpolation.size - 1)]
    if primal.decay > 0.0:
        for j in range(mean.size):
            x[j] -= step_size * primal.decay * float(point[j])
    for j in range(mean.size):
        z = float(x[j])
        m = (1.0 - c) * mean[j] + c * z
        mean[j] = m
        point[j] = mu * m + (1.0 - mu) * z


def move_and_average(steps, step, step_size, a, i, c, ridge):
    """Move z by ``-c a_i - ridge y``, and average: one pass, to be compiled. An intercept has moved already."""
    primal, x = steps.around, steps.x
    mean, point, d = primal.mean, primal.point, a.shape[1]
    new = primal.mixing[step if primal.mixing.size > 1 else 0]
    mu = primal.interpolation[min(step + 1, primal.interpolation.size - 1)]
    decay = step_size * primal.decay if primal.decay > 0.0 else 0.0
    pull = ridge + decay
    if mean.size == 0:
        keep, enter = 1.0 - new, 1.0 - mu + mu * new
        for j in range(d, x.size):
            y = float(point[j]) - (1.0 - mu) * (float(x[j]) + c)  # before it moved
            x[j] -= decay * float(point[j])
            point[j] = keep * y + enter * float(x[j])
        for j in range(d):
            old, y = float(x[j]), float(point[j])
            z = old - c * float(a[i, j]) - pull * y
            x[j] = z
            point[j] = keep * (y - (1.0 - mu) * old) + enter * z
        return
    for j in range(d, x.size):
        x[j] -= decay * float(point[j])
        mean[j] = (1.0 - new) * mean[j] + new * float(x[j])
        point[j] = mu * mean[j] + (1.0 - mu) * float(x[j])
    for j in range(d):
        z = float(x[j]) - c * float(a[i, j]) - pull * float(point[j])
        m = (1.0 - new) * mean[j] + new * z
        x[j] = z
        mean[j] = m
        point[j] = mu * m + (1.0 - mu) * z


@inlined
def combine(primal, z, d):
    """Make z and the average what they stand for, without changing their values."""
    numbers, mean = primal.numbers, primal.mean
    p, q, s, r = numbers[P], numbers[Q], numbers[S], numbers[R]
    for j in range(d):
        first, second = float(z[j]), mean[j]
        z[j] = p * first + q * second
        mean[j] = s * first + r * second
    numbers[P], numbers[Q], numbers[S], numbers[R] = 1.0, 0.0, 0.0, 1.0


@inlined
def inner_products(primal, z, d):
    """Sum the inner products of z and the average afresh."""
    numbers, mean = primal.numbers, primal.mean
    p, q, s, r = numbers[P], numbers[Q], numbers[S], numbers[R]
    zz, zx, xx = 0.0, 0.0, 0.0
    for j in range(d):
        first, second = float(z[j]), mean[j]
        a, b = p * first + q * second, s * first + r * second
        zz += a * a
        zx += a * b
        xx += b * b
    numbers[ZZ], numbers[ZX], numbers[XX] = zz, zx, xx


@inlined
def mix_lazily(primal, z, d, c, mu, pull, gamma, hz, hx, hh, track):
    """Apply a step but for its data: ``z+ = z - pull y - gamma h``, ``x+ = (1 - c) x + c z+``.

    h is the part of the gradient that lives on the data, with inner products hz, hx with z and x and squared norm hh.
    Return the factors with which h still has to be added to the two vectors, and, if inner products are tracked,
    whether they have lost digits.
    """
    numbers = primal.numbers
    a, b = 1.0 - pull * (1.0 - mu), -pull * mu
    m, n = c * a, 1.0 - c + c * b
    p, q, s, r = numbers[P], numbers[Q], numbers[S], numbers[R]
    numbers[P], numbers[Q] = a * p + b * s, a * q + b * r
    numbers[S], numbers[R] = m * p + n * s, m * q + n * r
    stale = False
    if track:
        zz, zx, xx = numbers[ZZ], numbers[ZX], numbers[XX]
        f, g = -gamma, -c * gamma
        z_h, x_h = a * hz + b * hx, m * hz + n * hx
        grown = a * a * zz + b * b * xx + gamma * gamma * hh
        numbers[ZZ] = a * a * zz + 2.0 * a * b * zx + b * b * xx + 2.0 * f * z_h + f * f * hh
        numbers[ZX] = a * m * zz + (a * n + b * m) * zx + b * n * xx + f * x_h + g * z_h + f * g * hh
        numbers[XX] = m * m * zz + 2.0 * m * n * zx + n * n * xx + 2.0 * g * x_h + g * g * hh
        stale = numbers[ZZ] < 1e-6 * grown
    p, q, s, r = numbers[P], numbers[Q], numbers[S], numbers[R]
    det = p * r - q * s
    # z = p Z + q A and x = s Z + r A cancel where Z or A has become much longer than z and x
    if not (abs(p) > 1e-2 and abs(r) > 1e-100 and abs(q) <= 1e2 * abs(r) and abs(det) > 1e-2 * abs(p * r)):
        combine(primal, z, d)
        p, q, s, r, det = 1.0, 0.0, 0.0, 1.0, 1.0
    return -gamma * (r - c * q) / det, -gamma * (c * p - s) / det, stale
