"""One step of a method whose step size depends on the loss and the gradient: the worst case by scanning their ratio.

A step rule such as NGN's is a function of the ratio ``r = ||g||^2 / f`` alone, up to scale. For a fixed ratio the step
size is a number, and ``||g||^2 = r f`` is linear in the Gram matrix: the worst case over the class is the largest value
of a semidefinite program over r. Step sizes come from the method's own compiled rule.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from optlab.core.validation import as_integer, one_of
from optlab.theory.classes import SmoothConvex, declared, pepit
from optlab.theory.worst import WorstCase, _optimum


def scanned_step(method: Any, problem_class: SmoothConvex, points: int = 9, metric: str = "distance") -> WorstCase:
    """Return the worst case of one step on functions with minimum 0.

    Parameters
    ----------
    method : StochasticMethod
        With a step rule in loss and squared gradient norm, and a constant schedule: `NGN`, `SGD`.
    problem_class : SmoothConvex
    points : int, default 9
        Values of the ratio on a grid, before the largest is refined.
    metric : {"distance", "gap"}, default "distance"
        ``||x_1 - x*||^2 / ||x_0 - x*||^2`` or ``f(x_1) / f(x_0)``.

    Returns
    -------
    WorstCase
        Status "scanned": the largest value found, which may lie below the true one between the points.

    Raises
    ------
    TypeError
        If the method has no step rule.

    Examples
    --------
    >>> from optlab.stochastic import NGN
    >>> from optlab.theory import SmoothConvex, scanned_step
    >>> scanned_step(NGN(sigma=1.0), SmoothConvex(1.0, 0.1)).value     # doctest: +SKIP
    0.831...
    """
    points = as_integer(points, "points", minimum=2)
    if getattr(method, "rule", None) is None or not np.isscalar(getattr(method, method.schedule, None)):
        raise TypeError(f"method must have a step rule and a constant step size, as NGN(0.1) has, got {method!r}")
    if not isinstance(problem_class, SmoothConvex):
        raise TypeError(f"problem_class must be SmoothConvex, got {problem_class!r}")
    one_of(metric, "metric", ("distance", "gap"))
    pepit()
    began = time.perf_counter()
    rule, size = method.rule.get(), float(getattr(method, method.schedule))
    none = np.empty(0)

    def solved(ratio: float) -> float:
        gamma = float(rule(1.0, ratio, size, 0, none, none))
        return after_one_step(gamma, ratio, problem_class, metric)

    # ||g||^2 lies between 2 mu f and 2 L f
    low, high = 2 * problem_class.strong_convexity, 2 * problem_class.smoothness
    grid = np.linspace(max(low, 1e-6 * high), high, points)
    values = np.array([solved(float(r)) for r in grid])
    best = int(np.nanargmax(values))
    window = (grid[max(best - 1, 0)], grid[min(best + 1, points - 1)])
    refined = minimize_scalar(lambda r: -solved(float(r)), bounds=window, method="bounded", options={"maxiter": 12})
    value = float(max(values[best], -refined.fun))
    return WorstCase(value, "scanned", "CLARABEL", time.perf_counter() - began)


def after_one_step(step_size: float, ratio: float, problem_class: SmoothConvex, metric: str) -> float:
    """Return the worst case of one gradient step at points where ``||g||^2 = ratio (f - f*)``."""
    pep = pepit().PEP()
    f = declared(pep, problem_class.strong_convexity, problem_class.smoothness)
    solution, _, optimum = f.stationary_point(return_gradient_and_function_value=True)
    start = pep.set_initial_point()
    gradient, value = f.oracle(start)
    pep.add_constraint(gradient**2 == ratio * (value - optimum))
    after = start - step_size * gradient
    if metric == "gap":
        pep.set_initial_condition(value - optimum <= 1)
        pep.set_performance_metric(f(after) - optimum)
    else:
        pep.set_initial_condition((start - solution) ** 2 <= 1)
        pep.set_performance_metric((after - solution) ** 2)
    return _optimum(pep, "CLARABEL")[0]
