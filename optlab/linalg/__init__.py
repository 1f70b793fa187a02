"""Linear algebra that all floors share: linear maps with adjoints and certified norms, conjugate gradients.

* `LinearMap`, and `as_linear_map` for arrays, SciPy's sparse matrices and `scipy.sparse.linalg.LinearOperator`;
* `Identity`, `FiniteDifferences`, `Convolution`, `SubsampledFourier`, `Sampling`, and `Blocks` of any of them;
* ``A.T``, ``A @ B``, ``2.0 * A``: adjoints, products and multiples are linear maps too;
* `spectral_norm_bound`: an upper bound of the spectral norm, which is what step sizes need;
* `conjugate_gradients`; `damped_newton`, for smooth convex functions of few variables.
"""

from optlab.linalg.base import Adjoint, Identity, LinearMap, Product, Reshape, Scaled
from optlab.linalg.blocks import Blocks
from optlab.linalg.conjugate_gradients import conjugate_gradients
from optlab.linalg.matrices import DenseMatrix, MatrixFree, SparseMatrix, as_linear_map
from optlab.linalg.newton import NewtonResult, damped_newton, newton_direction
from optlab.linalg.norms import spectral_norm_bound
from optlab.linalg.structured import Convolution, FiniteDifferences, Sampling, SubsampledFourier

__all__ = [
    "Adjoint",
    "Blocks",
    "Convolution",
    "DenseMatrix",
    "FiniteDifferences",
    "Identity",
    "LinearMap",
    "MatrixFree",
    "NewtonResult",
    "Product",
    "Reshape",
    "Sampling",
    "Scaled",
    "SparseMatrix",
    "SubsampledFourier",
    "as_linear_map",
    "conjugate_gradients",
    "damped_newton",
    "newton_direction",
    "spectral_norm_bound",
]
