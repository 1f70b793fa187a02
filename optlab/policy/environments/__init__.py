"""Markov decision processes for experiments, each built from scratch and fully specified by its arguments.

from optlab.policy.environments import garnet
mdp = garnet(50, 4, 5, discount=0.9, seed=0)
"""

from optlab.policy.environments.chains import deep_sea, lower_bound_chain, lower_bound_start
from optlab.policy.environments.control import mountain_car, pendulum
from optlab.policy.environments.grids import cliff_walking, frozen_lake, taxi
from optlab.policy.environments.random_mdps import garnet, linear_mdp
from optlab.policy.lqr import lqr

__all__ = [
    "cliff_walking",
    "deep_sea",
    "frozen_lake",
    "garnet",
    "linear_mdp",
    "lower_bound_chain",
    "lower_bound_start",
    "lqr",
    "mountain_car",
    "pendulum",
    "taxi",
]
