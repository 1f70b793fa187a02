"""Compiled loops, for Numba: functions compiled on first use, rules, and the prologue and epilogue of every step.

`functions`: what is compiled, once per floating-point type, and how it is passed on. `rules`: the small functions by
which methods differ. `steps`: the record that a loop gets, and what all loops do before and after a step. `primal`:
averages that the gradients are taken near.
"""

from optlab.compiled.functions import Compiled, matrix, scalar_type, vector
from optlab.compiled.rules import step_rule, update_rule
from optlab.compiled.steps import Steps

__all__ = ["Compiled", "Steps", "matrix", "scalar_type", "step_rule", "update_rule", "vector"]
