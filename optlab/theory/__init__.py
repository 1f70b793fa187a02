"""Worst cases: a method's own code, run on symbolic points, bounded over a whole class of problems.

`worst_case` runs ``init`` and ``step`` of a method of the library (or of a script) on points that only know how to be
added, subtracted and scaled, with oracles that are constrained to belong to some problem of a class, and solves the
semidefinite program that finds the worst of them (performance estimation: Drori and Teboulle 2014; Taylor, Hendrickx
and Glineur 2017). PEPit does the modelling. `rate` finds the best linear rate that a quadratic Lyapunov function proves
(AutoLyap). Both packages are the extra ``optlab[theory]`` and are imported when asked for.
"""

from optlab.theory.classes import (
    CocoercivePair,
    ConvexPair,
    MonotoneLipschitz,
    MonotonePair,
    ProblemClass,
    SmoothConvex,
)
from optlab.theory.composite import CompositeConvex
from optlab.theory.rates import Rate, rate
from optlab.theory.relative import RelativelySmooth, RelativelySmoothPair
from optlab.theory.scanning import scanned_step
from optlab.theory.worst import WorstCase, worst_case

__all__ = [
    "CocoercivePair",
    "CompositeConvex",
    "ConvexPair",
    "MonotoneLipschitz",
    "MonotonePair",
    "ProblemClass",
    "Rate",
    "RelativelySmooth",
    "RelativelySmoothPair",
    "SmoothConvex",
    "WorstCase",
    "rate",
    "scanned_step",
    "worst_case",
]
