"""Resolvents under the Hellinger kernel ``h(x) = -sum sqrt(r^2 - x^2)``: mirror variable ``y = x / sqrt(r^2 - x^2)``.

Linear terms (``y = m - g c``), boxes, the 1-norm and the kernel's own distance are the general formulas of `general`,
one linear constraint its scalar root find. Here is the quadratic, as one bracketed scalar equation per coordinate.
Derived here, verified numerically.
"""

from __future__ import annotations

import numpy as np

from optlab.bregman.functions import SquaredDistance
from optlab.bregman.functions.base import Array, check_broadcast
from optlab.bregman.hellinger import Hellinger
from optlab.bregman.resolvents.newton import smooth_resolvent
from optlab.bregman.resolvents.registry import register_resolvent


@register_resolvent(SquaredDistance, Hellinger)
def squared_distance(function: SquaredDistance, kernel: Hellinger, mirror: Array, step_size: float) -> Array:
    """``y + g t r y / sqrt(1 + y^2) = m + g t q``, increasing in y: bracketed Newton iteration."""
    check_broadcast(function.q, "q or weight", mirror)
    check_broadcast(function.weight, "q or weight", mirror)
    return np.asarray(smooth_resolvent(function, kernel, mirror, step_size))
