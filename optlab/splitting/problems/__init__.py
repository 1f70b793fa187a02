"""Concrete problems for the splitting methods, with reference solutions and certified gaps.

Small ones whose solution is known exactly: `PoissonOnSimplex`, `ItakuraSaitoOnSimplex`, `SimplexProjection`,
`KullbackLeiblerOnCappedSimplex`, `CappedSimplexProgram`, `BoxQuadraticWithEquality`. Ones with content: `MatrixGame`,
`Lasso`, `SparseLogisticRegression`, `BoxLeastSquares`, `PoissonDeblurring`, `ConvexFeasibility`;
and, for Bregman ADMM, `InequalityLeastSquares`, `HingePenaltyLeastSquares`, `AbsolutePenaltyLeastSquares`.
"""

from typing import Any

from optlab.splitting.problems.boxes import BoxLeastSquares, BoxQuadraticWithEquality
from optlab.splitting.problems.constrained import (
    AbsolutePenaltyLeastSquares,
    HingePenaltyLeastSquares,
    InequalityLeastSquares,
)
from optlab.splitting.problems.feasibility import ConvexFeasibility
from optlab.splitting.problems.games import MatrixGame
from optlab.splitting.problems.imaging import PoissonDeblurring
from optlab.splitting.problems.regression import Lasso, SparseLogisticRegression
from optlab.splitting.problems.simplex import (
    CappedSimplexProgram,
    ItakuraSaitoOnSimplex,
    KullbackLeiblerOnCappedSimplex,
    PoissonOnSimplex,
    SimplexProjection,
)

__all__ = [
    "AbsolutePenaltyLeastSquares",
    "BoxLeastSquares",
    "BoxQuadraticWithEquality",
    "CappedSimplexProgram",
    "ConvexFeasibility",
    "HingePenaltyLeastSquares",
    "InequalityLeastSquares",
    "ItakuraSaitoOnSimplex",
    "KullbackLeiblerOnCappedSimplex",
    "Lasso",
    "MatrixGame",
    "PoissonDeblurring",
    "PoissonOnSimplex",
    "SimplexProjection",
    "SparseLogisticRegression",
]

# unbalanced transport has one home; its names of 0.1.0 lead there
_MOVED = {
    "UnbalancedTransport": "UnbalancedOptimalTransport",
    "UnbalancedPlan": "RelaxedPlan",
    "PlanPotentials": "MirrorPlan",
}


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib
    import warnings

    warnings.warn(
        f"optlab.splitting.problems.{name} is optlab.transport.{_MOVED[name]} now", DeprecationWarning, stacklevel=2
    )
    return getattr(importlib.import_module("optlab.transport"), _MOVED[name])  # by name: transport is a floor above
