"""Worst cases: a method's own code, run on symbolic points, bounded over a whole class of problems.

`worst_case` runs ``init`` and ``step`` of a method of the library (or of a script) on points that only know how to be
added, subtracted and scaled, with oracles that are constrained to belong to some problem of a class, and solves the
semidefinite program that finds the worst of them (performance estimation: Drori and Teboulle 2014; Taylor, Hendrickx
and Glineur 2017). PEPit does the modelling; it is the extra ``optlab[theory]`` and is imported when asked for.
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
from optlab.theory.relative import RelativelySmoothPair
from optlab.theory.worst import WorstCase, worst_case

__all__ = [
    "CocoercivePair",
    "CompositeConvex",
    "ConvexPair",
    "MonotoneLipschitz",
    "MonotonePair",
    "ProblemClass",
    "RelativelySmoothPair",
    "SmoothConvex",
    "WorstCase",
    "worst_case",
]
