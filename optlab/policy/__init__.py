"""Policy optimization: Markov decision processes, policy mirror descent, and dual approximation (DAPO).

    from optlab.policy import garnet
    mdp = garnet(50, 4, 5, discount=0.9, seed=0)
    mdp.optimal.values

Cost form everywhere: values are minimised. What is measured is in the units of the rewards where those were given.
"""

from optlab.policy.approximate.ampo import AMPO
from optlab.policy.approximate.dapo import DAPO
from optlab.policy.approximate.inner import LBFGS, SGD, Adam, FisherScoring, LeastSquares, Newton
from optlab.policy.approximate.losses import DualDivergence, PenalizedCost, SquaredError, soft_actor_loss
from optlab.policy.approximate.mdpo import MDPO
from optlab.policy.approximate.natural_gradient import NaturalPolicyGradient, QNaturalPolicyGradient
from optlab.policy.critics.methods import LSTDQ, TD, Exact, MonteCarlo
from optlab.policy.environments import (
    cliff_walking,
    deep_sea,
    frozen_lake,
    garnet,
    linear_mdp,
    lower_bound_chain,
    lower_bound_start,
    lqr,
    mountain_car,
    pendulum,
    taxi,
)
from optlab.policy.environments.gymnasium_runs import GymnasiumEnvironment
from optlab.policy.function_classes.classes import BlockFeatures, FunctionClass, LinearFeatures, Tabular
from optlab.policy.function_classes.features import RandomFourier, TileCoding
from optlab.policy.function_classes.networks import MLP
from optlab.policy.function_classes.policy import FunctionPolicy
from optlab.policy.lqr import LQR, GaussianMirrorDescent, GaussianPolicy, HewerPolicyIteration
from optlab.policy.mdp.evaluation import Evaluation
from optlab.policy.mdp.model import MDP, OptimalSolution
from optlab.policy.mdp.policies import TabularPolicy
from optlab.policy.tabular.baselines import PPO, TRPO, ProjectedPolicyGradient, SoftmaxPolicyGradient
from optlab.policy.tabular.dynamic_programming import ModifiedPolicyIteration, PolicyIteration, ValueIteration
from optlab.policy.tabular.mirror_descent import PolicyMirrorDescent
from optlab.policy.tabular.regularized import SoftPolicyIteration, soft_optimal
from optlab.policy.tabular.step_sizes import AdaptiveStepSize, DiscountGrowth, LinearGrowth

__all__ = [
    "AMPO",
    "DAPO",
    "LBFGS",
    "LQR",
    "LSTDQ",
    "MDP",
    "MDPO",
    "MLP",
    "PPO",
    "SGD",
    "TD",
    "TRPO",
    "Adam",
    "AdaptiveStepSize",
    "BlockFeatures",
    "DiscountGrowth",
    "DualDivergence",
    "Evaluation",
    "Exact",
    "FisherScoring",
    "FunctionClass",
    "FunctionPolicy",
    "GaussianMirrorDescent",
    "GaussianPolicy",
    "GymnasiumEnvironment",
    "HewerPolicyIteration",
    "LeastSquares",
    "LinearFeatures",
    "LinearGrowth",
    "ModifiedPolicyIteration",
    "MonteCarlo",
    "NaturalPolicyGradient",
    "Newton",
    "OptimalSolution",
    "PenalizedCost",
    "PolicyIteration",
    "PolicyMirrorDescent",
    "ProjectedPolicyGradient",
    "QNaturalPolicyGradient",
    "RandomFourier",
    "SoftPolicyIteration",
    "SoftmaxPolicyGradient",
    "SquaredError",
    "Tabular",
    "TabularPolicy",
    "TileCoding",
    "ValueIteration",
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
    "soft_actor_loss",
    "soft_optimal",
    "taxi",
]
