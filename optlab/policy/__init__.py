"""Policy optimization: Markov decision processes, policy mirror descent, and dual approximation (DAPO).

    from optlab.policy import garnet
    mdp = garnet(50, 4, 5, discount=0.9, seed=0)
    mdp.optimal.values

Cost form everywhere: values are minimised.
"""

from optlab.policy.baselines import PPO, TRPO, ProjectedPolicyGradient, SoftmaxPolicyGradient
from optlab.policy.dynamic_programming import ModifiedPolicyIteration, PolicyIteration, ValueIteration
from optlab.policy.environments import (
    cliff_walking,
    deep_sea,
    frozen_lake,
    garnet,
    linear_mdp,
    lower_bound_chain,
    lower_bound_start,
    mountain_car,
    pendulum,
    taxi,
)
from optlab.policy.evaluation import Evaluation
from optlab.policy.features import RandomFourier, TileCoding
from optlab.policy.function_classes import BlockFeatures, FunctionClass, LinearFeatures, Tabular
from optlab.policy.lqr import LQR, GaussianMirrorDescent, GaussianPolicy, HewerPolicyIteration
from optlab.policy.mdp import MDP, OptimalSolution
from optlab.policy.mirror_descent import PolicyMirrorDescent
from optlab.policy.networks import MLP
from optlab.policy.policies import TabularPolicy
from optlab.policy.regularized import SoftPolicyIteration, soft_optimal
from optlab.policy.step_sizes import AdaptiveStepSize, Constant, DiscountGrowth, Geometric, LinearGrowth

__all__ = [
    "LQR",
    "MDP",
    "MLP",
    "PPO",
    "TRPO",
    "AdaptiveStepSize",
    "BlockFeatures",
    "Constant",
    "DiscountGrowth",
    "Evaluation",
    "FunctionClass",
    "GaussianMirrorDescent",
    "GaussianPolicy",
    "Geometric",
    "HewerPolicyIteration",
    "LinearFeatures",
    "LinearGrowth",
    "ModifiedPolicyIteration",
    "OptimalSolution",
    "PolicyIteration",
    "ValueIteration",
    "PolicyMirrorDescent",
    "ProjectedPolicyGradient",
    "RandomFourier",
    "SoftPolicyIteration",
    "SoftmaxPolicyGradient",
    "Tabular",
    "TabularPolicy",
    "TileCoding",
    "cliff_walking",
    "deep_sea",
    "frozen_lake",
    "garnet",
    "linear_mdp",
    "lower_bound_chain",
    "lower_bound_start",
    "mountain_car",
    "pendulum",
    "taxi",
    "soft_optimal",
]
