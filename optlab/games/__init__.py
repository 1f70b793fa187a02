"""Games and monotone inclusions: problems with certificates, and methods that only evaluate an operator.

    from optlab.games import MatrixGame, OptimisticGradient
    result = optlab.solve(MatrixGame(payoff), OptimisticGradient(), tol=1e-6)
    result.solution.x, result.solution.y, result.metrics["gap"]

Worst cases of the same methods: ``optlab.theory.worst_case(Extragradient(), MonotoneLipschitz(1.0), k=3,
metric="residual")``.
"""

from optlab.games.methods.descent_ascent import GradientDescentAscent
from optlab.games.methods.extragradient import Extragradient
from optlab.games.methods.fast_extragradient import FastExtragradient
from optlab.games.methods.graal import GRAAL
from optlab.games.methods.masha import MASHA
from optlab.games.methods.nash import EGPO, MagneticMirrorDescent, NashMirrorDescent, NashMirrorProx
from optlab.games.methods.optimistic import ForwardReflectedBackward, OptimisticGradient
from optlab.games.methods.optimistic_mirror_descent import OptimisticMirrorDescent
from optlab.games.methods.primal_dual import PrimalDualGame
from optlab.games.methods.regret_matching import RegretMatchingPlus
from optlab.games.methods.variance_reduced_halpern import VarianceReducedHalpern
from optlab.games.problems.finite_sum import FiniteSumInclusion
from optlab.games.problems.matrix_game import MatrixGame, Strategies
from optlab.games.problems.online import OnlineStream
from optlab.games.problems.preference_game import PreferenceGame
from optlab.games.problems.saddle import SaddlePoint

__all__ = [
    "EGPO",
    "GRAAL",
    "MASHA",
    "Extragradient",
    "FastExtragradient",
    "FiniteSumInclusion",
    "ForwardReflectedBackward",
    "GradientDescentAscent",
    "MagneticMirrorDescent",
    "MatrixGame",
    "NashMirrorDescent",
    "NashMirrorProx",
    "OnlineStream",
    "OptimisticGradient",
    "OptimisticMirrorDescent",
    "PreferenceGame",
    "PrimalDualGame",
    "RegretMatchingPlus",
    "SaddlePoint",
    "Strategies",
    "VarianceReducedHalpern",
]
