"""Function classes: scores f^theta(s, a) of parametric policies, behind one interface.

A method sees a class only through its scores, products with their Jacobian J (in theta) from either side, and the
Gauss-Newton matrix ``sum_s J_s' B_s J_s`` that Fisher scoring and Newton's method need. What the scores mean (logits of
a softmax, points to be projected onto the simplex) is the mirror map's business.

Here are the base class, `Tabular` and the linear classes: `LinearFeatures` (one feature vector per state-action pair)
and `BlockFeatures` (one per state, a block of parameters per action, dense or sparse). `features` builds random Fourier
features and tile coding on top of `BlockFeatures`; `networks` has the multilayer perceptron.

States are given as integers, rows of the table the class was made with; None means all of them, in order. Classes that
know a feature map also take rows of coordinates (a float array), for environments without a table.
"""

from __future__ import annotations

import abc
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg

from optlab.core.serialization import fingerprint
from optlab.core.validation import as_float_array, as_generator
from optlab.policy.arguments import as_count
from optlab.policy.ownership import freeze_csr, frozen, own_csr

__all__ = ["BlockFeatures", "FunctionClass", "LinearFeatures", "Tabular"]

_DENSE_LIMIT = 3000  # parameters up to which Gauss-Newton matrices are formed
_CG_ITERATIONS = 100


class FunctionClass(abc.ABC):
    """Base of the function classes. Compared by content, so that methods that hold one stay comparable.

    Attributes
    ----------
    n_actions, n_parameters : int
    n_states : int or None
        Rows of the table; None if the class takes coordinates only.
    linear : bool
        Whether scores are linear in theta.
    """

    linear: ClassVar[bool] = True
    n_actions: int
    n_parameters: int
    n_states: int | None

    # ------------------------------------------------------------------ what a class defines

    @abc.abstractmethod
    def scores(self, theta: np.ndarray, states: Any = None) -> np.ndarray:
        """Return the scores, shape (N, A)."""

    @abc.abstractmethod
    def vjp(self, theta: np.ndarray, states: Any, cotangent: np.ndarray) -> np.ndarray:
        """Return ``sum_s J_s' cotangent_s``, shape (n_parameters,); `cotangent` is (N, A)."""

    @abc.abstractmethod
    def jvp(self, theta: np.ndarray, states: Any, tangent: np.ndarray) -> np.ndarray:
        """Return ``J_s tangent`` by rows, shape (N, A); `tangent` is (n_parameters,)."""

    @abc.abstractmethod
    def gram(self, theta: np.ndarray, states: Any, blocks: np.ndarray) -> np.ndarray:
        """Return the Gauss-Newton matrix ``sum_s J_s' blocks_s J_s``; `blocks` is (N, A, A), symmetric."""

    # ------------------------------------------------------------------ what follows

    def initial(self, rng: np.random.Generator) -> np.ndarray:
        """Return a start whose scores are all zero: the uniform policy."""
        return np.zeros(self.n_parameters)

    def solve_gram(
        self, theta: np.ndarray, states: Any, blocks: np.ndarray, right: np.ndarray, ridge: float
    ) -> np.ndarray:
        """Return ``(gram + ridge I)^-1 right``: by Cholesky, or conjugate gradients with many parameters.

        Where the matrix is singular to working precision the least-squares solution is returned.
        """
        if self.n_parameters > _DENSE_LIMIT:
            shape = (self.n_parameters, self.n_parameters)
            operator = LinearOperator(
                shape,
                matvec=lambda v: (
                    self.vjp(theta, states, np.einsum("nab,nb->na", blocks, self.jvp(theta, states, v.ravel())))
                    + ridge * v.ravel()
                ),
                dtype=np.float64,
            )
            return np.asarray(cg(operator, right, rtol=1e-8, maxiter=_CG_ITERATIONS)[0])
        matrix = self.gram(theta, states, blocks)
        matrix.flat[:: self.n_parameters + 1] += ridge
        return solve_positive(matrix, right)

    def least_squares(
        self, theta: np.ndarray, states: Any, targets: np.ndarray, weights: np.ndarray, ridge: float
    ) -> np.ndarray:
        """Return the theta that minimises ``sum weights (scores - targets)^2 + ridge |theta|^2``.

        Of several minimisers, with ``ridge=0``, the one of least norm; tables keep entries without weight as they are
        in `theta`. Only classes that are linear in theta have it.

        Raises
        ------
        TypeError
            If the class is not linear.
        """
        raise TypeError(
            f"{type(self).__name__} is not linear in its parameters: weighted least squares needs a linear class; "
            "use FisherScoring, Adam or LBFGS"
        )

    @cached_property
    def _identity(self) -> str:
        return fingerprint(self)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._identity == other._identity  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        rows = "" if self.n_states is None else f"n_states={self.n_states}, "
        return f"{type(self).__name__}({rows}n_actions={self.n_actions}, n_parameters={self.n_parameters})"


def solve_positive(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return ``matrix^-1 right`` for a symmetric positive semidefinite matrix; least squares where it is singular.

    Examples
    --------
    >>> solve_positive(np.diag([2.0, 0.0]), np.array([1.0, 0.0]))
    array([0.5, 0. ])
    """
    try:
        return linalg.cho_solve(linalg.cho_factor(matrix, check_finite=False), right, check_finite=False)
    except linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0])


def row_numbers(states: Any, n_states: int) -> Any:
    """Return `states` as something to index rows with: all of them for None, or checked integers.

    Examples
    --------
    >>> row_numbers([0, 7], 5)
    Traceback (most recent call last):
        ...
    ValueError: states must lie in 0..4, got 7 at index [1]
    """
    if states is None:
        return slice(None)
    states = np.asarray(states)
    if states.dtype.kind not in "iu" or states.ndim != 1:
        raise TypeError(
            f"states must be a vector of integers (rows of the table), got dtype {states.dtype}, shape {states.shape}"
        )
    outside = (states < 0) | (states >= n_states)
    if outside.any():
        at = int(np.argmax(outside))
        raise ValueError(f"states must lie in 0..{n_states - 1}, got {int(states[at])} at index [{at}]")
    return states


class Tabular(FunctionClass):
    """One score for every state and action: no approximation.

    Parameters
    ----------
    n_states, n_actions : int

    Examples
    --------
    >>> Tabular(2, 3).scores(np.arange(6.0), [1])
    array([[3., 4., 5.]])
    """

    def __init__(self, n_states: int, n_actions: int) -> None:
        self.n_states: int = as_count(n_states, "n_states")
        self.n_actions = as_count(n_actions, "n_actions")
        self.n_parameters = self.n_states * self.n_actions

    def _table(self, theta: np.ndarray) -> np.ndarray:
        return theta.reshape(self.n_states, self.n_actions)

    def scores(self, theta: np.ndarray, states: Any = None) -> np.ndarray:
        return self._table(theta)[row_numbers(states, self.n_states)].copy()

    def jvp(self, theta: np.ndarray, states: Any, tangent: np.ndarray) -> np.ndarray:
        return self.scores(tangent, states)

    def vjp(self, theta: np.ndarray, states: Any, cotangent: np.ndarray) -> np.ndarray:
        return self._sum_by_state(states, cotangent).ravel()

    def _sum_by_state(self, states: Any, values: np.ndarray) -> np.ndarray:
        total = np.zeros((self.n_states, *values.shape[1:]))
        np.add.at(total, row_numbers(states, self.n_states), values)
        return total

    def gram(self, theta: np.ndarray, states: Any, blocks: np.ndarray) -> np.ndarray:
        return np.asarray(linalg.block_diag(*self._sum_by_state(states, blocks)))

    def solve_gram(
        self, theta: np.ndarray, states: Any, blocks: np.ndarray, right: np.ndarray, ridge: float
    ) -> np.ndarray:
        """Return the solution state by state, the pseudo-inverse taking the place of the inverse."""
        matrices = self._sum_by_state(states, blocks) + ridge * np.eye(self.n_actions)
        return np.einsum("sab,sb->sa", np.linalg.pinv(matrices, hermitian=True), self._table(right)).ravel()

    def least_squares(
        self, theta: np.ndarray, states: Any, targets: np.ndarray, weights: np.ndarray, ridge: float
    ) -> np.ndarray:
        total = self._sum_by_state(states, weights)
        # targets are averaged relative to the first one seen: those of a state's single visit come out exactly
        mean = self._sum_by_state(states, weights * (targets - self.scores(theta, states)))
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = np.where(total > 0, mean / total, 0.0)
        fitted = self._table(theta) + shift
        return np.where(total > 0, fitted * total / (total + ridge), fitted).ravel() if ridge > 0 else fitted.ravel()


class LinearFeatures(FunctionClass):
    """Scores ``<phi(s, a), theta>`` with one feature vector for every state-action pair.

    With softmax these are the log-linear policies. For features of states only, use `BlockFeatures`.

    Parameters
    ----------
    features : array_like, shape (S, A, d)

    Examples
    --------
    >>> phi = LinearFeatures(np.eye(4).reshape(2, 2, 4))
    >>> phi.scores(np.array([1.0, 2.0, 3.0, 4.0]))
    array([[1., 2.],
           [3., 4.]])
    >>> phi.vjp(np.zeros(4), [1], np.array([[1.0, -1.0]]))
    array([ 0.,  0.,  1., -1.])
    """

    def __init__(self, features: Any) -> None:
        features = as_float_array(features, "features")
        if features.ndim != 3:
            raise ValueError(
                f"features must have shape (states, actions, dimension), got {features.shape}; features of states "
                "only, with a block of parameters per action, are BlockFeatures(features, n_actions)"
            )
        self.features = frozen(features.astype(np.float64, copy=False))
        self.n_states: int
        self.n_states, self.n_actions, self.n_parameters = self.features.shape

    @classmethod
    def gaussian(
        cls, n_states: int, n_actions: int, dimension: int, seed: int | np.random.Generator = 0
    ) -> LinearFeatures:
        """Return independent Gaussian features of variance 1/dimension: scores blind to the structure of the MDP.

        Examples
        --------
        >>> LinearFeatures.gaussian(50, 4, 20)
        LinearFeatures(n_states=50, n_actions=4, n_parameters=20)
        """
        rng = as_generator(seed, "seed", default=None)
        shape = (as_count(n_states, "n_states"), as_count(n_actions, "n_actions"), as_count(dimension, "dimension"))
        return cls(rng.standard_normal(shape) / np.sqrt(shape[2]))

    def rows(self, states: Any = None) -> np.ndarray:
        """Return the features of `states`, shape (N, A, d)."""
        return self.features if states is None else self.features[row_numbers(states, self.n_states)]

    def scores(self, theta: np.ndarray, states: Any = None) -> np.ndarray:
        return self.rows(states) @ theta

    def jvp(self, theta: np.ndarray, states: Any, tangent: np.ndarray) -> np.ndarray:
        return self.rows(states) @ tangent

    def vjp(self, theta: np.ndarray, states: Any, cotangent: np.ndarray) -> np.ndarray:
        return cotangent.ravel() @ self.rows(states).reshape(-1, self.n_parameters)

    def gram(self, theta: np.ndarray, states: Any, blocks: np.ndarray) -> np.ndarray:
        X = self.rows(states)
        flat = X.reshape(-1, self.n_parameters)
        matrix = flat.T @ (blocks @ X).reshape(-1, self.n_parameters)
        return (matrix + matrix.T) / 2

    def least_squares(
        self, theta: np.ndarray, states: Any, targets: np.ndarray, weights: np.ndarray, ridge: float
    ) -> np.ndarray:
        return weighted_least_squares(
            self.rows(states).reshape(-1, self.n_parameters), targets.ravel(), weights.ravel(), ridge
        )


class BlockFeatures(FunctionClass):
    """Scores ``<psi(s), theta_a>``: features of states, one block of parameters per action.

    Parameters
    ----------
    features : array_like or sparse matrix, shape (S, D)
    n_actions : int

    Attributes
    ----------
    n_parameters : int
        A * D; theta holds the blocks one after the other.

    Examples
    --------
    >>> psi = BlockFeatures([[1.0, 0.0], [1.0, 1.0]], n_actions=2)
    >>> psi.scores(np.array([1.0, 2.0, 0.0, 5.0]))
    array([[1., 0.],
           [3., 5.]])
    """

    def __init__(self, features: Any, n_actions: int) -> None:
        self.n_actions = as_count(n_actions, "n_actions")
        self.features: Any = None
        self.n_states = None
        if features is not None:
            if sp.issparse(features):
                matrix = own_csr(features, "features")
                as_float_array(matrix.data, "features", allow_empty=True)
                matrix.sum_duplicates()
                self.features = freeze_csr(matrix)
            else:
                self.features = frozen(as_float_array(features, "features", ndim=2).astype(np.float64, copy=False))
            self.n_states = self.features.shape[0]
            self.n_features = self.features.shape[1]
            self.n_parameters = self.n_actions * self.n_features

    def features_of(self, coordinates: np.ndarray) -> Any:
        """Return the features of rows of coordinates; only classes that know a feature map have it."""
        raise TypeError(
            f"{type(self).__name__} holds a table of features: states must be integers, got coordinates of shape "
            f"{coordinates.shape}"
        )

    def rows(self, states: Any = None) -> Any:
        """Return the features of `states`, shape (N, D)."""
        if states is not None:
            states = np.asarray(states)
            if states.dtype.kind == "f":
                return self.features_of(states)
        if self.features is None:
            raise TypeError(f"this {type(self).__name__} was made without a table of states: pass coordinates")
        return self.features if states is None else self.features[row_numbers(states, self.features.shape[0])]

    def _blocks(self, theta: np.ndarray) -> np.ndarray:
        return theta.reshape(self.n_actions, self.n_features)

    def scores(self, theta: np.ndarray, states: Any = None) -> np.ndarray:
        return np.asarray(self.rows(states) @ self._blocks(theta).T)

    def jvp(self, theta: np.ndarray, states: Any, tangent: np.ndarray) -> np.ndarray:
        return self.scores(tangent, states)

    def vjp(self, theta: np.ndarray, states: Any, cotangent: np.ndarray) -> np.ndarray:
        return np.asarray(self.rows(states).T @ cotangent).T.ravel()

    def gram(self, theta: np.ndarray, states: Any, blocks: np.ndarray) -> np.ndarray:
        psi = self.rows(states)
        D = self.n_features
        matrix = np.empty((self.n_actions, D, self.n_actions, D))
        for a in range(self.n_actions):
            for b in range(a, self.n_actions):
                weighted = _scale_rows(psi, blocks[:, a, b])
                product = psi.T @ weighted
                matrix[a, :, b, :] = product.toarray() if sp.issparse(product) else product
                matrix[b, :, a, :] = matrix[a, :, b, :]
        return matrix.reshape(self.n_parameters, self.n_parameters)

    def least_squares(
        self, theta: np.ndarray, states: Any, targets: np.ndarray, weights: np.ndarray, ridge: float
    ) -> np.ndarray:
        psi = self.rows(states)
        return np.concatenate(
            [weighted_least_squares(psi, targets[:, a], weights[:, a], ridge) for a in range(self.n_actions)]
        )


def _scale_rows(matrix: Any, factors: np.ndarray) -> Any:
    return sp.diags(factors) @ matrix if sp.issparse(matrix) else matrix * factors[:, None]


def weighted_least_squares(matrix: Any, targets: np.ndarray, weights: np.ndarray, ridge: float) -> np.ndarray:
    """Return the minimiser of ``sum weights (matrix x - targets)^2 + ridge |x|^2``, of least norm if not unique.

    Dense matrices are treated as they are (orthogonal transformations), sparse ones by their normal equations.

    Examples
    --------
    >>> weighted_least_squares(np.array([[1.0, 1.0]]), np.array([2.0]), np.array([1.0]), 0.0)
    array([1., 1.])
    """
    root = np.sqrt(weights)
    scaled, right = _scale_rows(matrix, root), root * targets
    if sp.issparse(scaled):
        gram = (scaled.T @ scaled).toarray()
        gram.flat[:: gram.shape[0] + 1] += ridge
        return np.asarray(np.linalg.lstsq(gram, scaled.T @ right, rcond=None)[0])
    if ridge > 0:
        n = scaled.shape[1]
        scaled, right = np.vstack([scaled, np.sqrt(ridge) * np.eye(n)]), np.concatenate([right, np.zeros(n)])
    return np.asarray(np.linalg.lstsq(scaled, right, rcond=None)[0])
