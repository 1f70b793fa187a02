"""The scikit-learn estimators: scikit-learn's own checks, certified optima, incremental learning, reproducibility."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as ExactLogisticRegression
from sklearn.linear_model import Ridge, SGDClassifier, SGDRegressor
from sklearn.model_selection import GridSearchCV, RepeatedKFold, RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from optlab.stochastic import LogisticRegression, NGNClassifier, NGNRegressor, SoftmaxRegression

CHECKS = [
    (estimator, check)
    for cls in (NGNClassifier, NGNRegressor)
    for estimator, check in estimator_checks_generator(cls(max_iter=100))
    if "array_api" not in str(check)  # needs SCIPY_ARRAY_API in the environment
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # noise as labels, very few passes
@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[f"{type(e).__name__}-{getattr(c, 'func', c).__name__}" for e, c in CHECKS]
)
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


def iris(classes=3):
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    return X[y < classes], y[y < classes]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("cls", [NGNClassifier, NGNRegressor])
@pytest.mark.parametrize("averaging", ["uniform", "schedule-free", "primal"])
def test_scikit_learn_conventions_with_other_averages(cls, averaging):
    for estimator, check in estimator_checks_generator(cls(averaging=averaging, max_iter=30)):
        if "array_api" not in str(check):
            check(estimator)


@pytest.mark.parametrize("averaging", ["uniform", "schedule-free", "primal"])
def test_other_averages_are_near_the_optimum_too(averaging):
    X, y = iris()
    options = {"l2": 0.1, "tol": None, "max_iter": 60, "random_state": 0}
    schedule = "constant" if averaging == "schedule-free" else "decaying"
    model = NGNClassifier(averaging=averaging, schedule=schedule, **options).fit(X, y)
    found = SoftmaxRegression(X, y, l2=0.1, intercept=True).measure(np.vstack([model.coef_.T, model.intercept_[None]]))
    assert found["gap"] < 2e-3
    assert hasattr(model, "partial_fit") == (averaging == "uniform")
    model.set_params(averaging="linear")
    if averaging == "uniform":
        model.partial_fit(X, y)
    else:
        with pytest.raises(ValueError, match="sum of iterates"):
            model.partial_fit(X, y)


@pytest.mark.parametrize("classes", [2, 3])
def test_fit_reaches_the_optimum_within_its_tolerance(classes):
    X, y = iris(classes)
    model = NGNClassifier(l2=0.1, tol=3e-4, max_iter=2000, batch_size=10, random_state=0).fit(X, y)
    assert model.converged_
    problem = (LogisticRegression if classes == 2 else SoftmaxRegression)(X, y, l2=0.1, intercept=True)
    weights = np.vstack([model.coef_.T, model.intercept_[None]])
    found = problem.measure(weights[:, 0] if classes == 2 else weights)
    assert found["gap"] <= found["duality_gap"] <= 1e-5
    assert model.n_iter_ == len(model.history_["iteration"]) - 1
    assert model.score(X, y) == pytest.approx(model.history_["accuracy"][-1])


def test_regressor_is_ridge_regression():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    y = X @ [1.0, -2.0, 0.5] + 3.0 + 0.1 * rng.standard_normal(60)
    model = NGNRegressor(l2=0.01, tol=1e-4, max_iter=5000, batch_size=60).fit(X, y)
    exact = Ridge(alpha=0.01 * 60).fit(X, y)
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-3)
    np.testing.assert_allclose(model.intercept_, exact.intercept_, atol=1e-3)
    assert model.converged_


def test_the_intercept_is_free():
    """As everywhere in scikit-learn; it used to be shrunk by the ridge term."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4))
    y = X @ [1.0, 2.0, 3.0, 4.0] + 0.1 * rng.standard_normal(300)
    near = NGNRegressor(random_state=0).fit(X, y)
    for shift in (1e4, 1e6, -1e9):
        model = NGNRegressor(random_state=0).fit(X, y + shift)
        assert model.score(X, y + shift) > 0.9995  # Ridge: 0.99967
        np.testing.assert_allclose(model.coef_, near.coef_, atol=1e-6)
    labels = rng.random(300) < 0.95
    model = NGNClassifier(l2=1.0, random_state=0).fit(X, labels)
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(labels.mean(), abs=2e-3)
    exact = ExactLogisticRegression(C=1 / 300, tol=1e-8).fit(X, labels)
    assert model.intercept_[0] == pytest.approx(exact.intercept_[0], abs=0.05)
    three = NGNClassifier(l2=1e4, random_state=0).fit(X, np.repeat([0, 1, 2], [30, 90, 180]))
    np.testing.assert_allclose(three.predict_proba(X).mean(axis=0), [0.1, 0.3, 0.6], atol=1e-3)
    assert np.all(NGNClassifier(fit_intercept=False, tol=None, random_state=0).fit(X, labels).intercept_ == 0)


DATA = {"cancer": load_breast_cancer, "digits": load_digits, "wine": load_wine, "diabetes": load_diabetes}


@pytest.mark.parametrize("name", DATA)
def test_defaults_converge_on_standardised_data(name):  # and so without a ConvergenceWarning
    X, y = DATA[name](return_X_y=True)
    model = (NGNRegressor if name == "diabetes" else NGNClassifier)(random_state=0)
    model.fit(StandardScaler().fit_transform(X), y)
    assert model.converged_
    assert model.n_iter_ < 100  # of 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Maximum number of iteration")  # SGDRegressor at targets of a million
@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("name", DATA)
def test_cross_validated_scores_beat_or_tie_those_of_sgd(name, shift):
    if shift and name != "diabetes":
        pytest.skip("labels have no offset")
    X, y = DATA[name](return_X_y=True)
    if name == "diabetes":
        pair = (NGNRegressor(random_state=0), SGDRegressor(random_state=0))
        y, folds = y + shift, RepeatedKFold(n_splits=5, n_repeats=3, random_state=0)
    else:
        pair = (NGNClassifier(random_state=0), SGDClassifier(random_state=0))
        folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=1 if name == "digits" else 3, random_state=0)
    ours, theirs = (cross_val_score(make_pipeline(StandardScaler(), model), X, y, cv=folds) for model in pair)
    difference = ours - theirs
    assert difference.mean() > -2 * difference.std(ddof=1) / np.sqrt(len(difference))
    assert difference.mean() > -0.002


def test_what_does_not_converge_warns():
    X, y = iris()
    with pytest.warns(ConvergenceWarning, match=r"did not converge in max_iter=2 passes.*above tol=0.003"):
        model = NGNClassifier(max_iter=2, random_state=0).fit(X, y)
    assert not model.converged_
    with pytest.warns(ConvergenceWarning, match="NGNRegressor did not converge"):
        NGNRegressor(l2=0.0, tol=0.0, max_iter=2, random_state=0).fit(X, y)


@pytest.mark.parametrize("cls", [NGNClassifier, NGNRegressor])
@pytest.mark.parametrize("convert", [np.asarray, sp.csr_matrix])
def test_data_that_overflow_are_an_error_that_names_their_scale(cls, convert):
    X, y = iris(2)
    for scale in (1e155, 1e200):
        with pytest.raises(
            ValueError, match=r"training overflowed: the features in X are as large as .*scale the data"
        ):
            cls(random_state=0).fit(convert(X * scale), y)
    with pytest.raises(ValueError, match=r"the targets y .*1e\+300"):
        NGNRegressor(random_state=0).fit(convert(X), np.where(y == 0, 1e300, -1e300))


def test_scores_do_not_depend_on_the_units_of_the_targets():
    X, y = DATA["diabetes"](return_X_y=True)
    X = StandardScaler().fit_transform(X)
    one = NGNRegressor(random_state=0).fit(X, y)
    for unit in (1e-6, 1e6):
        other = NGNRegressor(random_state=0).fit(X, unit * y)
        assert other.n_iter_ == one.n_iter_
        np.testing.assert_allclose(other.coef_, unit * one.coef_, rtol=1e-6)
    constant = NGNRegressor(random_state=0).fit(X, np.full(len(y), 0.1))  # nothing to learn: converged at once
    assert constant.converged_
    np.testing.assert_allclose(constant.predict(X), 0.1)


@pytest.mark.parametrize("cls", [NGNClassifier, NGNRegressor])
def test_sparse_input_gives_what_dense_gives(cls):
    X, y = iris()
    X[np.abs(X) < 0.7] = 0.0
    dense = cls(max_iter=5, tol=None, random_state=3).fit(X, y)
    for convert in (sp.csr_matrix, sp.csc_matrix, sp.csr_array):
        sparse = cls(max_iter=5, tol=None, random_state=3).fit(convert(X), y)
        np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(sparse.predict(convert(X)), dense.predict(X))


def test_random_state_decides_the_order_of_the_samples():
    X, y = iris()
    one, same, other = (NGNClassifier(max_iter=2, tol=None, random_state=s).fit(X, y) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.coef_, same.coef_)
    assert not np.array_equal(one.coef_, other.coef_)
    fixed = [NGNClassifier(max_iter=2, tol=None, shuffle=False, random_state=s).fit(X, y).coef_ for s in (1, 2)]
    np.testing.assert_array_equal(*fixed)


def test_partial_fit_in_order_is_fit():
    X, y = iris()
    for cls, more in ((NGNClassifier, {"classes": [0, 1, 2]}), (NGNRegressor, {})):
        for settings in ({"shuffle": False, "batch_size": 10}, {}, {"batch_size": 7, "momentum": 0.9}):
            for data in (X, sp.csr_matrix(X)):
                whole = cls(max_iter=4, tol=None, random_state=0, **settings).fit(data, y)
                parts = cls(random_state=0, **settings)
                for _ in range(4):
                    parts.partial_fit(data, y, **more)
                np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-9)
                np.testing.assert_allclose(parts.intercept_, whole.intercept_, rtol=1e-9)


def test_partial_fit_may_change_its_data_and_settings():
    X, y = iris()
    model = NGNRegressor(random_state=0)
    for data, settings in (
        (sp.csr_matrix(X), {}),
        (X, {"momentum": 0.9}),
        (X[:10].astype(np.float32), {"batch_size": 3}),
        (sp.csr_matrix(X[:1]), {"momentum": 0.0, "l2": 1.0}),
        (X, {"l2": 1e-4}),
    ):
        model.set_params(**settings).partial_fit(data, y[: data.shape[0]])
        assert np.all(np.isfinite(model.coef_))
    assert model.score(X, y) > 0.8
    with pytest.raises(ValueError, match="fit_intercept must not change between calls"):
        model.set_params(fit_intercept=False).partial_fit(X, y)


def test_partial_fit_learns_from_parts_that_lack_a_class():
    X, y = iris()
    X, names = pd.DataFrame(X, columns=["a", "b", "c", "d"]), np.array(["setosa", "versicolor", "virginica"])[y]
    model = NGNClassifier(random_state=0)
    for _ in range(5):
        for rows in (slice(0, 100), slice(50, 150), slice(0, 50), slice(100, 150), slice(0, 150)):
            model.partial_fit(X[rows], names[rows], classes=np.unique(names))
    assert model.score(X, names) > 0.9
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    binary = NGNClassifier(random_state=0).partial_fit(X[:50], names[:50], classes=["setosa", "virginica"])
    assert set(binary.predict(X[:50])) == {"setosa"}


def test_probabilities():
    X, y = iris()
    model = NGNClassifier(random_state=0).fit(X, y)
    P = model.predict_proba(X)
    np.testing.assert_allclose(P.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(model.classes_[P.argmax(axis=1)], model.predict(X))
    binary = NGNClassifier(random_state=0).fit(X, y == 0)
    np.testing.assert_allclose(binary.predict_proba(X)[:, 1], 1 / (1 + np.exp(-binary.decision_function(X))))
    far = binary.predict_log_proba(1e6 * X)  # probabilities underflow, their logarithms do not
    assert np.all(np.isfinite(far))
    assert np.all(far.max(axis=1) <= 0)


def test_warm_start_continues_and_refit_forgets():
    X, y = iris()
    model = NGNClassifier(max_iter=20, tol=None, warm_start=True, batch_size=150, schedule="constant").fit(X, y)
    first = model.history_["objective"]
    model.fit(X, y)
    assert model.history_["objective"][0] == pytest.approx(first[-1])
    model.set_params(warm_start=False).fit(X, y)
    np.testing.assert_array_equal(model.history_["objective"], first)
    with pytest.raises(ValueError, match="warm_start: X has 3 features"):
        model.set_params(warm_start=True).fit(X[:, :3], y)


def test_grid_search_clone_and_pickle():
    X, y = load_breast_cancer(return_X_y=True)
    model = make_pipeline(StandardScaler(), NGNClassifier(max_iter=5, tol=None, random_state=0))
    search = GridSearchCV(model, {"ngnclassifier__sigma": [0.1, 1e3]}, cv=3).fit(X, y)
    assert search.cv_results_["mean_test_score"].min() > 0.8  # stable at any sigma, if not best
    restored = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(restored.predict(X), search.predict(X))
    assert clone(NGNClassifier(sigma=3.0)).sigma == 3.0


def test_digits():
    X, y = load_digits(return_X_y=True)
    model = NGNClassifier(batch_size=64, max_iter=20, tol=None, random_state=0).fit(X[:1200] / 16, y[:1200])
    assert model.score(X[1200:] / 16, y[1200:]) > 0.88
    assert model.coef_.shape == (10, 64)


def test_float32_stays_float32():
    X, y = iris()
    model = NGNClassifier(max_iter=2, tol=None, random_state=0).fit(X.astype(np.float32), y)
    assert model.coef_.dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda X, y: NGNClassifier(sigma=0).fit(X, y), "sigma must be a number above 0"),
        (lambda X, y: NGNClassifier(sigma="big").fit(X, y), "sigma must be one of 'auto'"),
        (lambda X, y: NGNClassifier(fit_intercept="no").fit(X, y), "fit_intercept must be True or False"),
        (lambda X, y: NGNClassifier(schedule="cosine").fit(X, y), "schedule"),
        (lambda X, y: NGNClassifier(max_iter=0).fit(X, y), "max_iter"),
        (lambda X, y: NGNClassifier().fit(X, np.zeros(len(y))), "more than one class"),
        (lambda X, y: NGNClassifier().partial_fit(X, y), "classes must be given in the first call"),
        (lambda X, y: NGNClassifier().partial_fit(X, y, classes=[0, 1]), r"y\[100\] = .*2.* is not one of the classes"),
        (lambda X, y: NGNClassifier().fit(X, y).partial_fit(X, y, classes=[0, 1]), "those of the first call"),
        (lambda X, y: NGNRegressor(batch_size=0).fit(X, y), "batch_size"),
        (lambda X, y: NGNRegressor(l2=-1.0).fit(X, y), "l2"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(*iris())
