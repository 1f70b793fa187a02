"""Unbalanced transport: marginals are penalised, by the Kullback-Leibler divergence or the total variation.

The mathematics is at the head of `optlab.transport.relaxed.plan`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.core.errors import DomainError
from optlab.core.validation import as_float_array, as_number, one_of
from optlab.transport.plans.certificates import DualBound, PotentialEntries, round_to_marginals
from optlab.transport.relaxed.plan import RelaxedTransport, moments_of

_HUGE = 1e290


class UnbalancedOptimalTransport(RelaxedTransport):
    """Optimal transport with penalised marginals: ``<C, X> + eps sum X (log X - 1) + D(X 1; a) + D(X^T 1; b)``.

    Parameters
    ----------
    a, b : array_like, shapes (n,) and (m,)
        Non-negative weights; their sums may differ. Where a weight is zero the Kullback-Leibler divergence forbids
        mass, and total variation prices it as elsewhere. None: equal weights.
    cost : array_like (n, m), SciPy sparse array or `Cost`
        Forbidden pairs are allowed. For total variation no entry may be below minus the sum of the penalties.
    penalty : float or array_like of shape (2,)
        tau, above 0, in units of the cost: for the rows and for the columns. One of the two may be inf: that marginal
        is then exact (semi-relaxed transport).
    divergence : {"kl", "tv"}
        ``tau KL(p | a)``, or ``tau ||p - a||_1``: mass is then moved, or destroyed and created at tau a unit.
    regularization : float
        eps >= 0. The entropy counts every pair alike (its reference is the counting measure), so that with ``eps > 0``
        how much is moved depends on the unit of the weights and on how finely the points are split: mass 96 may well be
        answered by moving 806 where eps is large beside the penalty.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> problem = UnbalancedOptimalTransport([1.0, 2.0], [2.0, 0.5], [[0.0, 1.0], [1.0, 0.0]], divergence="tv")
    >>> result = optlab.solve(problem, BregmanDouglasRachford(), tol=1e-8)
    >>> result.success, round(result.metrics["objective"], 6)
    (True, 1.5)
    """

    def __init__(
        self,
        a: Any,
        b: Any,
        cost: Any,
        penalty: Any = 1.0,
        divergence: str = "kl",
        regularization: float = 0.0,
    ):
        super().__init__(a, b, cost, regularization)
        self.divergence = one_of(divergence, "divergence", ("kl", "tv"))
        self.penalty = _pair(penalty)
        if self.divergence == "tv":
            if self.cost.lowest < -sum(self.penalty):
                raise ValueError(
                    f"cost must be at least minus the sum of the penalties, {-sum(self.penalty):g}, for total "
                    f"variation: got {self.cost.lowest:g}, and the objective has no lower bound"
                )
            everywhere = np.isfinite(self.penalty)  # mass may be made where there is no weight
            self._keep((self.a > 0.0) | everywhere[0], (self.b > 0.0) | everywhere[1])
        for k, name in enumerate(("row", "column")):
            if self.penalty[k] == math.inf and self.active_cost.has_forbidden:
                index = (self.active_cost.pattern.rows, self.active_cost.pattern.columns)[k]
                lonely = np.setdiff1d(np.arange(self.active_cost.shape[k]), index)
                if lonely.size:
                    where = (self.rows, self.columns)[k][lonely[0]]
                    raise DomainError(
                        f"no plan has the exact {name} marginal that penalty={self.penalty} asks for: {name} {where} "
                        "has weight, and all its pairs are forbidden"
                    )

    def __repr__(self) -> str:
        return (
            f"UnbalancedOptimalTransport({self.shape[0]} x {self.shape[1]}, penalty={self.penalty}, "
            f"divergence={self.divergence!r}, regularization={self.regularization:g})"
        )

    def _step(self, target: np.ndarray, sums: np.ndarray, strength: float) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            wanted = target - sums
        if self.divergence == "kl":
            # where no pair is allowed any price will do: one at which all of the mass is as good as given up
            wanted = np.where(np.isfinite(wanted), wanted, 40.0 * (1.0 + min(strength, 1e9)))
            return wanted if strength == math.inf else wanted * (strength / (1.0 + strength))
        return np.clip(np.where(np.isnan(wanted), 0.0, wanted), -strength, strength)

    def _row_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._step(self.log_a, sums, strength * self.penalty[0])

    def _column_step(self, sums: np.ndarray, strength: float) -> np.ndarray:
        return self._step(self.log_b, sums, strength * self.penalty[1])

    def _translation(self, f: np.ndarray, g: np.ndarray) -> float:
        """Return the best t for potentials f + t and g - t: ``sum a e^{-(f+t)/tau} = sum b e^{-(g-t)/tau'}``."""
        if self.divergence != "kl":
            return 0.0
        from scipy.special import logsumexp

        rows = float(logsumexp(self.log_a - f / self.penalty[0]))
        columns = float(logsumexp(self.log_b - g / self.penalty[1]))
        t = (rows - columns) / (1.0 / self.penalty[0] + 1.0 / self.penalty[1])
        return t if math.isfinite(t) else 0.0

    def finish(self, entries: PotentialEntries) -> tuple[PotentialEntries, np.ndarray, np.ndarray]:
        """Make marginals exact where they must be, and where the masses are equal and that costs less than the penalty.

        (Without entropy.) A large penalty is paid for marginals off by rounding, and by an iterate not at the end.
        """
        n, m = self.active_cost.shape
        plain = np.zeros(n), np.zeros(m)
        for side, tau in enumerate(self.penalty):
            if tau == math.inf:
                target, sums = (self.active_a, self.active_b)[side], entries.moments()[side]
                with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                    factor = np.where(target > 0.0, target / sums, 0.0)
                entries = entries.scaled(factor, np.ones(m)) if side == 0 else entries.scaled(np.ones(n), factor)
        equal = abs(self._masses[0] - self._masses[1]) <= 1e-12 * max(self._masses)
        positive = min(self.active_a.min(), self.active_b.min()) > 0.0
        if self.regularization > 0.0 or not equal or not positive or self.active_cost.has_forbidden:
            return entries, *plain
        rounded = round_to_marginals(entries, self.active_a, self.active_b)
        candidates = [(entries, *plain), (rounded.entries, rounded.left, rounded.right)]
        values = []
        for candidate in candidates:
            rows, columns, cost = moments_of(*candidate)
            values.append(cost + self.penalty_value(rows, columns))
        return candidates[int(np.argmin(values))]

    def _deviations(self, rows: np.ndarray, columns: np.ndarray) -> list[tuple[float, np.ndarray, np.ndarray]]:
        """Return penalty, sums and weights of the sides whose marginal is not exact."""
        sides = zip(self.penalty, (rows, columns), (self.active_a, self.active_b))
        return [(tau, sums, weight) for tau, sums, weight in sides if tau < math.inf]

    def penalty_value(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return what the marginals' deviation costs."""
        divergence = _divergence if self.divergence == "kl" else lambda sums, weight: np.abs(sums - weight)
        return sum(
            tau * math.fsum(divergence(sums, weight).tolist()) for tau, sums, weight in self._deviations(rows, columns)
        )

    def penalty_terms(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return the sum of the absolute values of the terms of which `penalty_value` is made."""
        if self.divergence == "kl":
            return self.penalty_value(rows, columns)
        return sum(tau * float(sums.sum() + weight.sum()) for tau, sums, weight in self._deviations(rows, columns))

    def _gain(self, f: np.ndarray, g: np.ndarray) -> list[float]:
        """Return the terms of the dual objective without the regularization: of the penalties' conjugates at -f, -g."""
        total = []
        for weight, price, tau in ((self.active_a, f, self.penalty[0]), (self.active_b, g, self.penalty[1])):
            if tau == math.inf:
                total += (weight * price).tolist()
            elif self.divergence == "tv":
                total += (weight * np.minimum(price, tau)).tolist()
            else:
                with np.errstate(over="ignore"):
                    total += np.maximum(-tau * weight * np.expm1(-price / tau), -_HUGE).tolist()
        return total

    def marginal_prices(self, rows: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
        """Return ``-tau log(rows / a)``, and the largest f that goes with the columns' prices (Kullback-Leibler)."""
        if self.divergence != "kl" or self.regularization > 0.0:
            return []
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            f, g = (
                -tau * np.log(sums / weight)
                for tau, sums, weight in zip(self.penalty, (rows, columns), (self.active_a, self.active_b))
            )
        tau_a, tau_b = self.penalty
        found = [f] if tau_a < math.inf else []
        if tau_b < math.inf:
            found.append(self.active_cost.minimum_rows(np.where(np.isfinite(g), g, 0.0)))
        return found

    def dual_bound(self, f: np.ndarray) -> tuple[DualBound, float]:
        """Return the best lower bound found from f, with the potentials that prove it, and 0."""
        eps, cost, (tau_a, tau_b) = self.regularization, self.active_cost, self.penalty
        if eps > 0.0:
            if self.divergence == "tv":
                f = np.clip(f, -tau_a, tau_a)
            sums = cost.in_double().logsumexp_columns(f / eps, 1.0 / eps)
            g = eps * self._column_step(sums, 1.0 / eps)
            with np.errstate(over="ignore"):
                mass = math.fsum(np.minimum(np.exp(sums + g / eps), _HUGE / sums.size).tolist())
            t = self._translation(f, g)
            f, g = f + t, g - t
            return DualBound.of(f, g, [*self._gain(f, g), -eps * mass]), 0.0
        if self.divergence == "tv":
            lowest = cost.minimum_rows(np.zeros(cost.shape[1]))
            f = np.clip(f, -tau_a, np.minimum(tau_a, lowest + tau_b))
            g = np.minimum(cost.minimum_columns(f), tau_b)
            f = np.minimum(cost.minimum_rows(g), tau_a)
            return DualBound.of(f, g, self._gain(f, g)), 0.0
        g = cost.minimum_columns(f)
        f = cost.minimum_rows(np.where(np.isfinite(g), g, 0.0))
        f, g = np.minimum(f, _HUGE), np.minimum(g, _HUGE)
        t = self._translation(f, g)
        f, g = f + t, g - t
        return DualBound.of(f, g, self._gain(f, g)), 0.0

    def lowest_bound(self) -> tuple[DualBound, float]:
        """Return the bound of potentials zero, or of the lowest entry of a cost that is negative somewhere."""
        lowest = self.active_cost.lowest
        price = max(min(lowest, 0.0), -self.penalty[0]) if self.divergence == "tv" else min(lowest, 0.0)
        f, g = np.full_like(self.active_a, price), np.full_like(self.active_b, min(lowest - price, 0.0))
        return DualBound.of(f, g, self._gain(f, g)), 0.0


def _pair(penalty: Any) -> tuple[float, float]:
    """Return the penalties of rows and columns."""
    if np.ndim(penalty) == 0:
        pair = [as_number(penalty, "penalty", above=0.0, finite=False)] * 2
    else:
        values = as_float_array(penalty, "penalty", ndim=1, finite=False)
        if values.size != 2:
            raise ValueError(f"penalty must be a number or a pair of them, got {values.size} entries")
        pair = [as_number(value, f"penalty[{k}]", above=0.0, finite=False) for k, value in enumerate(values.tolist())]
    if pair == [math.inf, math.inf]:
        raise ValueError("penalty must be finite for the rows or the columns: with both exact, use OptimalTransport")
    return pair[0], pair[1]


def _divergence(sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ``s log(s / w) - s + w``; of sums near their weights to all digits, which a large penalty brings out."""
    from scipy.special import kl_div

    t = (sums - weight) / weight
    with np.errstate(over="ignore"):
        series = weight * t * t * (0.5 - t / 6.0 + t**2 / 12.0 - t**3 / 20.0 + t**4 / 30.0 - t**5 / 42.0)
    return np.asarray(np.where(np.abs(t) < 1e-3, series, kl_div(sums, weight)))
