"""Classes of problems in Euclidean space: what is assumed of the oracles, and how far a run has come.

A class is a description, as a method is: ``build()`` makes one symbolic problem of it. That problem offers the oracles
by which the library's methods know the concrete ones (``resolvent_A``, ``gradient``, ...), on PEPit's points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.validation import as_number
from optlab.games.problems.geometry import WholeSpace


class ProblemClass:
    """Base of the classes: a frozen description with the names of its metrics.

    A class of your own implements ``build(pep)`` and returns an object with the oracles that the method requires,
    ``measures``, the metrics by name, and ``distance_to_solution(method, state)``, which the program bounds by 1. If
    other quantities may be bounded at the start, their names are in ``starts``, and the object has them in its own.
    """

    metrics: tuple[str, ...] = ()
    starts: tuple[str, ...] = ("distance",)

    def build(self, pep: Any) -> Any:
        """Return a symbolic problem of this class, declared in the PEPit problem `pep`."""
        raise TypeError(f"{type(self).__name__} must implement build(pep)")


def pepit() -> Any:
    """Return the package PEPit.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import PEPit
        import PEPit.functions
        import PEPit.operators
    except ImportError:
        raise ImportError("worst cases need PEPit: pip install 'optlab[theory]'") from None
    return PEPit


class Symbolic:
    """What all symbolic problems answer alike: there is one start, and no length of anything is known."""

    default_step_size = 1.0

    def __init__(self) -> None:
        self.start = pepit().Point(name="start")

    def default_start(self, rng: Any) -> Any:
        """Return the start."""
        return self.start

    def check_mirror(self, mirror: Any) -> None:
        """Accept every point: the kernel's gradient is taken to reach all of them."""

    def local_coordinates(self, difference: Any, at: Any) -> np.ndarray:
        """Return a placeholder; rules that compare lengths cannot run here."""
        return np.full(1, np.nan)


def proximal(operator: Any, point: Any, step_size: float) -> Any:
    """Return the resolvent ``(I + step_size operator)^{-1}`` at a symbolic point."""
    PEPit = pepit()
    element, value = PEPit.Point(), PEPit.Expression()
    answer = point - step_size * element
    operator.add_point((answer, element, value))
    return answer


class SymbolicPair(Symbolic):
    """Find x with 0 in A(x) + B(x), both symbolic, for splitting methods with the quadratic kernel."""

    def __init__(self, A: Any, B: Any) -> None:
        super().__init__()
        PEPit = pepit()
        self.A, self.B = A, B
        self.solution, self.element = PEPit.Point(name="solution"), PEPit.Point()  # of A; its negative of B
        A.add_point((self.solution, self.element, PEPit.Expression()))
        B.add_point((self.solution, -self.element, PEPit.Expression()))

    def initial_mirror(self, x0: Any) -> Any:
        """Return the start: the gradient of the quadratic kernel is the identity."""
        return self.start if x0 is None else x0

    def resolvent_A(self, mirror: Any, step_size: float) -> Any:
        """Return the resolvent of A."""
        return proximal(self.A, mirror, step_size)

    def resolvent_B(self, mirror: Any, step_size: float) -> Any:
        """Return the resolvent of B."""
        return proximal(self.B, mirror, step_size)

    def primal(self, mirror: Any, drift: Any = None) -> Any:
        """Return the point itself."""
        return mirror

    def fixed_point(self, step_size: float) -> Any:
        """Return ``z* = x* + step_size b*``, whose resolvent under B is the solution."""
        return self.solution - step_size * self.element

    def distance_to_solution(self, method: Any, state: Any) -> Any:
        """Return ``||z - z*||^2``."""
        return (method.variable(state) - self.fixed_point(method.step_size_of(state))) ** 2

    @property
    def measures(self) -> dict[str, Any]:
        """Residual of the map at the variable, and distance of the variable to the fixed point."""
        return {
            "residual": lambda method, state, following: method.displacement(state, following()) ** 2,
            "distance": lambda method, state, following: self.distance_to_solution(method, state),
        }


@dataclass(frozen=True)
class MonotonePair(ProblemClass):
    """Two maximally monotone operators A and B with a common zero of their sum.

    Parameters
    ----------
    strong_monotonicity : float, default 0
        mu: of B.
    lipschitz : float, default inf
        Of A. The conditions on Lipschitz monotone operators are necessary, not sufficient: values are upper bounds.

    Notes
    -----
    Metrics, each divided by ``||z_0 - z*||^2``: ``residual``, ``||z_k - T(z_k)||^2`` at the point after k steps, and
    ``distance``, ``||z_k - z*||^2``.
    """

    strong_monotonicity: float = 0.0
    lipschitz: float = float("inf")
    metrics = ("residual", "distance")

    def __post_init__(self) -> None:
        value = as_number(self.strong_monotonicity, "strong_monotonicity", minimum=0)
        object.__setattr__(self, "strong_monotonicity", value)
        object.__setattr__(self, "lipschitz", as_number(self.lipschitz, "lipschitz", above=0, finite=False))

    def build(self, pep: Any) -> SymbolicPair:
        """Return a symbolic pair."""
        operators = pepit().operators
        if np.isinf(self.lipschitz):
            A = pep.declare_function(operators.MonotoneOperator)
        else:
            A = pep.declare_function(operators.LipschitzStronglyMonotoneOperatorCheap, mu=0, L=self.lipschitz)
        if self.strong_monotonicity:
            B = pep.declare_function(operators.StronglyMonotoneOperator, mu=self.strong_monotonicity)
        else:
            B = pep.declare_function(operators.MonotoneOperator)
        return SymbolicPair(A, B)


@dataclass(frozen=True)
class CocoercivePair(ProblemClass):
    """A maximally monotone operator A and a cocoercive one, B: ``<Bx - By, x - y> >= cocoercivity ||Bx - By||^2``.

    Parameters
    ----------
    cocoercivity : float, default 1
    strong_monotonicity : float, default 0
        Of A.

    Notes
    -----
    Metrics as in `MonotonePair`.
    """

    cocoercivity: float = 1.0
    strong_monotonicity: float = 0.0
    metrics = ("residual", "distance")

    def __post_init__(self) -> None:
        object.__setattr__(self, "cocoercivity", as_number(self.cocoercivity, "cocoercivity", above=0))
        value = as_number(self.strong_monotonicity, "strong_monotonicity", minimum=0)
        object.__setattr__(self, "strong_monotonicity", value)

    def build(self, pep: Any) -> SymbolicPair:
        """Return a symbolic pair."""
        operators = pepit().operators
        A = pep.declare_function(operators.StronglyMonotoneOperator, mu=self.strong_monotonicity)
        return SymbolicPair(A, pep.declare_function(operators.CocoerciveOperator, beta=self.cocoercivity))


@dataclass(frozen=True)
class ConvexPair(ProblemClass):
    """Two closed convex functions, min f + g; A is the subdifferential of f, B that of g.

    Parameters
    ----------
    smoothness : float, default inf
        L of g.
    strong_convexity : float, default 0
        mu of g.

    Notes
    -----
    Metrics as in `MonotonePair`.
    """

    smoothness: float = float("inf")
    strong_convexity: float = 0.0
    metrics = ("residual", "distance")

    def __post_init__(self) -> None:
        value = as_number(self.strong_convexity, "strong_convexity", minimum=0)
        object.__setattr__(self, "strong_convexity", value)
        value = as_number(self.smoothness, "smoothness", above=self.strong_convexity, finite=False)
        object.__setattr__(self, "smoothness", value)

    def build(self, pep: Any) -> SymbolicPair:
        """Return a symbolic pair."""
        f = pep.declare_function(pepit().functions.ConvexFunction)
        return SymbolicPair(f, declared(pep, self.strong_convexity, self.smoothness))


def declared(pep: Any, mu: float, L: float, quadratic: bool = False) -> Any:
    """Return a symbolic function that is mu-strongly convex and L-smooth (0 and inf: neither)."""
    functions = pepit().functions
    if quadratic:
        return pep.declare_function(functions.SmoothStronglyConvexQuadraticFunction, mu=mu, L=L)
    if np.isinf(L):
        return pep.declare_function(functions.StronglyConvexFunction, mu=mu)
    return pep.declare_function(functions.SmoothStronglyConvexFunction, mu=mu, L=L)


class SymbolicFunction(Symbolic):
    """Minimise a smooth convex function, by its value and gradient."""

    def __init__(self, f: Any) -> None:
        super().__init__()
        self.f = f
        self.solution, _, self.optimum = f.stationary_point(return_gradient_and_function_value=True)

    def value(self, x: Any) -> Any:
        """Return f(x)."""
        return self.f(x)

    def gradient(self, x: Any) -> Any:
        """Return the gradient at x."""
        return self.f.gradient(x)

    def distance_to_solution(self, method: Any, state: Any) -> Any:
        """Return ``||x - x*||^2`` of the iterate."""
        return (method.iterate(self, state) - self.solution) ** 2

    @property
    def measures(self) -> dict[str, Any]:
        """Gap, squared gradient norm and distance of the iterate."""
        return {
            "gap": lambda method, state, following: self.value(method.iterate(self, state)) - self.optimum,
            "gradient": lambda method, state, following: self.gradient(method.iterate(self, state)) ** 2,
            "distance": lambda method, state, following: self.distance_to_solution(method, state),
        }


@dataclass(frozen=True)
class SmoothConvex(ProblemClass):
    """Convex functions whose gradient is Lipschitz, for methods that ask for ``gradient`` and ``value``.

    Parameters
    ----------
    smoothness : float, default 1
        L.
    strong_convexity : float, default 0
        mu.

    Notes
    -----
    Metrics, each divided by ``||x_0 - x*||^2``: ``gap``, ``f(x_k) - f*``; ``gradient``, ``||grad f(x_k)||^2``;
    ``distance``, ``||x_k - x*||^2``.
    """

    smoothness: float = 1.0
    strong_convexity: float = 0.0
    metrics = ("gap", "gradient", "distance")

    def __post_init__(self) -> None:
        value = as_number(self.strong_convexity, "strong_convexity", minimum=0)
        object.__setattr__(self, "strong_convexity", value)
        object.__setattr__(self, "smoothness", as_number(self.smoothness, "smoothness", above=self.strong_convexity))

    def build(self, pep: Any) -> SymbolicFunction:
        """Return a symbolic function."""
        return SymbolicFunction(declared(pep, self.strong_convexity, self.smoothness))


class SymbolicOperator(Symbolic):
    """Find a zero of a Lipschitz monotone operator, by its values: what problems of `optlab.games` are to methods."""

    geometry = WholeSpace()

    def __init__(self, F: Any, lipschitz: float) -> None:
        super().__init__()
        PEPit = pepit()
        self.F, self.lipschitz = F, lipschitz
        self.solution = PEPit.Point(name="solution")
        F.add_point((self.solution, PEPit.null_point, PEPit.Expression()))

    def operator(self, x: Any) -> Any:
        """Return F(x)."""
        return self.F.gradient(x)

    def operator_start(self, x0: Any) -> Any:
        """Return the start."""
        return x0

    def moved(self, mirror: Any, direction: Any) -> Any:
        """Return the point after a step."""
        return mirror - direction

    def at(self, mirror: Any) -> Any:
        """Return the point."""
        return mirror

    def point(self, x: Any) -> Any:
        """Return the point."""
        return x

    def distance_to_solution(self, method: Any, state: Any) -> Any:
        """Return ``||x - x*||^2`` of the iterate."""
        return (method.iterate(self, state) - self.solution) ** 2

    @property
    def measures(self) -> dict[str, Any]:
        """Squared residual and distance of the iterate."""
        return {
            "residual": lambda method, state, following: self.operator(method.iterate(self, state)) ** 2,
            "distance": lambda method, state, following: self.distance_to_solution(method, state),
        }


@dataclass(frozen=True)
class MonotoneLipschitz(ProblemClass):
    """Monotone operators with a Lipschitz constant, for methods that ask for ``operator``.

    Parameters
    ----------
    lipschitz : float, default 1
    strong_monotonicity : float, default 0

    Notes
    -----
    Metrics, each divided by ``||x_0 - x*||^2``: ``residual``, ``||F(x_k)||^2``, and ``distance``. The conditions on the
    operator are necessary for interpolation, not sufficient: values are upper bounds of the worst case.
    """

    lipschitz: float = 1.0
    strong_monotonicity: float = 0.0
    metrics = ("residual", "distance")

    def __post_init__(self) -> None:
        object.__setattr__(self, "lipschitz", as_number(self.lipschitz, "lipschitz", above=0))
        value = as_number(self.strong_monotonicity, "strong_monotonicity", minimum=0, maximum=self.lipschitz)
        object.__setattr__(self, "strong_monotonicity", value)

    def build(self, pep: Any) -> SymbolicOperator:
        """Return a symbolic operator."""
        kind = pepit().operators.LipschitzStronglyMonotoneOperatorCheap
        return SymbolicOperator(
            pep.declare_function(kind, mu=self.strong_monotonicity, L=self.lipschitz), self.lipschitz
        )
