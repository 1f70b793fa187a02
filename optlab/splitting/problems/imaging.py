"""Deblurring of an image from photon counts, in the geometry of Burg's entropy, with a certified duality gap.

The counts d are Poisson with mean ``H x + background``. Two facts make Burg's entropy ``h(x) = -sum log x`` the right
geometry (the first from Bauschke, Bolte, Teboulle 2017, the second derived here, verified numerically):

1. The negative log-likelihood ``g(x) = sum (H x + beta) - d log(H x + beta)`` has no Lipschitz gradient, but it is
   smooth relative to h with constant ``sum d``.
2. That constant is far too pessimistic. At x itself the bound ``v^T grad^2 g(x) v <= sum_j e_j(x) (v_j / x_j)^2`` holds
   with ``e(x) = x * H^T (d / (H x + beta))``, the step of the expectation-maximisation algorithm (Richardson, Lucy);
   near a solution e(x) is about x. So a step size of about one over the brightest pixel, not over the whole light, is
   what the geometry asks for. The same quantity decides the range condition: the reflected point exists exactly if
   ``gamma (e(x) - s x) < 1`` in every pixel, s the sensitivity ``H^T 1``.

g is B, applied first. Its resolvent has no closed form; it is solved by Newton's method with conjugate gradients, whose
system ``I + gamma X H^T diag(d / (H x + beta)^2) H X`` is well conditioned for the step sizes above.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from optlab.bregman import BurgEntropy, ResolventError
from optlab.bregman.functions import Function, ItakuraSaito
from optlab.composite.inclusion import SplitPoint
from optlab.core.validation import as_data, as_number
from optlab.linalg import conjugate_gradients
from optlab.splitting.problems.certificates import CertifiedProblem

Array = Any

#: Largest relative residual of a pixel's optimality condition at which Newton's method may end.
NEWTON_TOLERANCE = 1e-11
_MAX_NEWTON = 100
_MAX_CG = 500


class PoissonFit(Function):
    """The negative Poisson log-likelihood ``sum (H x + background) - d log(H x + background)`` of an image x.

    Parameters
    ----------
    observation : ndarray
        d, non-negative.
    blur : object with ``apply(x)`` and ``adjoint(u)``
        H, linear, mapping positive images to positive ones.
    background : float
        At least 0.
    """

    smooth = True
    single_valued = True

    def __init__(self, observation: Array, blur: Any, background: float) -> None:
        self.q, self.blur, self.background = observation, blur, background
        self.sensitivity = blur.adjoint(np.ones_like(observation))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(np.shape(self.q))

    def mean(self, x: Array) -> Array:
        """Return the expected counts ``H x + background``."""
        return self.blur.apply(x) + self.background

    def value(self, x: Array) -> float:
        mean = self.mean(x)
        if np.any((mean < 0) | ((mean == 0) & (self.q > 0))):
            return float("inf")
        return float(np.sum(mean - special.xlogy(self.q, mean)))

    def gradient(self, x: Array) -> Array:
        return self.sensitivity - self.blur.adjoint(self.q / self.mean(x))

    def relative_smoothness(self, kernel: Any) -> tuple[float, float] | None:
        return (float(np.sum(self.q)), 0.0) if isinstance(kernel, BurgEntropy) else None

    def resolvent(self, kernel: Any, mirror: Array, step_size: float) -> Array:
        """Return the mirror point ``-1/x`` of the x with ``-1/x + step_size grad g(x) = mirror``.

        Newton's method in the relative change of each pixel, with a line search on the function behind it.

        Raises
        ------
        ResolventError
            If a pixel's residual, relative to the largest term of its equation, does not fall below 1e-11.
        """
        if not isinstance(kernel, BurgEntropy):
            raise TypeError(f"the resolvent of PoissonFit needs the kernel BurgEntropy, got {kernel!r}")
        kernel.check_dual_domain(mirror, "mirror")
        slope = step_size * self.sensitivity - mirror  # so that -1/x + slope - step_size H^T(d/mean) = 0
        x = 1.0 / -mirror

        def residual(x: Array) -> tuple[Array, Array, float]:
            mean = self.mean(x)
            expected = step_size * x * self.blur.adjoint(self.q / mean)
            r = x * slope - 1.0 - expected
            error = float(np.max(np.abs(r) / (1.0 + x * np.abs(slope) + expected)))
            return r, mean, error

        def objective(x: Array, mean: Array) -> tuple[float, float]:
            parts = (x * slope, np.log(x), step_size * special.xlogy(self.q, mean))
            return float(np.sum(parts[0] - parts[1] - parts[2])), float(sum(np.sum(np.abs(part)) for part in parts))

        r, mean, error = residual(x)
        value, size = objective(x, mean)
        for _ in range(_MAX_NEWTON):
            if error <= 1e-14:
                break
            delta = self._newton_step(x, step_size * self.q / mean**2, -r, min(0.1, error) * 0.1)
            decrease = float(np.sum(r * delta))
            length, moved = 1.0, False
            while length > 1e-10 and not moved:
                # pixels stay positive: exp agrees with 1 + delta to first order
                new_x = x * np.exp(np.clip(length * delta, -2.0, 2.0))
                new_r, new_mean, new_error = residual(new_x)
                new_value, _ = objective(new_x, new_mean)
                # where rounding hides the change of the objective, the residual tells points apart
                hidden = abs(decrease) <= 1e-10 * size
                moved = new_error < 0.9 * error if hidden else new_value <= value + 1e-4 * length * decrease
                length *= 0.5
            if not moved:
                break
            x, r, mean, error = new_x, new_r, new_mean, new_error
            value, size = objective(x, mean)
        if not error <= NEWTON_TOLERANCE:
            raise ResolventError(
                f"the resolvent of PoissonFit stopped at a relative residual of {error:.1e} (wanted "
                f"{NEWTON_TOLERANCE:.0e}) at step_size {step_size:g}; try a smaller step_size"
            )
        return -1.0 / x

    def _newton_step(self, x: Array, weights: Array, right: Array, tolerance: float) -> Array:
        """Solve ``v + X H^T diag(weights) H X v = right`` for the relative change v of the pixels."""

        def apply(v: Array) -> Array:
            return v + x * self.blur.adjoint(weights * self.blur.apply(x * v))

        return conjugate_gradients(apply, right, tolerance, _MAX_CG)[0]


class PoissonDeblurring(CertifiedProblem):
    """Reconstruct a positive image from blurred photon counts with a gamma prior, in Burg's geometry.

    Minimise ``sum (H x + beta) - d log(H x + beta)  +  t sum (x/q - log(x/q) - 1)``: the maximum a posteriori image
    under the Poisson likelihood and independent gamma priors of mode q and shape 1 + t for the pixels. The prior's
    term is t times the kernel's own distance to q, so its resolvent is ``(1 + gamma t) / (1/x + gamma t / q)``.

    Parameters
    ----------
    observation : array_like, shape (height, width)
        Counts d, non-negative, not all zero.
    blur : object with ``apply(x)`` and ``adjoint(u)``
        H: linear, maps non-negative images of this shape to such images, and keeps positive ones positive
        (`optlab.datasets.GaussianBlur` does).
    background : float, default 0
        beta, expected counts that do not come from the image, at least 0.
    weight : float, default 10
        t, above 0. Small values trust the counts more, converge more slowly and amplify noise.
    prior : array_like of the same shape, or float, optional
        q, positive. Default: the observation less the background, averaged locally (by the adjoint of the blur), and at
        least 5 % of the mean light.
    reference : array_like, optional
        A known solution; adds the metric ``distance``.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or range.

    Notes
    -----
    `measure` gives what `CertifiedProblem` gives. The primary metric is ``relative_gap``, from the Fenchel dual

        max  sum d (1 - log(d / (1 - theta))) + beta theta  +  t sum log(1 + (q/t) H^T theta),

    at ``theta = s (1 - d / (H x + beta))``, with the largest s in (0, 1] that keeps the last logarithm finite: a
    certificate at every image. Derived here, verified numerically.

    Default step size: 0.7 of the largest one that satisfies the range condition at the start (a flat image), about one
    over the brightest pixel; convergence is proved (derived here) only up to ``1 / sum d``, see the top of this file.
    Much larger steps end in a `DomainError` of the range condition.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import blurred_photograph
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> data = blurred_photograph(size=16)
    >>> problem = PoissonDeblurring(data.observation, data.blur, data.background)
    >>> optlab.solve(problem, BregmanDouglasRachford(), tol=1e-6).success
    True
    """

    def __init__(
        self,
        observation: Any,
        blur: Any,
        background: float = 0.0,
        weight: float = 10.0,
        prior: Any = None,
        reference: Any = None,
    ) -> None:
        d = as_data(observation, "observation", ndim=2, nonnegative=True).astype(np.float64, copy=False)
        if not np.any(d):
            raise ValueError("observation must have a count above 0 somewhere")
        for name in ("apply", "adjoint"):
            if not callable(getattr(blur, name, None)):
                raise TypeError(f"blur must have {name}(image), got {type(blur).__name__}")
        beta = as_number(background, "background", minimum=0)
        t = as_number(weight, "weight", above=0)
        fit = PoissonFit(d, blur, beta)
        if fit.sensitivity.shape != d.shape or not np.all(fit.sensitivity > 0):
            raise ValueError("blur must map images to images of the same shape and see every pixel (adjoint(1) > 0)")
        light = max(float(np.sum(d)) - beta * d.size, 0.1 * float(np.sum(d))) / float(np.sum(fit.sensitivity))
        if prior is None:
            local = blur.adjoint(d) / fit.sensitivity - beta
            prior = np.maximum(local, 0.05 * light)
        q = as_data(np.full(d.shape, prior) if np.isscalar(prior) else prior, "prior", positive=True)
        q = as_data(q, "prior", shape=d.shape).astype(np.float64, copy=False)
        self.observation, self.background, self.weight, self.prior = d, beta, t, q
        self._light = light
        # the range condition at the start, a flat image, with some room
        excess = light * (fit.blur.adjoint(d / fit.mean(np.full(d.shape, light))) - fit.sensitivity)
        largest = max(float(np.max(excess)), 0.1 * light)
        super().__init__(
            ItakuraSaito(q, t),
            fit,
            BurgEntropy(),
            shape=d.shape,
            reference=reference,
            dual_bound=self._fenchel_bound,
            default_step_size=0.7 / largest,
        )
        self.primary_metric = "relative_gap"

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return a flat image with the light of the observation; nothing is drawn at random."""
        return np.full(self.shape, self._light)

    def _fenchel_bound(self, point: SplitPoint) -> float:
        return max(self._dual_value(v) for v in (np.asarray(point), point.y))

    def _dual_value(self, x: Array) -> float:
        d, t = self.observation, self.weight
        mean = self.g.mean(x)
        theta = 1.0 - d / mean
        pull = (self.prior / t) * self.g.blur.adjoint(theta)
        lowest = float(np.min(pull))
        scale = 1.0 if lowest > -1.0 else 0.999 / -lowest
        theta, pull = scale * theta, scale * pull
        # where d = 0 the conjugate of the fit is 0 for theta <= 1; 1 - theta > 0 wherever d > 0
        fit = np.where(d > 0, d - special.xlogy(d, np.where(d > 0, d / np.where(d > 0, 1.0 - theta, 1.0), 1.0)), 0.0)
        return float(np.sum(fit) + self.background * np.sum(theta) + t * np.sum(np.log1p(pull)))
