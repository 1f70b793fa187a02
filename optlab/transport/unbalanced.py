"""Unbalanced transport: marginals are penalised, by the Kullback-Leibler divergence or the total variation.

The mathematics is at the head of `optlab.transport.relaxed`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from optlab.core.validation import as_number, one_of
from optlab.transport.relaxed import RelaxedTransport

_HUGE = 1e290


class UnbalancedOptimalTransport(RelaxedTransport):
    """Optimal transport with penalised marginals: ``<C, X> + eps sum X (log X - 1) + D(X 1; a) + D(X^T 1; b)``.

    Parameters
    ----------
    a, b : array_like, shapes (n,) and (m,)
        Positive weights; their sums may differ.
    cost : array_like (n, m), SciPy sparse array or `Cost`
        Forbidden pairs are allowed. For total variation no entry may be below minus the sum of the penalties.
    penalty : float or (float, float)
        tau, above 0, in units of the cost: for the rows and for the columns.
    divergence : {"kl", "tv"}
        ``tau KL(p | a)``, or ``tau ||p - a||_1``: mass is then moved, or destroyed and created at tau a unit.
    regularization : float
        eps >= 0.

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
        pair = penalty if isinstance(penalty, (tuple, list)) else (penalty, penalty)
        if len(pair) != 2:
            raise ValueError(f"penalty must be a number or a pair of them, got {len(pair)} entries")
        self.penalty = tuple(as_number(value, "penalty", above=0.0) for value in pair)
        if self.divergence == "tv" and self.cost.minimum < -sum(self.penalty):
            raise ValueError(
                f"cost must be at least minus the sum of the penalties, {-sum(self.penalty):g}, for total variation: "
                f"got {self.cost.minimum:g}, and the objective has no lower bound"
            )

    def __repr__(self) -> str:
        return (
            f"UnbalancedOptimalTransport({self.shape[0]} x {self.shape[1]}, penalty={self.penalty}, "
            f"divergence={self.divergence!r}, regularization={self.regularization:g})"
        )

    def _step(self, target: np.ndarray, sums: np.ndarray, strength: float) -> np.ndarray:
        wanted = target - sums
        if self.divergence == "kl":
            # where no pair is allowed any price will do: one at which all of the mass is as good as given up
            wanted = np.where(np.isfinite(wanted), wanted, 40.0 * (1.0 + strength))
            return wanted * (strength / (1.0 + strength))
        return np.clip(wanted, -strength, strength)

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

    def penalty_value(self, rows: np.ndarray, columns: np.ndarray) -> float:
        """Return what the marginals' deviation costs."""
        if self.divergence == "tv":
            errors = (np.abs(rows - self.a), np.abs(columns - self.b))
        else:
            from scipy.special import kl_div

            errors = (kl_div(rows, self.a), kl_div(columns, self.b))
        return sum(tau * math.fsum(error.tolist()) for tau, error in zip(self.penalty, errors))

    def _gain(self, f: np.ndarray, g: np.ndarray) -> float:
        """Return the dual objective without the regularization: minus the conjugates of the penalties at -f and -g."""
        total = []
        for weight, price, tau in ((self.a, f, self.penalty[0]), (self.b, g, self.penalty[1])):
            if self.divergence == "tv":
                total += (weight * np.minimum(price, tau)).tolist()
            else:
                with np.errstate(over="ignore"):
                    total += np.maximum(-tau * weight * np.expm1(-price / tau), -_HUGE).tolist()
        return math.fsum(total)

    def dual_bound(self, f: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, float]:
        """Return the best lower bound found from f, the potentials that prove it, and 0."""
        eps = self.regularization
        if eps > 0.0:
            if self.divergence == "tv":
                f = np.clip(f, -self.penalty[0], self.penalty[0])
            sums = self.cost.in_double().logsumexp_columns(f / eps, 1.0 / eps)
            g = eps * self._column_step(sums, 1.0 / eps)
            with np.errstate(over="ignore"):
                mass = math.fsum(np.minimum(np.exp(sums + g / eps), _HUGE / sums.size).tolist())
            t = self._translation(f, g)
            return self._gain(f + t, g - t) - eps * mass, f + t, g - t, 0.0
        if self.divergence == "tv":
            tau_a, tau_b = self.penalty
            lowest = self.cost.minimum_rows(np.zeros(self.shape[1]))
            f = np.clip(f, -tau_a, np.minimum(tau_a, lowest + tau_b))
            g = np.minimum(self.cost.minimum_columns(f), tau_b)
            f = np.minimum(self.cost.minimum_rows(g), tau_a)
            return self._gain(f, g), f, g, 0.0
        g = self.cost.minimum_columns(f)
        f = self.cost.minimum_rows(np.where(np.isfinite(g), g, 0.0))
        f, g = np.minimum(f, _HUGE), np.minimum(g, _HUGE)
        t = self._translation(f, g)
        return self._gain(f + t, g - t), f + t, g - t, 0.0
