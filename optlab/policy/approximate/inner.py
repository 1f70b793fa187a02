"""Inner solvers: minimise a loss of scores over the parameters of a function class.

The inner problem of an approximate policy method is ``min over theta of loss(f^theta(states))`` (see
`optlab.policy.approximate.losses`), warm-started at the current policy's theta. A solver is a frozen description;
`minimize` runs it and returns an `InnerResult`. They are meant for this nested use: few iterations, no history, no
callbacks.

* `FisherScoring`: Gauss-Newton steps with Armijo backtracking, for every loss and class. Its first full step from
  theta_k on the reverse Kullback-Leibler loss is the natural policy gradient step.
* `Newton`: for losses that are convex in the scores (with linear classes it is iteratively reweighted least squares).
* `LeastSquares`: exact, for squared errors and linear classes; for tables with any dual divergence.
* `LBFGS`, `SGD`, `Adam`: first order, for any loss and class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from optlab.core.validation import as_integer, as_number
from optlab.policy.function_classes.classes import FunctionClass

__all__ = ["LBFGS", "SGD", "Adam", "FisherScoring", "InnerResult", "InnerSolver", "LeastSquares", "Newton"]

_HALVINGS = 50


@dataclass(frozen=True, eq=False)
class InnerResult:
    """What an inner solver returns.

    Attributes
    ----------
    theta : ndarray, shape (n_parameters,)
    value : float
        Loss at `theta`, without a ridge.
    iterations : int
    """

    theta: np.ndarray
    value: float
    iterations: int


class InnerSolver(Protocol):
    """Anything with this `minimize` can be the `inner` of a method."""

    def minimize(
        self, loss: Any, function_class: FunctionClass, theta: np.ndarray, states: Any, rng: np.random.Generator
    ) -> InnerResult:
        """Minimise ``loss`` over theta from the start `theta`, which is left alone."""
        ...


class _GaussNewton:
    """Steps ``-(F + ridge I)^-1 gradient``, backtracking until a share `armijo` of the predicted decrease is met."""

    max_iter: int
    ridge: float
    armijo: float
    tol: float

    def __post_init__(self) -> None:
        as_integer(self.max_iter, "max_iter", minimum=1)
        as_number(self.ridge, "ridge", minimum=0)
        as_number(self.armijo, "armijo", above=0, below=0.5)
        as_number(self.tol, "tol", minimum=0)

    def _minimize(
        self,
        loss: Any,
        function_class: FunctionClass,
        theta: np.ndarray,
        states: Any,
        penalty: float,
        search: bool,
    ) -> InnerResult:
        point = loss.at(function_class.scores(theta, states))
        value = point.value + penalty / 2 * float(theta @ theta)
        done = 0
        while done < self.max_iter:
            gradient = function_class.vjp(theta, states, point.gradient()) + penalty * theta
            step = function_class.solve_gram(theta, states, point.curvature(), gradient, self.ridge)
            decrease = float(gradient @ step)
            if not decrease > self.tol:  # also where the step is no direction of descent, to rounding
                break
            t = 1.0
            for _ in range(_HALVINGS if search else 1):
                trial = theta - t * step
                trial_point = loss.at(function_class.scores(trial, states))
                trial_value = trial_point.value + penalty / 2 * float(trial @ trial)
                if not search or trial_value <= value - self.armijo * t * decrease:
                    break
                t /= 2
            else:
                break
            theta, point, value = trial, trial_point, trial_value
            done += 1
        return InnerResult(theta, value - penalty / 2 * float(theta @ theta), done)


@dataclass(frozen=True)
class FisherScoring(_GaussNewton):
    """Gauss-Newton steps ``theta - t (F + ridge I)^-1 gradient`` with Armijo backtracking on t.

    Parameters
    ----------
    max_iter : int, default 5
        On Garnet problems with log-linear policies the first few steps do nearly all the work.
    ridge : float, default 1e-8
        Added to the Gauss-Newton matrix (not to the loss). For sampled states about 1e-4.
    line_search : bool, default True
        False: always t = 1. One such step is the natural policy gradient.
    armijo : float, default 1e-4
        Share of the predicted decrease that is asked for.
    tol : float, default 1e-14
        Stop where the predicted decrease falls below it.

    Examples
    --------
    >>> from optlab.bregman.mirror_maps import NegativeEntropyMap
    >>> from optlab.policy import Tabular
    >>> from optlab.policy.approximate.losses import DualDivergence
    >>> loss = DualDivergence(NegativeEntropyMap(), np.array([[0.0, 1.0]]), np.ones(1), "reverse")
    >>> result = FisherScoring(max_iter=20).minimize(loss, Tabular(1, 2), np.zeros(2), None, None)
    >>> bool(result.value < 1e-12)
    True
    """

    max_iter: int = 5
    ridge: float = 1e-8
    line_search: bool = True
    armijo: float = 1e-4
    tol: float = 1e-14

    def minimize(
        self, loss: Any, function_class: FunctionClass, theta: np.ndarray, states: Any, rng: Any = None
    ) -> InnerResult:
        return self._minimize(loss, function_class, theta, states, 0.0, self.line_search)


@dataclass(frozen=True)
class Newton(_GaussNewton):
    """Newton's method with backtracking on ``loss + ridge/2 |theta|^2``, for losses convex in the scores.

    With a linear class the Gauss-Newton matrix is the Hessian and the method converges to the minimiser from anywhere;
    with a network it is a Gauss-Newton method.

    Parameters
    ----------
    max_iter : int, default 50
    ridge : float, default 1e-8
        Part of the objective. Where labels are one-hot and separable it is what keeps theta finite.
    armijo : float, default 1e-4
    tol : float, default 1e-13
        Stop where the squared Newton decrement falls below it.
    """

    max_iter: int = 50
    ridge: float = 1e-8
    armijo: float = 1e-4
    tol: float = 1e-13

    def minimize(
        self, loss: Any, function_class: FunctionClass, theta: np.ndarray, states: Any, rng: Any = None
    ) -> InnerResult:
        if not loss.convex:
            raise ValueError(
                "Newton needs a loss that is convex in the scores (order='forward'); "
                "for the reverse order use FisherScoring"
            )
        return self._minimize(loss, function_class, theta, states, self.ridge, True)


@dataclass(frozen=True)
class LeastSquares:
    """The exact minimiser of a squared error over a linear class.

    With a table it is the exact fit of any dual divergence: each visited row takes its target.

    Parameters
    ----------
    ridge : float, default 0
        Multiple of ``|theta|^2`` that is added; with 0 the solution of least norm is returned.
    """

    ridge: float = 0.0

    def __post_init__(self) -> None:
        as_number(self.ridge, "ridge", minimum=0)

    def minimize(
        self, loss: Any, function_class: FunctionClass, theta: np.ndarray, states: Any, rng: Any = None
    ) -> InnerResult:
        from optlab.policy.function_classes.classes import Tabular

        full_domain = getattr(getattr(loss, "mirror_map", None), "full_domain", True)
        if not hasattr(loss, "regression") or not (full_domain or isinstance(function_class, Tabular)):
            raise ValueError(
                "LeastSquares needs a squared error: AMPO, DAPO with the mirror map 'euclidean-full', or the function "
                "class Tabular; otherwise use FisherScoring, Newton or LBFGS"
            )
        targets, weights = loss.regression()
        fitted = function_class.least_squares(theta, states, targets, weights, self.ridge)
        return InnerResult(fitted, loss.value(function_class.scores(fitted, states)), 1)


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory quasi-Newton method (SciPy's L-BFGS-B), for smooth losses such as the sparsemax loss.

    On the reverse Kullback-Leibler loss a few dozen iterations can stall far from the minimum, where `FisherScoring`
    does not.

    Parameters
    ----------
    max_iter : int, default 200
    ridge : float, default 0
        Multiple of ``|theta|^2 / 2`` that is added to the loss.
    tol : float, default 1e-10
        Stop where no entry of the gradient exceeds it.
    """

    max_iter: int = 200
    ridge: float = 0.0
    tol: float = 1e-10

    def __post_init__(self) -> None:
        as_integer(self.max_iter, "max_iter", minimum=1)
        as_number(self.ridge, "ridge", minimum=0)
        as_number(self.tol, "tol", above=0)

    def minimize(
        self, loss: Any, function_class: FunctionClass, theta: np.ndarray, states: Any, rng: Any = None
    ) -> InnerResult:
        from scipy.optimize import minimize

        def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
            point = loss.at(function_class.scores(x, states))
            value = point.value + self.ridge / 2 * float(x @ x)
            return value, function_class.vjp(x, states, point.gradient()) + self.ridge * x

        options = {"maxiter": self.max_iter, "gtol": self.tol, "ftol": 1e-16, "maxfun": 20 * self.max_iter}
        found = minimize(objective, theta, jac=True, method="L-BFGS-B", options=options)
        return InnerResult(found.x, loss.value(function_class.scores(found.x, states)), int(found.nit))


class _FirstOrder:
    """Steps along gradients of the whole loss, or of minibatches of states; a subclass has the update rule."""

    step_size: float
    steps: int
    batch_size: int | None

    def __post_init__(self) -> None:
        as_number(self.step_size, "step_size", above=0)
        as_integer(self.steps, "steps", minimum=1)
        if self.batch_size is not None:
            as_integer(self.batch_size, "batch_size", minimum=1)

    def _moves(self, n: int) -> Any:
        """Return a function from a gradient to what is added to the parameters; it has the memory of the run."""
        raise NotImplementedError

    def minimize(
        self, loss: Any, function_class: FunctionClass, theta: np.ndarray, states: Any, rng: Any = None
    ) -> InnerResult:
        move, part, rows = self._moves(theta.size), loss, states
        for _ in range(self.steps):
            if self.batch_size is not None:
                drawn = rng.choice(len(loss.weights), size=self.batch_size, p=loss.weights / loss.weights.sum())
                part, rows = loss.batch(drawn), drawn if states is None else states[drawn]
            slope = part.at(function_class.scores(theta, rows)).gradient()
            theta = theta + move(function_class.vjp(theta, rows, slope))
        return InnerResult(theta, loss.value(function_class.scores(theta, states)), self.steps)


@dataclass(frozen=True)
class SGD(_FirstOrder):
    """Steps along the negative gradient, of the whole loss or of minibatches of states.

    Parameters
    ----------
    step_size : float, default 0.1
    steps : int, default 10
    batch_size : int, optional
        States per step, drawn by the state law with replacement. Default: all, without sampling.
    momentum : float, default 0
    """

    step_size: float = 0.1
    steps: int = 10
    batch_size: int | None = None
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.momentum, "momentum", minimum=0, below=1)

    def _moves(self, n: int) -> Any:
        velocity = np.zeros(n)

        def move(gradient: np.ndarray) -> np.ndarray:
            nonlocal velocity
            velocity = self.momentum * velocity - self.step_size * gradient
            return velocity

        return move


@dataclass(frozen=True)
class Adam(_FirstOrder):
    """Adam (Kingma and Ba 2015) on the whole loss or on minibatches of states; moments start anew at each call.

    Parameters
    ----------
    step_size : float, default 0.01
    steps : int, default 50
    batch_size : int, optional
        States per step, drawn by the state law with replacement. Default: all, without sampling.
    beta1, beta2, epsilon : float
        Defaults 0.9, 0.999, 1e-8.
    """

    step_size: float = 0.01
    steps: int = 50
    batch_size: int | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.beta1, "beta1", minimum=0, below=1)
        as_number(self.beta2, "beta2", minimum=0, below=1)
        as_number(self.epsilon, "epsilon", above=0)

    def _moves(self, n: int) -> Any:
        first, second, k = np.zeros(n), np.zeros(n), 0

        def move(gradient: np.ndarray) -> np.ndarray:
            nonlocal first, second, k
            k += 1
            first = self.beta1 * first + (1 - self.beta1) * gradient
            second = self.beta2 * second + (1 - self.beta2) * gradient**2
            scale = np.sqrt(second / (1 - self.beta2**k)) + self.epsilon
            return -self.step_size * first / (1 - self.beta1**k) / scale

        return move
