"""`rate`: the best linear rate that a quadratic Lyapunov function proves, from the method's own ``step``.

The step runs once on linear forms in the variable and in the values of the oracles. That gives the four matrices of a
linear system in feedback with the operators, for which AutoLyap searches a Lyapunov function (Upadhyaya, Banert, Taylor
and Giselsson 2025) by semidefinite programs and bisection.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.contract.capabilities import check_compatible
from optlab.core.errors import DomainError, IncompatibleError
from optlab.core.validation import as_number
from optlab.theory.classes import (
    CocoercivePair,
    ConvexPair,
    MonotoneLipschitz,
    MonotonePair,
    ProblemClass,
    SmoothConvex,
)

_MOST = 24  # evaluations of oracles in two iterations


@dataclass(frozen=True)
class Rate:
    """What `rate` returns.

    Attributes
    ----------
    value : float
        Factor per iteration of a Lyapunov function that bounds the squared distance to a solution; 1 if no linear rate
        was found, NaN if the solver failed.
    status : str
        "proved" (to the solver's accuracy), "none below one", or "inconclusive".
    solver : str
    seconds : float
    """

    value: float
    status: str
    solver: str
    seconds: float


def autolyap() -> Any:
    """Return the package AutoLyap.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import autolyap as package
        import autolyap.algorithms.algorithm
        import autolyap.problemclass
    except ImportError:
        raise ImportError("linear rates need AutoLyap: pip install 'optlab[theory]'") from None
    return package


class _Form:
    """A linear form: what can be added, subtracted and scaled, and nothing else."""

    __array_ufunc__ = None

    def __init__(self, coefficients: np.ndarray) -> None:
        self.coefficients = coefficients

    def __add__(self, other: Any) -> _Form:
        if not isinstance(other, _Form):
            return NotImplemented
        return _Form(self.coefficients + other.coefficients)

    def __neg__(self) -> _Form:
        return _Form(-self.coefficients)

    def __sub__(self, other: Any) -> _Form:
        if not isinstance(other, _Form):
            return NotImplemented
        return _Form(self.coefficients - other.coefficients)

    def __mul__(self, factor: Any) -> _Form:
        return _Form(self.coefficients * float(factor))

    __rmul__ = __mul__

    def __truediv__(self, factor: Any) -> _Form:
        return _Form(self.coefficients / float(factor))


class _Traced:
    """A problem that writes down where its oracles were asked: pairs of a component and a form."""

    default_step_size = 1.0

    def __init__(self) -> None:
        self.start = self._unit(0)
        self.asked: list[tuple[str, np.ndarray]] = []

    @staticmethod
    def _unit(i: int) -> _Form:
        if i > _MOST:
            raise TypeError(f"more than {_MOST} evaluations of oracles in two iterations")
        return _Form(np.eye(_MOST + 1)[i])

    def _ask(self, component: str, at: _Form | None) -> _Form:
        value = self._unit(len(self.asked) + 1)
        self.asked.append((component, np.empty(0) if at is None else at.coefficients))
        return value

    def default_start(self, rng: Any) -> _Form:
        """Return the variable."""
        return self.start

    def check_mirror(self, mirror: Any) -> None:
        """Accept every point."""

    def local_coordinates(self, difference: Any, at: Any) -> np.ndarray:
        """Return a placeholder; rules that compare lengths cannot run here."""
        return np.full(1, np.nan)


class _TracedPair(_Traced):
    def initial_mirror(self, x0: Any) -> _Form:
        """Return the start."""
        return self.start if x0 is None else x0

    def _resolvent(self, component: str, mirror: _Form, step_size: float) -> _Form:
        answer = mirror - step_size * self._ask(component, None)
        self.asked[-1] = (component, answer.coefficients)
        return answer

    def resolvent_A(self, mirror: _Form, step_size: float) -> _Form:
        """Return the resolvent of A."""
        return self._resolvent("A", mirror, step_size)

    def resolvent_B(self, mirror: _Form, step_size: float) -> _Form:
        """Return the resolvent of B."""
        return self._resolvent("B", mirror, step_size)

    def primal(self, mirror: Any, drift: Any = None) -> Any:
        """Return the point itself."""
        return mirror


class _TracedFunction(_Traced):
    def gradient(self, x: _Form) -> _Form:
        """Return the gradient at x."""
        return self._ask("f", x)

    def value(self, x: Any) -> float:
        """Return a placeholder."""
        return float("nan")


class _TracedOperator(_Traced):
    def operator(self, x: _Form) -> _Form:
        """Return F(x)."""
        return self._ask("F", x)


def _function(classes: Any, mu: float, L: float) -> Any:
    if np.isinf(L):
        return classes.StronglyConvex(mu) if mu > 0 else classes.Convex()
    return classes.SmoothStronglyConvex(mu, L) if mu > 0 else classes.SmoothConvex(L)


def _monotone(classes: Any, mu: float) -> Any:
    return classes.StronglyMonotone(mu) if mu > 0 else classes.MaximallyMonotone()


def _components(problem_class: ProblemClass, classes: Any) -> tuple[_Traced, dict[str, Any]]:
    """Return the problem to trace and AutoLyap's condition of each of its components."""
    c = problem_class
    if isinstance(c, MonotonePair):
        return _TracedPair(), {"A": classes.MaximallyMonotone(), "B": _monotone(classes, c.strong_monotonicity)}
    if isinstance(c, CocoercivePair):
        return _TracedPair(), {"A": _monotone(classes, c.strong_monotonicity), "B": classes.Cocoercive(c.cocoercivity)}
    if isinstance(c, ConvexPair):
        return _TracedPair(), {"A": classes.Convex(), "B": _function(classes, c.strong_convexity, c.smoothness)}
    if isinstance(c, SmoothConvex):
        return _TracedFunction(), {"f": _function(classes, c.strong_convexity, c.smoothness)}
    if isinstance(c, MonotoneLipschitz):
        both = [classes.LipschitzOperator(c.lipschitz), _monotone(classes, c.strong_monotonicity)]
        return _TracedOperator(), {"F": both}
    raise TypeError(f"linear rates are known for the pairs, SmoothConvex and MonotoneLipschitz, not for {c!r}")


def _matrices(method: Any, problem: _Traced) -> tuple[list[str], list[np.ndarray]]:
    """Return components and the matrices A, B, C, D of the step; the components in the order of their first question.

    Raises
    ------
    TypeError
        If the step is not one fixed linear rule in its variable and the oracles.
    """
    check_compatible(problem, method)
    try:
        state = method.init(problem, problem.start, None)
        if not np.array_equal(method.variable(state).coefficients, problem.start.coefficients):
            raise TypeError("the variable does not start at the start")
        steps, points = [], [problem.start.coefficients]
        for _ in range(2):
            first = len(problem.asked)
            state = method.step(problem, state)
            points.append(method.variable(state).coefficients)
            steps.append((first, problem.asked[first:]))
    except IncompatibleError:
        raise
    except (TypeError, AttributeError, DomainError, ValueError) as error:
        raise TypeError(
            f"{type(method).__name__} has no step that linear rates are about, one fixed linear rule in the "
            f"method's variable and the oracles: {error}"
        ) from error
    first, asked = steps[0]
    distinct = list(dict.fromkeys(name for name, _ in asked))
    order = sorted(range(len(asked)), key=lambda i: distinct.index(asked[i][0]))
    names = [asked[i][0] for i in order]
    rows = np.array([points[1], *(asked[i][1] for i in order)])
    own = [0, *(first + 1 + i for i in order)]
    rule = rows[:, own]
    # the second iteration has to be the same rule, from where the first one led
    again, asked = steps[1]
    same = np.abs(np.delete(rows, own, axis=1)).max(initial=0.0) < 1e-12 and len(asked) == len(order)
    if same:
        expected = np.outer(rule[:, 0], points[1])
        for column, i in enumerate(order, 1):
            expected[:, again + 1 + i] += rule[:, column]
        same = names == [asked[i][0] for i in order]
        same = same and np.allclose([points[2], *(asked[i][1] for i in order)], expected, rtol=1e-12, atol=1e-14)
    if not same:
        raise TypeError(
            f"the step of {type(method).__name__} depends on the iteration, or on more than its variable: that has no "
            "linear rate here"
        )
    return names, [rule[:1, :1], rule[:1, 1:], rule[1:, :1], rule[1:, 1:]]


def rate(method: Any, problem_class: ProblemClass, *, tol: float = 1e-5) -> Rate:
    """Return the smallest linear rate that a quadratic Lyapunov function proves for a method on a class of problems.

    Parameters
    ----------
    method : Method
        Its ``step`` runs on linear forms: a fixed linear rule in its variable and the oracles.
    problem_class : ProblemClass
        `MonotonePair`, `CocoercivePair`, `ConvexPair`, `SmoothConvex` or `MonotoneLipschitz`.
    tol : float, default 1e-5
        Width at which the bisection ends.

    Returns
    -------
    Rate
        Its value is the factor of the *squared* distance.

    Raises
    ------
    ImportError
        Without AutoLyap (``pip install 'optlab[theory]'``).
    IncompatibleError
        If the class has not the oracles that the method requires.
    TypeError
        If the method is not of this kind: anchored, with a memory, or looking at numbers.

    References
    ----------
    Upadhyaya, Banert, Taylor, Giselsson (2025); Giselsson and Boyd (2017) for Douglas-Rachford splitting.

    Examples
    --------
    >>> from optlab.splitting import BregmanDouglasRachford
    >>> from optlab.theory import ConvexPair, rate
    >>> rate(BregmanDouglasRachford(0.316), ConvexPair(10.0, 1.0)).value     # doctest: +SKIP
    0.5774...
    """
    if not isinstance(problem_class, ProblemClass):
        raise TypeError(f"problem_class must be a class of optlab.theory such as ConvexPair(), got {problem_class!r}")
    tol = as_number(tol, "tol", above=0)
    package = autolyap()
    began = time.perf_counter()
    problem, conditions = _components(problem_class, package.problemclass)
    names, matrices = _matrices(method, problem)
    distinct = list(dict.fromkeys(names))
    if set(distinct) != set(conditions):
        raise TypeError(f"{type(method).__name__} does not ask {sorted(set(conditions) - set(distinct))} in its step")
    functions = isinstance(problem_class, (ConvexPair, SmoothConvex))
    indices = list(range(1, len(distinct) + 1))

    class Traced(package.algorithms.algorithm.Algorithm):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            counts = [names.count(name) for name in distinct]
            super().__init__(1, len(distinct), counts, indices if functions else [], [] if functions else indices)

        def get_ABCD(self, k: int) -> Any:
            return tuple(matrices)

    algorithm = Traced()
    options = package.SolverOptions(backend="cvxpy", cvxpy_solver="CLARABEL")
    linear = package.IterationIndependent.LinearConvergence
    inclusion = package.problemclass.InclusionProblem([conditions[name] for name in distinct])
    if functions:
        P, p, T, t = linear.get_parameters_distance_to_solution(algorithm)
        arguments = (P, T, p, t)
    else:
        arguments = linear.get_parameters_distance_to_solution(algorithm)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the modelling layer, about accuracy
        found = linear.bisection_search_rho(
            inclusion, algorithm, *arguments, tol=tol, solver_options=options, verbosity=0
        )
    seconds = time.perf_counter() - began
    if found["status"] == "feasible":
        value = float(found["rho"])
        return Rate(value, "proved" if value < 1 - tol else "none below one", "CLARABEL", seconds)
    if found["status"] == "infeasible":
        return Rate(1.0, "none below one", "CLARABEL", seconds)
    return Rate(float("nan"), "inconclusive", "CLARABEL", seconds)
