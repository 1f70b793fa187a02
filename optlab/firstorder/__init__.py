"""First-order and primal-dual methods for sums of terms with linear maps, `optlab.composite.CompositeProblem`.

What each takes (``optlab.applicable(problem)`` says it for a given problem, with reasons):

* a smooth function: `GradientDescent`; `LBFGS`, SciPy's, as a baseline;
* and one term with a proximal operator: `ProximalGradient`, `FISTA`, `AdaptiveProximalGradient`, `PANOC`, `ZeroFPR`,
  `BlockCoordinateDescent`; in the geometry of a kernel `ProximalGradient`, `AcceleratedBregman`, `MirrorDescent`;
* and two of them: `DavisYin`;
* and any number of them behind linear maps: `CondatVu`, `AFBA`; without the smooth function `PDHG`, `RestartedPDHG`;
* and a set with a linear minimiser: `FrankWolfe`, `LionK`.
"""

from optlab.firstorder.accelerated_bregman import AcceleratedBregman
from optlab.firstorder.adaptive_proximal_gradient import AdaptiveProximalGradient
from optlab.firstorder.afba import AFBA
from optlab.firstorder.condat_vu import PDHG, CondatVu
from optlab.firstorder.coordinate_descent import BlockCoordinateDescent
from optlab.firstorder.davis_yin import DavisYin
from optlab.firstorder.fista import FISTA
from optlab.firstorder.frank_wolfe import FrankWolfe
from optlab.firstorder.gradient_descent import GradientDescent
from optlab.firstorder.lbfgs import LBFGS
from optlab.firstorder.lion import LionK
from optlab.firstorder.panoc import PANOC, ZeroFPR
from optlab.firstorder.proximal_gradient import MirrorDescent, ProximalGradient
from optlab.firstorder.restarted_pdhg import RestartedPDHG
from optlab.firstorder.step_sizes import Backtracking

__all__ = [
    "AFBA",
    "AcceleratedBregman",
    "AdaptiveProximalGradient",
    "Backtracking",
    "BlockCoordinateDescent",
    "CondatVu",
    "DavisYin",
    "FISTA",
    "FrankWolfe",
    "GradientDescent",
    "LBFGS",
    "LionK",
    "MirrorDescent",
    "PANOC",
    "PDHG",
    "ProximalGradient",
    "RestartedPDHG",
    "ZeroFPR",
]
