"""Scikit-learn estimators trained with NGN: `NGNClassifier` and `NGNRegressor`.

Linear models in scikit-learn's conventions (``fit``, ``partial_fit``, ``predict``, ``random_state``, sparse input,
pipelines, grid search), trained by `optlab.stochastic.NGN` with averaged iterates. Two classes: logistic regression;
more: softmax regression; regression: least squares, all with a ridge term that the intercept is free of.

What they do so that nothing need be tuned:

* Training starts from the best constant prediction: the mean of the targets, which are centred by it, or the logarithms
  of the class frequencies. So an intercept of a million costs no step.
* ``sigma="auto"`` is ``1 / L`` with L the mean smoothness constant of the batches' losses: the step at which an average
  batch's own curvature halves the step (``gamma >= sigma / (1 + sigma L) = sigma / 2``), between gradient descent (far
  smaller) and Polyak's step (far larger). For single samples L is the mean of ``c ||a_i||^2 + l2``; batches of b out of
  N samples interpolate between that and the constant L_f of the whole mean, ``L = ((N - b) L_1 + N (b - 1) L_f) /
  (b (N - 1))`` (expected smoothness: Gower et al., arXiv 1901.09401, with the mean in place of the largest constant).
* Sigma falls like ``pass^(-2/3)`` and the weights are the average of the iterates with weights 1, 2, 3, ...: averages
  ask for powers between 1/2 and 1 (Bach and Moulines, NeurIPS 2011), and later iterates are better.
* `tol` is relative: the norm of the objective's gradient, a mean over the samples, over the root mean square of the
  samples' own gradient norms at the best constant prediction. It changes neither with the units of targets and features
  nor where there is little to learn (the gradient at the start is then itself near 0), and below ``1 / sqrt(N)`` the
  gradient is smaller than the chance in the sample. It measures stationarity; a certified bound of the suboptimality is
  the column ``duality_gap`` of ``history_``.

Sample weights, multi-output targets and other losses are not here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from optlab.compiled.steps import AVERAGE_WEIGHT
from optlab.core import Status, solve
from optlab.core.validation import as_flag, as_integer, as_number, one_of
from optlab.stochastic.averaging import Averaged
from optlab.stochastic.kernels.data import as_design, check_sparse, is_sparse
from optlab.stochastic.kernels.losses import SMOOTHNESS
from optlab.stochastic.loop.method import StochasticState
from optlab.stochastic.loop.schedules import Decaying
from optlab.stochastic.methods.ngn import NGN
from optlab.stochastic.problems.certificate import rounding
from optlab.stochastic.problems.finite_sum import FiniteSum
from optlab.stochastic.problems.linear import LeastSquares, LogisticRegression
from optlab.stochastic.problems.softmax import SoftmaxRegression
from optlab.wrappers import PrimalAveraging, ScheduleFree

_AVERAGINGS: dict[str, Any] = {
    "linear": lambda method: Averaged(method, weights="linear"),
    "uniform": Averaged,
    "schedule-free": ScheduleFree,
    "primal": PrimalAveraging,
}


def _sums_iterates(estimator: Any) -> bool:
    """Whether training can go on from a sum of iterates, on other data."""
    return not isinstance(estimator.averaging, str) or estimator.averaging in ("linear", "uniform")


class _NGNLinear(BaseEstimator):
    """What classifier and regressor share: the passes over the data, the intercept, and the history."""

    _passes: int
    _state: StochasticState  # where training stands: the last iterate, and the sum of all
    _smoothness: tuple[float, float]  # of the data seen: the sum of the constants L, and over how many samples
    _offset: float = 0.0  # by which targets are centred

    def __init__(
        self,
        sigma: float | str = "auto",
        *,
        l2: float = 1e-4,
        momentum: float = 0.0,
        schedule: str = "decaying",
        averaging: str = "linear",
        batch_size: int = 1,
        max_iter: int = 1000,
        tol: float | None = 3e-3,
        fit_intercept: bool = True,
        shuffle: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.sigma = sigma
        self.l2 = l2
        self.momentum = momentum
        self.schedule = schedule
        self.averaging = averaging
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
        if isinstance(self.sigma, str):
            one_of(self.sigma, "sigma", ("auto",))
        else:
            as_number(self.sigma, "sigma", above=0)
        as_number(self.l2, "l2", minimum=0)
        as_number(self.momentum, "momentum", minimum=0, below=1)
        one_of(self.schedule, "schedule", ("decaying", "constant"))
        one_of(self.averaging, "averaging", tuple(_AVERAGINGS))
        as_integer(self.batch_size, "batch_size", minimum=1)
        as_integer(self.max_iter, "max_iter", minimum=1)
        if self.tol is not None:
            as_number(self.tol, "tol", minimum=0)
        for name in ("fit_intercept", "shuffle", "warm_start"):
            as_flag(getattr(self, name), name)

    def _validated(self, X: Any, y: Any, reset: bool, numeric: bool) -> tuple[Any, np.ndarray]:
        if is_sparse(X):
            check_sparse(X, "X")
        return validate_data(
            self, X, y, reset=reset, accept_sparse="csr", dtype=(np.float64, np.float32), y_numeric=numeric
        )

    def _to_predict(self, X: Any) -> Any:
        check_is_fitted(self)
        if is_sparse(X):
            check_sparse(X, "X")
        return validate_data(self, X, reset=False, accept_sparse="csr", dtype=(np.float64, np.float32))

    def _method(self, problem: Any, start: StochasticState | None) -> Any:
        """Return NGN for a problem, going on from `start` as the `_passes` passes made so far left it."""
        n = problem.n_samples
        batch = min(int(self.batch_size), n)
        total, seen = (0.0, 0.0) if start is None else self._smoothness
        self._smoothness = total + n * _batch_smoothness(problem, batch), seen + n
        total, seen = self._smoothness
        if not np.isfinite(total):
            raise ValueError(_overflow(problem))
        sigma: Any = self.sigma
        if isinstance(sigma, str):
            sigma = seen / total if total > 0 else 1.0
        if self.schedule == "decaying":
            period = -(-n // batch)
            offset = 0 if start is None else self._passes * period - start.k
            sigma = Decaying(float(sigma), power=2 / 3, period=period, offset=offset)
        method = NGN(
            sigma=sigma,
            momentum=self.momentum,
            batch_size=batch,
            sampling="shuffle" if self.shuffle else "sequential",
        )
        if start is None:
            return _AVERAGINGS[self.averaging](method)
        return _Continued(method, weights=self.averaging, state=start)

    def _state_to_continue(self, first: bool) -> StochasticState | None:
        """Return where `partial_fit` goes on, None in its first call."""
        if not (first or isinstance(self._state, StochasticState)):
            raise ValueError(
                "partial_fit goes on with a sum of iterates, which the last fit did not keep: averaging was neither "
                "'linear' nor 'uniform' then"
            )
        return None if first else self._state

    def _run(self, problem: Any, weights: np.ndarray | None, passes: int, start: StochasticState | None = None) -> Any:
        """Run NGN for some passes over the data, from `weights`, or from where `start` left off."""
        method = self._method(problem, start)
        steps = -(-problem.n_samples // method.method.batch_size)
        constant = self._constant(problem)
        stop = None
        if self.tol is not None and passes > 1:
            with np.errstate(over="ignore", invalid="ignore"):
                slopes = np.abs(problem.loss_and_slope(problem.margins(constant))[1])
                norms = np.sum(slopes.reshape(len(slopes), -1) ** 2, axis=1) * (problem.row_norms + problem.intercept)
                scale = float(np.sqrt(np.mean(norms)))
            if not np.isfinite(scale):
                raise ValueError(_overflow(problem))
            stop = {
                "gradient_norm": max(float(self.tol) * scale, rounding(problem, slopes + abs(self._offset), constant))
            }
        result = solve(
            problem,
            method,
            x0=constant if weights is None else weights,
            max_iter=passes * steps,
            tol=stop,
            record=steps,
            progress=False,
            on_interrupt="raise",
            seed=int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)),
        )
        if result.status is Status.DIVERGED:
            raise ValueError(f"{_overflow(problem)} ({result.message})")
        self.n_iter_ = max(1, -(-result.n_iter // steps))
        self._state = result.state
        self.history_, self.converged_ = result.history, bool(result.success)
        if stop is not None and not result.success:
            ratio = result.metrics["gradient_norm"] / scale if scale > 0 else np.inf
            warnings.warn(
                f"{type(self).__name__} did not converge in max_iter={self.max_iter} passes: the gradient norm is "
                f"{ratio:.2g} of a typical sample's, above tol={self.tol:g}. Scale the features (StandardScaler), or "
                "raise max_iter, l2 or tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        return result

    def _constant(self, problem: Any) -> np.ndarray:
        """Return the weights of the best constant prediction."""
        return np.zeros(problem.shape, problem.dtype)

    def _shape_of_last_fit(self, problem: FiniteSum, weights: np.ndarray) -> None:
        if weights.shape != problem.shape:
            features = self.n_features_in_
            raise ValueError(
                f"warm_start: X has {features} features and fit_intercept={self.fit_intercept}, which does not fit the "
                f"last fit's weights"
            )

    def _split(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients and intercept."""
        if self.fit_intercept:
            return weights[:-1], weights[-1]
        return weights, np.zeros(weights.shape[1:], weights.dtype)


@dataclass(frozen=True)
class _Continued(Averaged):
    """Goes on from a state of an earlier run on other data."""

    state: Any = None

    def init(self, problem: FiniteSum, x0: Any, rng: np.random.Generator) -> StochasticState:
        old = self.state
        x = self.method.point(old)
        if x.size != problem.size:
            raise ValueError("fit_intercept must not change between calls of partial_fit")
        new = super().init(problem, x.reshape(problem.shape), rng)
        new.scalars[AVERAGE_WEIGHT] = old.scalars[AVERAGE_WEIGHT]
        same = old.permutation.size == problem.n_samples
        return replace(
            new,
            k=old.k,
            rng=old.rng,
            permutation=old.permutation if same else new.permutation,
            position=old.position if same else 0,
            vectors=old.vectors.astype(problem.dtype) if old.vectors.shape == new.vectors.shape else new.vectors,
            average=self.method.total(old),
        )


def _batch_smoothness(problem: Any, batch: int) -> float:
    """Return the expected smoothness constant of the mean loss of a batch; see the top of this file."""
    with np.errstate(over="ignore"):
        single = float(np.mean(problem.smoothness))
    n = problem.n_samples
    if batch == 1 or not np.isfinite(single):
        return single
    factor = SMOOTHNESS[problem.code] if hasattr(problem, "code") else 0.5
    one = (problem.A.shape[1],)
    vector, bias, largest = np.ones(one), float(problem.intercept), 0.0
    for _ in range(15):  # power iteration: largest eigenvalue of the mean of (a, 1) (a, 1)^T
        size = float(np.sqrt(vector @ vector + bias * bias))
        if size == 0.0:
            break
        z = problem.A @ (vector / size) + bias / size
        largest = float(z @ z) / n
        vector, bias = np.asarray(problem.A.T @ z, np.float64) / n, float(np.mean(z)) * problem.intercept
    whole = factor * largest + problem.l2
    return ((n - batch) * single + n * (batch - 1) * whole) / (batch * (n - 1))


def _overflow(problem: Any) -> str:
    data = problem.A.data if is_sparse(problem.A) else problem.A
    largest = float(np.abs(data).max(initial=0.0))
    text = f"training overflowed: the features in X are as large as {largest:.3g}"
    if isinstance(problem, LeastSquares):
        text += f", the targets y {float(np.abs(problem.targets).max()):.3g}"
    return text + f" in {problem.dtype}; scale the data, by StandardScaler for example, or choose a smaller sigma"


_PARAMETERS = """sigma : float or "auto", default "auto"
        Largest step of NGN; "auto": one over the mean smoothness constant of the batches' losses. Larger ones
        do not make the iterates blow up, but need more passes, and far larger ones far more.
    l2 : float, default 1e-4
        Ridge weight of ``(1/N) sum loss + (l2/2) ||w||^2``; the intercept is free of it.
    momentum : float, default 0.0
    schedule : {"decaying", "constant"}, default "decaying"
        Whether sigma falls like ``pass^(-2/3)``, which converges to the optimum.
    averaging : {"linear", "uniform", "schedule-free", "primal"}, default "linear"
        What the weights are: averages of the iterates, the later ones weighing more, or all alike; the average of
        `optlab.wrappers.ScheduleFree` (made for ``schedule="constant"``) or of `optlab.wrappers.PrimalAveraging` with
        its defaults, near which the gradients are taken. With the last two there is no `partial_fit`.
    batch_size : int, default 1
        At most the number of samples is used.
    max_iter : int, default 1000
        Passes over the data.
    tol : float or None, default 3e-3
        `fit` stops when, after a pass, the norm of the objective's gradient is at most `tol` times the root mean square
        of the samples' gradient norms at the best constant prediction (zero weights, best intercept). If that does not
        happen within `max_iter` passes, a ``ConvergenceWarning`` says so. None: make all passes.
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
        if weights is not None:
            self._shape_of_last_fit(problem, weights)
        result = self._run(problem, weights, int(self.max_iter))
        self._passes = self.n_iter_
        return self._keep(result)

    @available_if(_sums_iterates)
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
        result = self._run(self._problem(X, y), None, 1, self._state_to_continue(first))
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
        if len(self.classes_) == 2:
            return LogisticRegression(X, 2.0 * numbers - 1.0, self.l2, f_star=None, intercept=self.fit_intercept)
        return _Softmax(X, numbers, len(self.classes_), self.l2, self.fit_intercept)

    def _constant(self, problem: Any) -> np.ndarray:
        weights = super()._constant(problem)
        if self.fit_intercept:
            if isinstance(problem, LogisticRegression):
                counts = np.array([np.sum(problem.targets < 0), np.sum(problem.targets > 0)], float)
            else:
                counts = np.bincount(problem.labels, minlength=len(problem.classes)).astype(float)
            logs = np.log(counts + (counts.min() == 0))  # a class that is not there yet counts as one sample
            weights[-1] = logs[1] - logs[0] if len(counts) == 2 else logs - logs.mean()
        return weights

    def _keep(self, result: Any) -> NGNClassifier:
        coefficients, intercept = self._split(result.solution)
        self.coef_ = np.atleast_2d(coefficients.T).copy()
        self.intercept_ = np.atleast_1d(intercept).copy()
        return self

    def _weights(self) -> np.ndarray:
        parts = [self.coef_.T, self.intercept_[None]] if self.fit_intercept else [self.coef_.T]
        weights = np.vstack(parts)
        return weights[:, 0] if len(self.classes_) == 2 else weights

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score of the second class, shape (N,), or of every class, shape (N, n_classes)."""
        X = self._to_predict(X)
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

    def __init__(self, A: Any, numbers: np.ndarray, n_classes: int, l2: float, intercept: bool) -> None:
        self._setup(as_design(A), np.arange(n_classes), np.asarray(numbers, np.int64), l2, None, intercept)


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
    >>> model.predict([[4.0]]).round(1)
    array([9.])
    """

    reference = "orvieto2024adaptive"

    def fit(self, X: Any, y: Any) -> NGNRegressor:
        """Train on X, shape (N, d), dense or sparse, and the targets y."""
        self._check_parameters()
        X, y = self._validated(X, y, reset=True, numeric=True)
        before = (self.coef_, self.intercept_) if self.warm_start and hasattr(self, "coef_") else None
        problem = self._problem(X, y, True)
        weights = None
        if before is not None:
            weights = np.append(before[0], before[1] - self._offset) if self.fit_intercept else before[0]
            self._shape_of_last_fit(problem, weights)
        result = self._run(problem, weights, int(self.max_iter))
        self._passes = self.n_iter_
        return self._keep(result)

    @available_if(_sums_iterates)
    def partial_fit(self, X: Any, y: Any) -> NGNRegressor:
        """Make one pass over X and y, going on from the present weights."""
        self._check_parameters()
        first = not hasattr(self, "coef_")
        X, y = self._validated(X, y, reset=first, numeric=True)
        if first:
            self._passes = 0
        result = self._run(self._problem(X, y, first), None, 1, self._state_to_continue(first))
        self._passes += 1
        return self._keep(result)

    def _problem(self, X: Any, y: np.ndarray, first: bool) -> LeastSquares:
        """Return the problem with centred targets: the intercept then is a small number, whatever the targets' size."""
        y = np.asarray(y, np.float64)
        if first:
            self._offset = float(np.mean(y)) if self.fit_intercept else 0.0
        if not np.isfinite(self._offset):
            raise ValueError(f"training overflowed: the targets y are as large as {np.abs(y).max():.3g}; scale them")
        return LeastSquares(X, y - self._offset, self.l2, f_star=None, intercept=self.fit_intercept)

    def _keep(self, result: Any) -> NGNRegressor:
        coefficients, intercept = self._split(result.solution)
        self.coef_, self.intercept_ = coefficients.copy(), np.atleast_1d(np.float64(intercept) + self._offset)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions, shape (N,)."""
        X = self._to_predict(X)
        return np.asarray(X @ self.coef_) + self.intercept_
