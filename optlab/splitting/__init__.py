"""Splitting methods in Bregman geometry: monotone inclusions, composite and linearly constrained problems.

Methods: `BregmanDouglasRachford`, `BregmanPeacemanRachford`, accelerated `HalpernDouglasRachford` and
`AndersonDouglasRachford`; `BregmanADMM`, `AlternatingExponentialMultipliers`,
`ExponentialMultipliers`. With the `SquaredEuclidean` kernel they are the classical methods of these names.
Problems: `MonotoneInclusion`, `CompositeProblem`, `LinearlyConstrained`, or a class of your own that satisfies
`SplitProblem` or `TwoBlockProblem`.
"""

from optlab.composite.inclusion import MonotoneInclusion, SplitPoint
from optlab.composite.infeasibility import Certificate
from optlab.composite.problem import CompositeProblem
from optlab.schedules import Constant, Geometric
from optlab.splitting.admm import AlternatingExponentialMultipliers, BregmanADMM, MultiplierState
from optlab.splitting.anderson import AndersonDouglasRachford
from optlab.splitting.constrained import BlockSolution, LinearlyConstrained
from optlab.splitting.douglas_rachford import BregmanDouglasRachford, SplittingState
from optlab.splitting.halpern import HalpernDouglasRachford
from optlab.splitting.line_search import DouglasRachfordLineSearch
from optlab.splitting.multipliers import ExponentialMultipliers
from optlab.splitting.peaceman_rachford import BregmanPeacemanRachford
from optlab.splitting.protocols import SplitProblem, TwoBlockProblem
from optlab.wrappers.anderson import AndersonState as AcceleratedState
from optlab.wrappers.halpern import HalpernState

__all__ = [
    "AcceleratedState",
    "AlternatingExponentialMultipliers",
    "AndersonDouglasRachford",
    "BlockSolution",
    "BregmanADMM",
    "BregmanDouglasRachford",
    "BregmanPeacemanRachford",
    "Certificate",
    "CompositeProblem",
    "Constant",
    "DouglasRachfordLineSearch",
    "ExponentialMultipliers",
    "Geometric",
    "HalpernDouglasRachford",
    "HalpernState",
    "LinearlyConstrained",
    "MonotoneInclusion",
    "MultiplierState",
    "SplitPoint",
    "SplitProblem",
    "SplittingState",
    "TwoBlockProblem",
]
