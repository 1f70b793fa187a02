"""The smooth minimisation behind certified minima and separation: L-BFGS, as far as it gets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def quasi_newton(
    value_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    stop: Callable[[np.ndarray], bool] | None = None,
    max_iter: int = 20_000,
) -> np.ndarray:
    """Minimise a smooth convex function as far as L-BFGS gets, or until ``stop(x)``."""
    from scipy.optimize import minimize

    def callback(x: np.ndarray) -> None:
        if stop is not None and stop(x):
            raise StopIteration

    options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "maxcor": 20, "gtol": 1e-13, "ftol": 0.0, "maxls": 50}
    return minimize(value_gradient, start, jac=True, method="L-BFGS-B", options=options, callback=callback).x
