"""Regression and classification tables that come with scikit-learn, standardised. Nothing is downloaded.

* ``diabetes``: 442 patients, 10 features, disease progression after a year (Efron, Hastie, Johnstone, Tibshirani 2004,
  "Least angle regression").
* ``breast_cancer``: 569 tumours, 30 features, malignant or benign (Street, Wolberg, Mangasarian 1993, UCI).
"""

from __future__ import annotations

import numpy as np

from optlab.core.validation import as_float_array


def standardize(features: np.ndarray) -> np.ndarray:
    """Return the columns of `features` with mean 0 and variance 1, as a new array; a constant column becomes 0.

    Raises
    ------
    TypeError, ValueError
        For anything but finite numbers; the message names the index.

    Examples
    --------
    >>> standardize(np.array([[1.0, 5.0], [3.0, 5.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    features = as_float_array(features, "features", ndim=(1, 2))
    centred = features - features.mean(axis=0)
    scale = centred.std(axis=0)
    # rounding leaves a constant column at 1e-16 of its size
    constant = scale <= 1e-14 * np.abs(features).max(axis=0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, scale))


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Return the diabetes regression data, features and target standardised.

    Returns
    -------
    A : ndarray, shape (442, 10)
        Age, sex, body mass index, blood pressure and six blood serum values.
    b : ndarray, shape (442,)
        Disease progression after one year.

    Examples
    --------
    >>> A, b = diabetes()
    >>> A.shape, round(float(b @ b), 9)
    ((442, 10), 442.0)
    """
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    return standardize(data.data.astype(np.float64)), standardize(data.target.astype(np.float64)[:, None])[:, 0]


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """Return the breast cancer classification data, features standardised.

    Returns
    -------
    A : ndarray, shape (569, 30)
        Ten properties of the cell nuclei of each tumour: mean, standard error and worst value.
    y : ndarray, shape (569,)
        -1 for a malignant tumour, 1 for a benign one.

    Examples
    --------
    >>> A, y = breast_cancer()
    >>> A.shape, int((y > 0).sum())
    ((569, 30), 357)
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return standardize(data.data.astype(np.float64)), np.where(data.target == 1, 1.0, -1.0)
