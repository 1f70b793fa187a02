"""Figures, theorem checks, and the machinery that runs, caches and reports them. Knows no algorithm.

What papers' files use is exported here: `figure`, `Figure`, `Runs`, `theorem`, `Evidence`, `at_scale`, and the helpers
of `tables`. The machinery behind
``optlab reproduce`` and ``optlab verify`` lives in `discovery` (finding the files), `fingerprint` and `store`
(the cache), `worker` and `runner` (running), `report` (``results/index.html``).
"""

from optlab.reproduce.evidence import Evidence, Tightness
from optlab.reproduce.figures import FIGURES, SCALES, Claim, Figure, FigureSpec, Runs, at_scale, figure
from optlab.reproduce.tables import Looks, first_below, joined, table
from optlab.reproduce.theorems import THEOREMS, Theorem, theorem

__all__ = [
    "FIGURES",
    "SCALES",
    "THEOREMS",
    "Claim",
    "Evidence",
    "Figure",
    "FigureSpec",
    "Looks",
    "Runs",
    "Theorem",
    "Tightness",
    "at_scale",
    "figure",
    "first_below",
    "joined",
    "table",
    "theorem",
]
