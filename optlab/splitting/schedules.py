"""Step sizes, by their old address; their home is `optlab.schedules`."""

from optlab.schedules import (
    AdaptiveStepSize,
    Constant,
    Geometric,
    StepSize,
    check_step_size,
    is_adaptive,
    rule_for,
    step_size_at,
)

__all__ = [
    "AdaptiveStepSize",
    "Constant",
    "Geometric",
    "StepSize",
    "check_step_size",
    "is_adaptive",
    "rule_for",
    "step_size_at",
]
