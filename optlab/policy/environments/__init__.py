"""Markov decision processes for experiments, each built from scratch and fully specified by its arguments.

from optlab.policy.environments import garnet
mdp = garnet(50, 4, 5, discount=0.9, seed=0)
"""

from optlab.policy.environments.garnet import garnet
from optlab.policy.environments.grids import frozen_lake
from optlab.policy.lqr import lqr

__all__ = ["frozen_lake", "garnet", "lqr"]
