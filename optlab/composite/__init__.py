"""Problems ``min sum_i f_i(A_i x)``."""

from optlab.composite.inclusion import MonotoneInclusion, SplitPoint
from optlab.composite.infeasibility import Certificate
from optlab.composite.problem import CompositeProblem

__all__ = ["Certificate", "CompositeProblem", "MonotoneInclusion", "SplitPoint"]
