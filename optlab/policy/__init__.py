"""Policy optimization: Markov decision processes, policy mirror descent, and dual approximation (DAPO).

    from optlab.policy import garnet
    mdp = garnet(50, 4, 5, discount=0.9, seed=0)
    mdp.optimal.values

Cost form everywhere: values are minimised.
"""

from optlab.policy.environments import frozen_lake, garnet
from optlab.policy.evaluation import Evaluation
from optlab.policy.mdp import MDP, OptimalSolution

__all__ = [
    "MDP",
    "Evaluation",
    "OptimalSolution",
    "frozen_lake",
    "garnet",
]
