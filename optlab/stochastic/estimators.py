"""Scikit-learn estimators trained with NGN: `NGNClassifier` and `NGNRegressor`.

Linear models in scikit-learn's conventions (``fit``, ``partial_fit``, ``predict``, ``random_state``, sparse input,
pipelines, grid search), trained by `optlab.stochastic.NGN`: no learning rate to tune, as every `sigma` is stable. Two
classes: logistic regression; more: softmax regression; regression: least squares, all with a ridge term.

The intercept is the weight of a constant feature and is regularised like the others. Sample weights, multi-output
targets and other losses are not here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from optlab.core import solve
from optlab.core.validation import as_integer, as_number, one_of
from optlab.stochastic.data import as_design
from optlab.stochastic.linear import LeastSquares, LogisticRegression
from optlab.stochastic.ngn import NGN
from optlab.stochastic.problem import FiniteSum
from optlab.stochastic.schedules import Decaying
from optlab.stochastic.softmax import SoftmaxRegression


class _NGNLinear(BaseEstimator):
    """What classifier and regressor share: the passes over the data, the intercept, and the history."""

    _rng: np.random.RandomState
    _passes: int

    def __init__(
        self,
        sigma: float = 1.0,
        *,
        l2: float = 1e-4,
        momentum: float = 0.0,
        schedule: str = "decaying",
        batch_size: int = 1,
        max_iter: int = 100,
        tol: float | None = 1e-4,
        fit_intercept: bool = True,
        shuffle: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.sigma = sigma
        self.l2 = l2
        self.momentum = momentum
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # ------------------------------------------------------------------ shared

    def _check_parameters(self) -> None:
        as_number(self.sigma, "sigma", above=0)
        as_number(self.l2, "l2", minimum=0)
        as_number(self.momentum, "momentum", minimum=0, below=1)
        one_of(self.schedule, "schedule", ("decaying", "constant"))
        as_integer(self.batch_size, "batch_size", minimum=1)
        as_integer(self.max_iter, "max_iter", minimum=1)
        if self.tol is not None:
            as_number(self.tol, "tol", minimum=0)

    def _features(self, X: Any) -> Any:
        """Return X with a constant column, if there is an intercept."""
        if not self.fit_intercept:
            return X
        if not isinstance(X, np.ndarray):
            import scipy.sparse as sp

            return sp.hstack([X, sp.csr_matrix(np.ones((X.shape[0], 1), X.dtype))], format="csr")
        return np.hstack([X, np.ones((X.shape[0], 1), X.dtype)])

    def _validated(self, X: Any, y: Any, reset: bool, numeric: bool) -> tuple[Any, np.ndarray]:
        return validate_data(
            self, X, y, reset=reset, accept_sparse="csr", dtype=(np.float64, np.float32), y_numeric=numeric
        )

    def _method(self, steps_per_pass: int, n_samples: int, passed: int) -> NGN:
        sigma: Any = float(self.sigma)
        if self.schedule == "decaying":
            period = float(steps_per_pass)
            sigma = _Shifted(sigma, period, passed) if passed else Decaying(sigma, period=period)
        return NGN(
            sigma=sigma,
            momentum=self.momentum,
            batch_size=min(self.batch_size, n_samples),
            sampling="shuffle" if self.shuffle else "sequential",
        )

    def _run(self, problem: FiniteSum, weights: np.ndarray | None, passes: int, passed: int) -> Any:
        """Run NGN for some passes over the data, from `weights`, as if `passed` passes had been made already."""
        n = problem.n_samples
        steps = -(-n // min(self.batch_size, n))
        rng = check_random_state(self.random_state) if passed == 0 else self._rng
        self._rng = rng
        stop = None if self.tol is None else {self._stopping_metric: float(self.tol)}
        result = solve(
            problem,
            self._method(steps, n, passed * steps),
            x0=weights,
            max_iter=passes * steps,
            tol=stop if passes > 1 else None,
            record=steps,
            progress=False,
            on_interrupt="raise",
            seed=int(rng.randint(np.iinfo(np.int32).max)),
        )
        self.n_iter_ = max(1, -(-result.n_iter // steps))
        return result

    @property
    def _stopping_metric(self) -> str:
        return "duality_gap" if self.l2 > 0 else "gradient_norm"

    def _split(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients and intercept."""
        if self.fit_intercept:
            return weights[:-1], weights[-1]
        return weights, np.zeros(weights.shape[1:], weights.dtype)


class _Shifted:
    """A decaying schedule that goes on after `passed` steps."""

    def __init__(self, initial: float, period: float, passed: int) -> None:
        self.schedule, self.passed = Decaying(initial, period=period), passed

    def __call__(self, k: int) -> float:
        return float(self.schedule(k + self.passed))


_PARAMETERS = """sigma : float, default 1.0
        Largest step of NGN. Any value is stable; 1 suits features of unit scale.
    l2 : float, default 1e-4
        Ridge weight of ``(1/N) sum loss + (l2/2) ||w||^2``, the intercept included.
    momentum : float, default 0.0
    schedule : {"decaying", "constant"}, default "decaying"
        Whether sigma falls like ``1 / sqrt(pass)``, which converges to the optimum.
    batch_size : int, default 1
        At most the number of samples is used.
    max_iter : int, default 100
        Passes over the data.
    tol : float or None, default 1e-4
        `fit` stops when the duality gap (``l2 > 0``, a bound of the suboptimality) or else the gradient norm is at most
        this after a pass.
    fit_intercept : bool, default True
    shuffle : bool, default True
        Whether every pass takes the samples in a new random order.
    warm_start : bool, default False
        Whether `fit` starts from the last fit's weights.
    random_state : int, RandomState instance or None, default None
        Decides the order of the samples."""

_ATTRIBUTES = """n_features_in_ : int
    feature_names_in_ : ndarray
        Only if X had string column names.
    n_iter_ : int
        Passes made by the last call.
    history_ : optlab.History
        Metrics after every pass: objective, gradient norm, duality gap, accuracy, as far as they apply.
    converged_ : bool
        Whether the tolerance was reached."""


class NGNClassifier(ClassifierMixin, _NGNLinear):
    __doc__ = f"""Logistic or softmax regression trained with the non-negative Gauss-Newton step size.

    Parameters
    ----------
    {_PARAMETERS}

    Attributes
    ----------
    classes_ : ndarray
    coef_ : ndarray, shape (1, d) for two classes, else (n_classes, d)
    intercept_ : ndarray, shape (1,) or (n_classes,)
    {_ATTRIBUTES}

    References
    ----------
    Orvieto and Xiao, arXiv 2407.04358.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from optlab.stochastic import NGNClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), NGNClassifier(random_state=0)).fit(X, y)
    >>> bool(model.score(X, y) > 0.95), model.predict_proba(X[:2]).shape
    (True, (2, 3))
    """

    reference = "orvieto2024adaptive"
    classes_: np.ndarray

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = True
        return tags

    def fit(self, X: Any, y: Any) -> NGNClassifier:
        """Train on X, shape (N, d), dense or sparse, and the labels y."""
        self._check_parameters()
        X, y = self._validated(X, y, reset=True, numeric=False)
        check_classification_targets(y)
        classes = np.unique(y)
        weights = None
        if self.warm_start and hasattr(self, "coef_") and np.array_equal(classes, self.classes_):
            weights = self._weights()
        self.classes_ = classes
        problem = self._problem(X, y)
        if weights is not None and weights.shape != problem.shape:
            raise ValueError(f"warm_start: X has {X.shape[1]} features, the last fit had {self.coef_.shape[1]}")
        result = self._run(problem, weights, self.max_iter, 0)
        self._passes = self.n_iter_
        return self._keep(result)

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> NGNClassifier:
        """Make one pass over X and y, going on from the present weights.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (N, d)
        y : array_like, shape (N,)
        classes : array_like, optional
            All classes there will be; required in the first call.
        """
        self._check_parameters()
        first = not hasattr(self, "coef_")
        X, y = self._validated(X, y, reset=first, numeric=False)
        check_classification_targets(y)
        if first:
            if classes is None:
                raise ValueError("classes must be given in the first call of partial_fit")
            self.classes_ = np.unique(classes)
            self._passes = 0
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes must be those of the first call, {self.classes_}, got {np.unique(classes)}")
        result = self._run(self._problem(X, y), None if first else self._weights(), 1, self._passes)
        self._passes += 1
        return self._keep(result)

    def _problem(self, X: Any, y: np.ndarray) -> FiniteSum:
        if len(self.classes_) < 2:
            raise ValueError(f"y must have more than one class, got only {self.classes_.tolist()}")
        numbers = np.searchsorted(self.classes_, y)
        numbers = np.minimum(numbers, len(self.classes_) - 1)
        unknown = self.classes_[numbers] != y
        if np.any(unknown):
            at = int(np.argmax(unknown))
            raise ValueError(f"y[{at}] = {y[at]!r} is not one of the classes {self.classes_.tolist()}")
        features = self._features(X)
        if len(self.classes_) == 2:
            return LogisticRegression(features, 2.0 * numbers - 1.0, l2=self.l2, f_star=None)
        return _Softmax(features, numbers, len(self.classes_), self.l2)

    def _keep(self, result: Any) -> NGNClassifier:
        coefficients, intercept = self._split(result.solution)
        self.coef_ = np.atleast_2d(coefficients.T).copy()
        self.intercept_ = np.atleast_1d(intercept).copy()
        self.history_, self.converged_ = result.history, bool(result.success)
        return self

    def _weights(self) -> np.ndarray:
        parts = [self.coef_.T, self.intercept_[None]] if self.fit_intercept else [self.coef_.T]
        weights = np.vstack(parts)
        return weights[:, 0] if len(self.classes_) == 2 else weights

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score of the second class, shape (N,), or of every class, shape (N, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=(np.float64, np.float32))
        scores = np.asarray(X @ self.coef_.T) + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of the class probabilities, exact where a probability underflows."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return np.column_stack([-np.logaddexp(0.0, scores), -np.logaddexp(0.0, -scores)])
        shifted = scores - scores.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the class probabilities, shape (N, n_classes), in the order of ``classes_``."""
        return np.exp(self.predict_log_proba(X))


class _Softmax(SoftmaxRegression):
    """Softmax regression on labels that are numbers of classes already, of which some may not occur."""

    def __init__(self, A: Any, numbers: np.ndarray, n_classes: int, l2: float) -> None:
        self.A, self.l2 = as_design(A), float(l2)
        self.classes, self.labels = np.arange(n_classes), np.asarray(numbers, np.int64)
        self._solves = False
        FiniteSum.__init__(self, self.A.shape[0], (self.A.shape[1], n_classes), dtype=self.A.dtype)
        if self.l2 > 0:
            self.primary_metric = "duality_gap"


class NGNRegressor(RegressorMixin, _NGNLinear):
    __doc__ = f"""Ridge regression trained with the non-negative Gauss-Newton step size.

    Parameters
    ----------
    {_PARAMETERS}

    Attributes
    ----------
    coef_ : ndarray, shape (d,)
    intercept_ : ndarray, shape (1,)
    {_ATTRIBUTES}

    References
    ----------
    Orvieto and Xiao, arXiv 2407.04358.

    Examples
    --------
    >>> from optlab.stochastic import NGNRegressor
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> model = NGNRegressor(l2=0.0, random_state=0).fit(X, 2.0 * X[:, 0] + 1.0)
    >>> model.predict([[4.0]]).round(2)
    array([9.])
    """

    reference = "orvieto2024adaptive"

    def fit(self, X: Any, y: Any) -> NGNRegressor:
        """Train on X, shape (N, d), dense or sparse, and the targets y."""
        self._check_parameters()
        X, y = self._validated(X, y, reset=True, numeric=True)
        weights = self._weights() if self.warm_start and hasattr(self, "coef_") else None
        problem = LeastSquares(self._features(X), y, l2=self.l2, f_star=None)
        if weights is not None and weights.shape != problem.shape:
            raise ValueError(f"warm_start: X has {X.shape[1]} features, the last fit had {self.coef_.size}")
        result = self._run(problem, weights, self.max_iter, 0)
        self._passes = self.n_iter_
        return self._keep(result)

    def partial_fit(self, X: Any, y: Any) -> NGNRegressor:
        """Make one pass over X and y, going on from the present weights."""
        self._check_parameters()
        first = not hasattr(self, "coef_")
        X, y = self._validated(X, y, reset=first, numeric=True)
        if first:
            self._passes = 0
        problem = LeastSquares(self._features(X), y, l2=self.l2, f_star=None)
        result = self._run(problem, None if first else self._weights(), 1, self._passes)
        self._passes += 1
        return self._keep(result)

    def _keep(self, result: Any) -> NGNRegressor:
        coefficients, intercept = self._split(result.solution)
        self.coef_, self.intercept_ = coefficients.copy(), np.atleast_1d(intercept).copy()
        self.history_, self.converged_ = result.history, bool(result.success)
        return self

    def _weights(self) -> np.ndarray:
        return np.concatenate([self.coef_, self.intercept_]) if self.fit_intercept else self.coef_

    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions, shape (N,)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, accept_sparse="csr", dtype=(np.float64, np.float32))
        return np.asarray(X @ self.coef_) + self.intercept_
