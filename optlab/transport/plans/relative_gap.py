"""What a certified gap is divided by, in every transport problem: only what the certificate itself proves.

Let ``U >= W >= L`` be certified bounds on the optimal value W. A tolerance on ``(U - L) / D`` promises ``|U - W| <=
tol |W|`` if ``D <= |W|`` is proven, and the largest D that U and L prove is ``max(L, -U)``: if it is positive, W is at
least L > 0 or at most U < 0; otherwise 0 lies in [L, U], W may be 0, and nothing relative is known. Nothing else may
stand in the denominator. The spread of the cost, its largest entry or the mass of the marginals can be as large as one
likes without the solution using them (an entry that stands for "forbidden", an outlier, a mass of which little is
moved), and a gap divided by them meets any tolerance at any plan.

*Rounding.* U and L are sums of n + m products. With ``terms`` the sum of their absolute values, and since a c-transform
is off by at most half a unit in the last place of the potential (rounding is monotone, so all other pairs stay
feasible), each is known to a few ``u terms``, u = 2^-53. The bounds are moved apart by ``4 u terms`` before they are
used, so that a gap of rounding is no proof where potentials are 10^15 times the optimum.

*Optimum zero.* If 0 lies between the bounds and they are closer than the rounding of the marginals can move W (see
`TransportPlan.relative_gap`), W is zero as far as the data say, the plan is optimal as far as they say, and the
relative gap is 0.

*Regularised problems.* Their value may be near zero by coincidence. If X* is optimal and X feasible,

    F(X) - F(X*) >= eps KL(X | X*)                 for  F = <C, X> + eps sum X (log X - 1) + convex,
    F(X) - F(X*) >= gamma / 2 ||X - X*||^2         for  F = <C, X> + gamma / 2 ||X||^2 + convex,

since F less the entropy (the square) is convex and X* minimises F. So a gap of ``tol eps sum X``, or of ``tol gamma / 2
||X||^2``, proves that X is within ``tol`` of X* in the regularizer's own divergence, relative to the plan's mass (its
square). That number is the `unit`, and may stand in the denominator: it is made of the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

ROUNDING = 4.0 * 2.0**-53
# where nothing relative is proven; finite, so that histories can be drawn and goals of methods compared
NOTHING_PROVEN = 1e6


def relative_gap(
    upper: Any,
    lower: Any,
    *,
    upper_terms: Any = 0.0,
    lower_terms: Any = 0.0,
    unit: Any = 0.0,
    negligible: Callable[[], float] | None = None,
) -> Any:
    """Return ``upper - lower`` over the largest number that the two prove to be at most ``|W|``; at most 1e6.

    Parameters
    ----------
    upper, lower : float or ndarray
        Certified bounds U and L.
    upper_terms, lower_terms : float or ndarray
        Sums of the absolute values of the terms whose sums the bounds are.
    unit : float or ndarray
        ``eps sum X`` or ``gamma / 2 ||X||^2`` of a regularised problem.
    negligible : callable, optional
        Returns the difference below which W is zero as far as the data say. Called only if 0 is between the bounds.

    Examples
    --------
    >>> relative_gap(1.01, 1.0) < 0.0101, relative_gap(-1.0, -1.01) < 0.0101
    (True, True)
    >>> relative_gap(0.5, -1e9), relative_gap(0.0, 0.0), relative_gap(1e-18, -1e-18, negligible=lambda: 1e-16)
    (1000000.0, 0.0, 0.0)
    >>> relative_gap(0.3, 0.1, lower_terms=1e15)  # potentials so large leave no digit
    1000000.0
    """
    with np.errstate(all="ignore"):
        high = np.asarray(upper + ROUNDING * upper_terms, dtype=np.float64)
        low = np.asarray(lower - ROUNDING * lower_terms, dtype=np.float64)
        proven = np.maximum(np.maximum(low, -high), unit)
        gap = np.maximum(high - low, 0.0)
        ratio = np.where(proven > 0.0, gap / proven, NOTHING_PROVEN)
        ratio = np.where(gap == 0.0, 0.0, np.where(ratio < NOTHING_PROVEN, ratio, NOTHING_PROVEN))
        if ratio.ndim:
            return ratio
    if negligible is not None and low <= 0.0 <= high and gap <= negligible():
        return 0.0
    return float(ratio)
