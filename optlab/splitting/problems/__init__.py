"""Concrete problems for the splitting methods, with reference solutions and certified gaps.

Small ones whose solution is known exactly: `PoissonOnSimplex`, `ItakuraSaitoOnSimplex`, `SimplexProjection`,
`KullbackLeiblerOnCappedSimplex`, `CappedSimplexProgram`, `BoxQuadraticWithEquality`. Ones with content: `MatrixGame`,
`UnbalancedTransport`, `Lasso`, `SparseLogisticRegression`, `BoxLeastSquares`, `PoissonDeblurring`, `ConvexFeasibility`;
and, for Bregman ADMM, `InequalityLeastSquares`, `HingePenaltyLeastSquares`, `AbsolutePenaltyLeastSquares`.
"""

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
from optlab.splitting.problems.unbalanced import PlanPotentials, UnbalancedPlan, UnbalancedTransport

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
    "PlanPotentials",
    "PoissonDeblurring",
    "PoissonOnSimplex",
    "SimplexProjection",
    "SparseLogisticRegression",
    "UnbalancedPlan",
    "UnbalancedTransport",
]
