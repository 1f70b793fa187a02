r"""Linear-quadratic regulator with Gaussian policies: policy mirror descent on continuous actions, in closed form.

Dynamics ``x' = F x + G u + w``, cost ``x'Q x + u'R u``, discount gamma, policies ``u ~ N(-K x, Sigma)``. The mirror map
is the negative entropy of densities, whose dual points are unnormalised log-densities; those of Gaussian policies are
quadratic, and so is every action-value function, so that a step of policy mirror descent with the Kullback-Leibler
divergence stays Gaussian. With ``X`` the solution of ``X = Q + K'R K + gamma (F-GK)'X(F-GK)``,
``M = R + gamma G'X G`` and ``N = gamma G'X F`` it reads (derived here, verified numerically)

    inv(Sigma+) = inv(Sigma) + 2 eta M,        inv(Sigma+) K+ = inv(Sigma) K + 2 eta N.

Constant step sizes average all past ``N``, which gives an error of order 1/k in K; growing ones forget, and their limit
``K+ = inv(M) N`` is Hewer's policy iteration (Hewer 1971), which converges quadratically.

Evaluation is exact: no sampling, no learning of F and G. The regulator by itself (without policies to iterate) is one
call of `scipy.linalg.solve_discrete_are`, which is also where the optimum used in the metrics comes from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import linalg

from optlab.core import Method, State, Status
from optlab.core.errors import DomainError
from optlab.core.stopping import Verdict
from optlab.core.validation import as_float_array, as_generator, as_number
from optlab.policy.arguments import as_count
from optlab.policy.ownership import frozen
from optlab.schedules import StepSize, check_step_size, step_size_at


def _as_square(value: Any, name: str, size: int) -> np.ndarray:
    array = as_float_array(value, name, shape=(size, size)).astype(np.float64)
    if not np.allclose(array, array.T, rtol=1e-12, atol=1e-12 * np.abs(array).max()):
        raise ValueError(f"{name} must be symmetric")
    return frozen((array + array.T) / 2)


@dataclass(frozen=True)
class GaussianPolicy:
    """The linear Gaussian policy ``u ~ N(-K x, Sigma)``.

    Parameters
    ----------
    gain : ndarray, shape (inputs, states)
        K.
    covariance : ndarray, shape (inputs, inputs)
        Sigma; zero for a deterministic policy.

    Examples
    --------
    >>> policy = GaussianPolicy(np.array([[0.5]]), np.array([[1.0]]))
    >>> policy.greedy(np.array([2.0]))
    array([-1.])
    >>> round(float(policy.log_density(np.array([2.0]), np.array([-1.0]))), 4)
    -0.9189
    """

    gain: np.ndarray
    covariance: np.ndarray

    def __post_init__(self) -> None:
        gain = as_float_array(self.gain, "gain", ndim=2).astype(np.float64, copy=False)
        covariance = as_float_array(self.covariance, "covariance", shape=(len(gain),) * 2).astype(
            np.float64, copy=False
        )
        object.__setattr__(self, "gain", frozen(gain))
        object.__setattr__(self, "covariance", frozen(covariance))

    def greedy(self, state: np.ndarray) -> np.ndarray:
        """Return the mode of the action, ``-K x``, for one state or for rows of states."""
        return -np.asarray(state) @ self.gain.T

    def sample(self, state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw an action for one state, or one for each row."""
        values, vectors = np.linalg.eigh(self.covariance)
        mean = self.greedy(state)
        return mean + (rng.standard_normal(mean.shape) * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

    def log_density(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the logarithm of the density of `action` at `state`; LinAlgError if the covariance is singular."""
        root = np.linalg.cholesky(self.covariance)
        scaled = linalg.solve_triangular(root, (np.asarray(action) - self.greedy(state)).T, lower=True)
        size = self.gain.shape[0]
        return -0.5 * (np.sum(scaled**2, axis=0) + size * np.log(2 * np.pi)) - np.log(np.diag(root)).sum()


class LQR:
    """Discounted linear-quadratic regulator with process noise.

    Parameters
    ----------
    transition : array_like, shape (n, n)
        F.
    input_matrix : array_like, shape (n, m)
        G.
    state_cost, input_cost : array_like, shapes (n, n) and (m, m)
        Q (positive semidefinite) and R (positive definite).
    discount : float
        gamma in (0, 1).
    noise : array_like, shape (n, n), optional
        Covariance of w. Default: identity.
    start_covariance : array_like, shape (n, n), optional
        ``E[x_0 x_0']``. Default: identity.

    Attributes
    ----------
    primary_metric : str
        ``"gap"``, the expected discounted cost less that of the optimal (deterministic) policy.

    Examples
    --------
    >>> problem = lqr(seed=0)
    >>> import optlab
    >>> result = optlab.solve(problem, HewerPolicyIteration(), max_iter=8, seed=0)
    >>> bool(result.metrics["gain_error"] < 1e-12)
    True
    """

    primary_metric = "gap"

    def __init__(
        self,
        transition: Any,
        input_matrix: Any,
        state_cost: Any,
        input_cost: Any,
        discount: float = 0.95,
        noise: Any = None,
        start_covariance: Any = None,
    ) -> None:
        self.transition = frozen(as_float_array(transition, "transition", ndim=2).astype(np.float64))
        n = self.transition.shape[0]
        if self.transition.shape != (n, n):
            raise ValueError(f"transition must be a square matrix, got shape {self.transition.shape}")
        self.input_matrix = frozen(as_float_array(input_matrix, "input_matrix", shape=(n, None)).astype(np.float64))
        m = self.input_matrix.shape[1]
        self.state_cost = _as_square(state_cost, "state_cost", n)
        self.input_cost = _as_square(input_cost, "input_cost", m)
        self.noise = _as_square(np.eye(n) if noise is None else noise, "noise", n)
        start_covariance = np.eye(n) if start_covariance is None else start_covariance
        self.start_covariance = _as_square(start_covariance, "start_covariance", n)
        for name in ("state_cost", "noise", "start_covariance"):
            smallest = float(np.linalg.eigvalsh(getattr(self, name))[0])
            if smallest < -1e-12:
                raise ValueError(f"{name} must be positive semidefinite, its smallest eigenvalue is {smallest:.3g}")
        smallest = float(np.linalg.eigvalsh(self.input_cost)[0])
        if not smallest > 0:
            raise ValueError(f"input_cost must be positive definite, its smallest eigenvalue is {smallest:.3g}")
        self.discount = as_number(discount, "discount", above=0, below=1)

    def __repr__(self) -> str:
        return f"<LQR: {self.n_states} states, {self.n_inputs} inputs, discount {self.discount:g}>"

    @property
    def n_states(self) -> int:
        """Dimension of x."""
        return self.transition.shape[0]

    @property
    def n_inputs(self) -> int:
        """Dimension of u."""
        return self.input_matrix.shape[1]

    # ------------------------------------------------------------------ one policy

    def closed_loop(self, gain: np.ndarray) -> np.ndarray:
        """Return ``sqrt(gamma) (F - G K)``; DomainError unless its spectral radius is below 1 (infinite cost)."""
        gain = self._gain(gain)
        closed = np.sqrt(self.discount) * (self.transition - self.input_matrix @ gain)
        radius = float(np.abs(np.linalg.eigvals(closed)).max())
        if not radius < 1:
            raise DomainError(
                f"the gain is not stabilising: sqrt(discount) (F - G K) has spectral radius {radius:.4g}, "
                "below 1 is needed for a finite cost"
            )
        return closed

    def _gain(self, gain: Any) -> np.ndarray:
        return as_float_array(gain, "gain", shape=(self.n_inputs, self.n_states))

    def cost_to_go(self, gain: np.ndarray) -> np.ndarray:
        """Return X, the matrix of the quadratic part of the value function of a gain.

        Raises
        ------
        DomainError
            If the discounted cost of the gain is infinite.
        """
        gain, closed = self._gain(gain), self.closed_loop(gain)
        X = linalg.solve_discrete_lyapunov(closed.T, self.state_cost + gain.T @ self.input_cost @ gain)
        return (X + X.T) / 2

    def action_values(self, gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return M and N of ``Q(x, u) = u'M u + 2 u'N x + (terms without u)`` for the policy of a gain."""
        X = self.cost_to_go(gain)
        XG = X @ self.input_matrix
        return self.input_cost + self.discount * self.input_matrix.T @ XG, self.discount * XG.T @ self.transition

    def value(self, policy: GaussianPolicy) -> float:
        """Return the expected discounted cost of a policy."""
        X = self.cost_to_go(policy.gain)
        M = self.input_cost + self.discount * self.input_matrix.T @ X @ self.input_matrix
        later = self.discount * np.sum(X * self.noise) + np.sum(M * policy.covariance)
        return float(np.sum(X * self.start_covariance) + later / (1 - self.discount))

    @cached_property
    def _optimum(self) -> tuple[np.ndarray, np.ndarray]:
        root = np.sqrt(self.discount)
        try:
            X = linalg.solve_discrete_are(
                root * self.transition, root * self.input_matrix, self.state_cost, self.input_cost
            )
        except (linalg.LinAlgError, ValueError) as error:
            raise DomainError(
                f"the regulator has no stabilising optimal gain: the Riccati equation has no such solution ({error})"
            ) from None
        M = self.input_cost + self.discount * self.input_matrix.T @ X @ self.input_matrix
        gain = linalg.solve(M, self.discount * self.input_matrix.T @ X @ self.transition, assume_a="pos")
        return frozen(gain), frozen(M)

    @property
    def optimal_gain(self) -> np.ndarray:
        """K*, from the discrete algebraic Riccati equation."""
        return self._optimum[0]

    @property
    def optimal(self) -> GaussianPolicy:
        """The optimal policy, which is deterministic."""
        return GaussianPolicy(self.optimal_gain, np.zeros((self.n_inputs, self.n_inputs)))

    # ------------------------------------------------------------------ Problem

    def default_start(self, rng: np.random.Generator) -> GaussianPolicy:
        """Return ``K = 0`` with identity covariance."""
        return GaussianPolicy(np.zeros((self.n_inputs, self.n_states)), np.eye(self.n_inputs))

    def measure(self, iterate: GaussianPolicy) -> dict[str, float]:
        """Return value, gap to the optimum, the part of it due to exploration, and ``||K - K*||``.

        The gap is computed by the performance difference lemma, ``sum_t gamma^t E[(u + K*x)'M*(u + K*x)]`` over the
        policy's own trajectory: a sum of non-negative terms, where a difference of two values would cancel.
        """
        if not isinstance(iterate, GaussianPolicy):
            raise TypeError(f"a policy of a regulator must be a GaussianPolicy, got {type(iterate).__name__}")
        best, M = self._optimum
        closed = self.closed_loop(iterate.gain)
        driven = self.noise + self.input_matrix @ iterate.covariance @ self.input_matrix.T
        visited = linalg.solve_discrete_lyapunov(
            closed, self.start_covariance + self.discount / (1 - self.discount) * driven
        )
        difference = iterate.gain - best
        exploration = float(np.sum(M * iterate.covariance)) / (1 - self.discount)
        return {
            "value": self.value(iterate),
            "gap": float(np.sum((difference.T @ M @ difference) * visited)) + exploration,
            "exploration_cost": exploration,
            "gain_error": float(np.linalg.norm(difference)),
        }


def lqr(n_states: int = 3, n_inputs: int = 2, discount: float = 0.95, seed: int | np.random.Generator = 0) -> LQR:
    """Return a random regulator: Gaussian F scaled to spectral radius 0.9, Gaussian G, ``Q = I``, ``R = I / 2``.

    Parameters
    ----------
    n_states, n_inputs : int
    discount : float, default 0.95
    seed : int or numpy.random.Generator, default 0

    Examples
    --------
    >>> problem = lqr(n_states=4, n_inputs=1)
    >>> problem.n_states, problem.n_inputs
    (4, 1)
    """
    n, m = as_count(n_states, "n_states"), as_count(n_inputs, "n_inputs")
    rng = as_generator(seed, "seed", default=None)
    F = rng.standard_normal((n, n))
    F *= 0.9 / np.abs(np.linalg.eigvals(F)).max()
    return LQR(F, rng.standard_normal((n, m)), np.eye(n), np.eye(m) / 2, discount)


@dataclass
class GaussianState(State):
    """Gain, precision (inverse covariance) and the last step size."""

    gain: np.ndarray
    precision: np.ndarray
    step_size: float


@dataclass
class GainState(State):
    """Gain, and the covariance of the start until the first step."""

    gain: np.ndarray
    covariance: np.ndarray


class _OfRegulator(Method):
    """Base of the methods for linear-quadratic regulators."""

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against other problems."""
        return None if isinstance(problem, LQR) else f"needs an optlab.policy.LQR problem, got {type(problem).__name__}"


def _start(problem: Any, x0: Any) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(x0, GaussianPolicy):
        raise TypeError(f"x0 must be a GaussianPolicy, got {type(x0).__name__}")
    gain = as_float_array(x0.gain, "x0.gain", shape=(problem.n_inputs, problem.n_states))
    covariance = _as_square(x0.covariance, "x0.covariance", problem.n_inputs)
    try:
        problem.closed_loop(gain)
    except DomainError as error:
        raise DomainError(
            f"{error}; K = 0, the default start, is not for systems that are unstable by themselves: pass "
            "x0=GaussianPolicy(K, covariance) with a gain that is, by pole placement for instance"
        ) from None
    return gain, covariance


@dataclass(frozen=True)
class GaussianMirrorDescent(_OfRegulator):
    """Policy mirror descent with the Kullback-Leibler divergence on Gaussian policies of a regulator, in closed form.

    Parameters
    ----------
    step_size : float or schedule, default 1.0
        eta: a number, a schedule such as ``Geometric(1.0, growth=2.0)``, or a function of k.

    Notes
    -----
    ``||K_k - K*||`` falls like 1/k for a constant step size and, while that is slower than policy iteration itself,
    like ``r**-k`` for steps growing by the factor r. `HewerPolicyIteration` is the limit of infinite steps.

    Examples
    --------
    >>> import optlab
    >>> from optlab.splitting import Geometric
    >>> result = optlab.solve(lqr(), GaussianMirrorDescent(Geometric(1.0, growth=2.0)), max_iter=30, seed=0)
    >>> bool(result.metrics["gain_error"] < 1e-9)
    True
    """

    step_size: StepSize = 1.0

    reference: ClassVar[str] = "xiong2024dual"

    def __post_init__(self) -> None:
        check_step_size(self.step_size)

    def init(self, problem: LQR, x0: Any, rng: np.random.Generator) -> GaussianState:
        """Return the start; its covariance must be positive definite, as the divergence to it must be finite."""
        gain, covariance = _start(problem, x0)
        try:
            precision = linalg.cho_solve(linalg.cho_factor(covariance), np.eye(problem.n_inputs))
        except linalg.LinAlgError:
            raise ValueError(
                "x0.covariance must be positive definite: a deterministic policy cannot be left by mirror descent; "
                "HewerPolicyIteration takes one"
            ) from None
        return GaussianState(0, gain, (precision + precision.T) / 2, step_size_at(self.step_size, 0, 1.0))

    def step(self, problem: LQR, state: GaussianState) -> GaussianState:
        """Return the next state: log-density minus eta times the action values, both quadratic."""
        eta = step_size_at(self.step_size, state.k, 1.0)
        M, N = problem.action_values(state.gain)
        precision = state.precision + 2 * eta * M
        right = state.precision @ state.gain + 2 * eta * N
        gain = linalg.solve(precision, right, assume_a="pos")
        return GaussianState(state.k + 1, gain, (precision + precision.T) / 2, eta)

    def iterate(self, problem: LQR, state: GaussianState) -> GaussianPolicy:
        """Return the policy."""
        covariance = linalg.inv(state.precision)
        return GaussianPolicy(state.gain, (covariance + covariance.T) / 2)

    def measure(self, problem: LQR, state: GaussianState) -> dict[str, float]:
        """Return the last step size and the number of policy evaluations."""
        return {"step_size": state.step_size, "policy_evaluations": float(state.k)}


@dataclass(frozen=True)
class HewerPolicyIteration(_OfRegulator):
    """Policy iteration for the regulator: ``K+ = inv(M) N`` (Hewer 1971), the limit of infinite step sizes.

    Examples
    --------
    >>> import optlab
    >>> result = optlab.solve(lqr(), HewerPolicyIteration(), max_iter=20, tol=1e-12, seed=0)
    >>> result.success, result.n_iter < 10
    (True, True)
    """

    reference: ClassVar[str] = "hewer1971iterative"

    def init(self, problem: LQR, x0: Any, rng: np.random.Generator) -> GainState:
        """Return the start."""
        gain, covariance = _start(problem, x0)
        return GainState(0, gain, covariance)

    def step(self, problem: LQR, state: GainState) -> GainState:
        """Return the state of the greedy policy, which explores no more."""
        M, N = problem.action_values(state.gain)
        return GainState(state.k + 1, linalg.solve(M, N, assume_a="pos"), np.zeros_like(M))

    def iterate(self, problem: LQR, state: GainState) -> GaussianPolicy:
        """Return the policy."""
        return GaussianPolicy(state.gain, state.covariance)

    def verdict(self, problem: LQR, state: GainState, metrics: dict[str, float]) -> Verdict | None:
        """Return that the run has converged once steps are small and get no smaller, which a quadratic rate rules out.

        The gap named is the distance to the Riccati equation's solution.
        """
        near = 1e-8 * (1.0 + float(np.linalg.norm(state.gain)))
        if not (state.k and metrics["gain_error"] <= near):
            return None
        following = self.step(problem, state)
        first = np.linalg.norm(following.gain - state.gain)
        second = np.linalg.norm(self.step(problem, following).gain - following.gain)
        if not (first <= near and second >= 0.5 * first):
            return None
        return Verdict(Status.CONVERGED, f"the gain no longer changes but for rounding: gap = {metrics['gap']:.3g}")

    def measure(self, problem: LQR, state: GainState) -> dict[str, float]:
        """Return the number of policy evaluations."""
        return {"policy_evaluations": float(state.k)}
