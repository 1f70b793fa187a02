"""The light Schroedinger bridge: entropic transport between two distributions known by samples, as a Gaussian mixture.

The potential is the log-density of a mixture, so that the conditional plan, its samples and the drift of the bridge are
in closed form (Korotin, Gushchin, Burnaev 2024). With positive alpha_k, vectors r_k and diagonal S_k,

    log v(y) = LSE_k [log alpha_k + log N(y; r_k, eps S_k)]
    log c(x) = LSE_k [log alpha_k + (x' S_k x + 2 r_k' x) / (2 eps)]
    loss     = mean log c(x_i) - mean log v(y_j)
    pi(y|x)  = sum_k w_k(x) N(y; r_k + S_k x, eps S_k),      w the softmax of the terms of log c

and ``loss - loss* = KL(pi* | pi)``. The cost is ``|x - y|^2 / 2``, its entropic weight eps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from optlab.core.validation import as_float_array, as_integer, as_number

Array = Any
_LARGEST = 30.0  # of |log S|: line searches overflow beyond


class LightSchrodingerBridge:
    """Entropic transport between two clouds as a mixture of Gaussians; an estimator with ``fit``.

    Parameters
    ----------
    regularization : float, default 0.1
        eps, above 0.
    n_components : int, default 10
        K. Take more than there are modes: with as many, runs end in local minima.
    n_starts : int, default 3
        The best by the loss on samples that are held out is kept.
    validation_fraction : float, default 0.2
        Of the samples, held out; 0 judges by the training loss.
    max_iter : int, default 500
        L-BFGS iterations of a start.
    random_state : int or numpy.random.Generator, default 0

    Attributes
    ----------
    log_weights_, shifts_, scales_ : ndarray, shapes (K,), (K, d), (K, d)
        ``log alpha``, r and the diagonals of S.
    loss_, held_out_loss_ : float
    n_iter_ : int
        Of the start that was kept.

    References
    ----------
    Korotin, Gushchin, Burnaev (2024), Light Schroedinger bridge.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(500, 1)), 3.0 + 0.5 * rng.normal(size=(500, 1))
    >>> bridge = LightSchrodingerBridge(0.1, n_components=1, n_starts=1).fit(x, y)
    >>> bool(abs(bridge.transform([[0.0]])[0, 0] - 3.0) < 0.1), bridge.sample([[0.0]], random_state=0).shape
    (True, (1, 1))
    """

    def __init__(
        self,
        regularization: float = 0.1,
        n_components: int = 10,
        n_starts: int = 3,
        validation_fraction: float = 0.2,
        max_iter: int = 500,
        random_state: Any = 0,
    ) -> None:
        self.regularization = as_number(regularization, "regularization", above=0)
        self.n_components = as_integer(n_components, "n_components", minimum=1)
        self.n_starts = as_integer(n_starts, "n_starts", minimum=1)
        self.validation_fraction = as_number(validation_fraction, "validation_fraction", minimum=0, below=1)
        self.max_iter = as_integer(max_iter, "max_iter", minimum=1)
        self.random_state = random_state

    def fit(self, x: Any, y: Any) -> LightSchrodingerBridge:
        """Fit to samples of both ends.

        Parameters
        ----------
        x, y : array_like, shapes (n, d) and (m, d)

        Returns
        -------
        LightSchrodingerBridge
            Itself.
        """
        x, y = (as_float_array(v, name, ndim=2).astype(float) for v, name in ((x, "x"), (y, "y")))
        if x.shape[1] != y.shape[1]:
            raise ValueError(f"x and y must have points of equal dimension, got {x.shape[1]} and {y.shape[1]}")
        rng = np.random.default_rng(self.random_state)
        (x, held_x), (y, held_y) = (self._split(v, rng) for v in (x, y))
        best = None
        for _ in range(self.n_starts):
            found = minimize(
                lambda theta: self._loss(theta, x, y),
                self._start(x, y, rng),
                jac=True,
                method="L-BFGS-B",
                bounds=self._bounds(x.shape[1]),
                options={"maxiter": self.max_iter, "ftol": 1e-12, "gtol": 1e-8},
            )
            held = self._loss(found.x, held_x, held_y)[0]
            if best is None or held < best[0]:
                best = (held, found)
        assert best is not None
        self.held_out_loss_, found = float(best[0]), best[1]
        self.loss_, self.n_iter_ = float(found.fun), int(found.nit)
        self.log_weights_, self.shifts_, self.scales_ = self._unpacked(found.x, x.shape[1])
        self.log_weights_ = self.log_weights_ - logsumexp(self.log_weights_)  # the loss does not see their scale
        return self

    def _split(self, samples: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        held = int(self.validation_fraction * len(samples))
        if held == 0:
            return samples, samples
        order = rng.permutation(len(samples))
        return samples[order[held:]], samples[order[:held]]

    def _start(self, x: Array, y: Array, rng: np.random.Generator) -> Array:
        eps, K = self.regularization, self.n_components
        A, B = x.var(axis=0) + 1e-12, y.var(axis=0) / K ** (2.0 / x.shape[1]) + 1e-12
        S = (-eps + np.sqrt(eps**2 + 4.0 * A * B)) / (2.0 * A)  # the closed form of one Gaussian
        centres = y[rng.integers(0, len(y), size=K)] if K > 1 else y.mean(axis=0, keepdims=True)
        shifts = centres - S * x.mean(axis=0)
        scales = np.tile(np.log(np.maximum(S, 1e-8)), (K, 1))
        return np.concatenate([np.full(K, -math.log(K)), shifts.ravel(), scales.ravel()])

    def _bounds(self, d: int) -> list[tuple[float | None, float | None]]:
        K = self.n_components
        free: list[tuple[float | None, float | None]] = [(None, None)] * (K + K * d)
        return free + [(-_LARGEST, _LARGEST)] * (K * d)

    def _unpacked(self, theta: Array, d: int) -> tuple[Array, Array, Array]:
        K = self.n_components
        shifts, scales = theta[K : K + K * d].reshape(K, d), theta[K + K * d :].reshape(K, d)
        return theta[:K], shifts, np.exp(scales)

    def _start_terms(self, x: Array, log_weights: Array, shifts: Array, scales: Array) -> Array:
        """Return the terms of log c, shape (n, K)."""
        return log_weights + (x**2 @ scales.T + 2.0 * x @ shifts.T) / (2.0 * self.regularization)

    def _end_terms(self, y: Array, log_weights: Array, shifts: Array, scales: Array) -> Array:
        """Return the terms of log v, shape (m, K)."""
        eps = self.regularization
        inverse = 1.0 / (eps * scales)
        squares = y**2 @ inverse.T - 2.0 * y @ (shifts * inverse).T + np.sum(shifts**2 * inverse, axis=1)
        norm = np.sum(np.log(2.0 * math.pi * eps * scales), axis=1)
        return log_weights - 0.5 * (squares + norm)

    def _loss(self, theta: Array, x: Array, y: Array) -> tuple[float, Array]:
        """Return the loss and its gradient."""
        eps, d = self.regularization, x.shape[1]
        log_weights, shifts, scales = self._unpacked(theta, d)
        start = self._start_terms(x, log_weights, shifts, scales)
        end = self._end_terms(y, log_weights, shifts, scales)
        loss = float(np.mean(logsumexp(start, axis=1)) - np.mean(logsumexp(end, axis=1)))
        w, u = softmax(start, axis=1) / len(x), softmax(end, axis=1) / len(y)
        mass = u.sum(axis=0)[:, None]
        first, second = u.T @ y, u.T @ y**2
        deviation = second - 2.0 * shifts * first + shifts**2 * mass
        by_shift = (w.T @ x) / eps - (first - shifts * mass) / (eps * scales)
        by_scale = scales * ((w.T @ x**2) / (2.0 * eps) + mass / (2.0 * scales) - deviation / (2.0 * eps * scales**2))
        gradient = np.concatenate([w.sum(axis=0) - u.sum(axis=0), by_shift.ravel(), by_scale.ravel()])
        return loss, gradient

    def _conditional(self, x: Any) -> tuple[Array, Array]:
        """Return weights (n, K) and means (n, K, d) of the conditional plan."""
        if not hasattr(self, "shifts_"):
            raise ValueError("the bridge is not fitted: call fit(x, y) first")
        x = as_float_array(x, "x", ndim=2).astype(float)
        if x.shape[1] != self.shifts_.shape[1]:
            raise ValueError(f"x must have points of dimension {self.shifts_.shape[1]}, got {x.shape[1]}")
        weights = softmax(self._start_terms(x, self.log_weights_, self.shifts_, self.scales_), axis=1)
        return weights, self.shifts_ + self.scales_ * x[:, None, :]

    def transform(self, x: Any) -> Array:
        """Return the conditional means of the target, shape (n, d)."""
        weights, means = self._conditional(x)
        return np.einsum("nk,nkd->nd", weights, means)

    def sample(self, x: Any, random_state: Any = None) -> Array:
        """Return one draw from the conditional plan for each point."""
        weights, means = self._conditional(x)
        rng = np.random.default_rng(random_state)
        chosen = np.argmax(np.cumsum(weights, axis=1) >= rng.random((len(weights), 1)), axis=1)
        spread = np.sqrt(self.regularization * self.scales_[chosen])
        return means[np.arange(len(weights)), chosen] + spread * rng.normal(size=spread.shape)

    def bridge(self, x: Any, t: float, random_state: Any = None) -> Array:
        """Return draws of the bridge at time t, from the points x at time 0 to the target at 1."""
        t = as_number(t, "t", minimum=0, maximum=1)
        rng = np.random.default_rng(random_state)
        end = self.sample(x, rng)
        start = as_float_array(x, "x", ndim=2)
        noise = math.sqrt(t * (1.0 - t) * self.regularization)
        return t * end + (1.0 - t) * start + noise * rng.normal(size=end.shape)

    def score(self, x: Any, y: Any) -> float:
        """Return the negative loss on samples: larger is better, by the divergence of the plans."""
        x, y = as_float_array(x, "x", ndim=2), as_float_array(y, "y", ndim=2)
        theta = np.concatenate([self.log_weights_, self.shifts_.ravel(), np.log(self.scales_).ravel()])
        return -self._loss(theta, x, y)[0]
