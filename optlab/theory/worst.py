"""`worst_case`: the semidefinite program of a run, from the method's own ``init`` and ``step``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from optlab.core.contract.capabilities import check_compatible
from optlab.core.errors import DomainError, IncompatibleError
from optlab.core.validation import as_integer, as_number, one_of
from optlab.theory.classes import ProblemClass, pepit

_SOLVERS = ("CLARABEL", "SCS")


@dataclass(frozen=True)
class WorstCase:
    """What `worst_case` returns.

    Attributes
    ----------
    value : float or ndarray
        The worst case after k iterations, one per k if several were asked for; inf where it is unbounded, NaN where the
        solvers failed or disagree.
    status : str or tuple of str
        "confirmed" (two solvers agree), "unbounded", or "inconclusive", one per k.
    solver : str
        The solvers, the first of which gave the value.
    seconds : float
        Wall time of building and solving.
    multipliers : dict of str to float or tuple of dict
        Positive dual variables of the program, by the name of the inequality: a proof of the bound as a sum of
        inequalities.
    """

    value: Any
    status: Any
    solver: str
    seconds: float
    multipliers: Any = field(default_factory=dict, repr=False)


def worst_case(
    method: Any,
    problem_class: ProblemClass,
    *,
    k: int | Iterable[int],
    metric: str,
    start: str = "distance",
    confirm: bool = True,
    rtol: float = 1e-3,
) -> WorstCase:
    """Return the largest value of a metric after k iterations of a method, over all problems of a class and all starts.

    Parameters
    ----------
    method : Method
        Its ``init`` and ``step`` run on symbolic points, so that it must not branch on numbers: no line search, no
        adaptive rule. A method of your own needs nothing more than what `optlab.solve` needs.
    problem_class : ProblemClass
        Such as `MonotonePair`.
    k : int or iterable of int
        Iterations, at least 0.
    metric : str
        One of ``problem_class.metrics``; see there what it is divided by.
    start : str, default "distance"
        What the metric is divided by: the squared distance of the start to a solution, or another one of
        ``problem_class.starts``.
    confirm : bool, default True
        Solve with a second solver too.
    rtol : float, default 1e-3
        Relative difference at which two solvers agree (the second one is a first-order method).

    Returns
    -------
    WorstCase

    Raises
    ------
    ImportError
        Without PEPit (``pip install 'optlab[theory]'``).
    IncompatibleError
        If the class has not the oracles that the method requires.
    TypeError
        If the method cannot run on symbolic points; the message says at which statement.

    References
    ----------
    Taylor, Hendrickx, Glineur (2017); Goujaud et al. (2024), PEPit.

    Examples
    --------
    Douglas-Rachford splitting: ``k^k / (k+1)^(k+1)`` after k steps, for all pairs of monotone operators.

    >>> from optlab.splitting import BregmanDouglasRachford
    >>> from optlab.theory import MonotonePair, worst_case
    >>> worst_case(BregmanDouglasRachford(1.0), MonotonePair(), k=2, metric="residual")    # doctest: +SKIP
    WorstCase(value=0.148..., status='confirmed', solver='CLARABEL, SCS', seconds=...)
    """
    if not isinstance(problem_class, ProblemClass):
        raise TypeError(f"problem_class must be a class of optlab.theory such as MonotonePair(), got {problem_class!r}")
    one_of(metric, "metric", problem_class.metrics)
    one_of(start, "start", problem_class.starts)
    rtol = as_number(rtol, "rtol", above=0)
    several = isinstance(k, Iterable)
    counts = [as_integer(n, "k", minimum=0) for n in (k if several else [k])]  # type: ignore[union-attr, list-item]
    began = time.perf_counter()
    found = [_solve(method, problem_class, n, metric, start, confirm, rtol) for n in counts]
    values, statuses, multipliers = zip(*found) if found else ((), (), ())
    solver = ", ".join(_SOLVERS if confirm else _SOLVERS[:1])
    seconds = time.perf_counter() - began
    if several:
        return WorstCase(np.array(values), tuple(statuses), solver, seconds, tuple(multipliers))
    return WorstCase(values[0], statuses[0], solver, seconds, multipliers[0])


def _solve(
    method: Any, problem_class: ProblemClass, k: int, metric: str, start: str, confirm: bool, rtol: float
) -> tuple[float, str, dict[str, float]]:
    pep = pepit().PEP()
    problem = problem_class.build(pep)
    _run(method, problem, k, metric, start, pep)
    value, multipliers = _optimum(pep, _SOLVERS[0])
    if np.isinf(value):
        return value, "unbounded", {}
    if not confirm:
        return value, "inconclusive" if np.isnan(value) else "confirmed by one solver", multipliers
    second, _ = _optimum(pep, _SOLVERS[1])
    if abs(value - second) <= rtol * max(abs(value), abs(second), 1e-3):
        return value, "confirmed", multipliers
    return float("nan"), "inconclusive", multipliers


def _run(method: Any, problem: Any, k: int, metric: str, start: str, pep: Any) -> None:
    """Iterate on symbolic points, then state the initial condition and the metric."""
    check_compatible(problem, method)
    try:
        first = state = method.init(problem, problem.default_start(None), None)
        for _ in range(k):
            state = method.step(problem, state)
        performance = problem.measures[metric](method, state, lambda: method.step(problem, state))
        unit = problem.distance_to_solution if start == "distance" else problem.starts[start]
        pep.set_initial_condition(unit(method, first) <= 1)
    except IncompatibleError:
        raise
    except (TypeError, AttributeError, DomainError) as error:
        raise TypeError(
            f"{type(method).__name__} cannot run on symbolic points, which can only be added, subtracted and scaled: "
            f"{error}. Methods that look at numbers (norms, comparisons, searches) have no worst case of this kind"
        ) from error
    pep.set_performance_metric(performance)


def _optimum(pep: Any, solver: str) -> tuple[float, dict[str, float]]:
    import cvxpy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the modelling layer, about accuracy: the second solver is the judge
        options = {"eps": 1e-7, "max_iters": 200_000} if solver == "SCS" else {}
        try:
            value = pep.solve(wrapper="cvxpy", solver=solver, verbose=0, **options)
        except (cvxpy.error.SolverError, ArithmeticError):
            return float("nan"), {}
    status = pep.wrapper.prob.status
    if "unbounded" in status:
        return float("inf"), {}
    if value is None or "optimal" not in status:
        return float("nan"), {}
    multipliers = {}
    for function in pep.list_of_functions:
        for constraint in function.list_of_class_constraints:
            weight = float(constraint.eval_dual())
            if weight > 1e-6:
                multipliers[constraint.get_name() or "inequality"] = weight
    return float(value), multipliers
