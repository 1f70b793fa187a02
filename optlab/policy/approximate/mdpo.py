"""Mirror descent policy optimization (MDPO; Tomar, Shani, Efroni and Ghavamzadeh 2022).

Minimises ``E_{s ~ d_k} [<Q_k, pi_theta> + KL(pi_theta || pi_k) / eta_k]`` over theta by a fixed number of stochastic
gradient steps from theta_k. Times eta_k this is the reverse Kullback-Leibler loss of `DAPO` less a constant, so that
MDPO is DAPO with a truncated inner solve.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from optlab.core.validation import as_integer, as_number, one_of
from optlab.policy.approximate.approximation import ApproximateMethod, Batch
from optlab.policy.approximate.inner import SGD, Adam, InnerSolver
from optlab.policy.approximate.losses import PenalizedCost
from optlab.policy.ownership import unchecked

__all__ = ["MDPO"]


@dataclass(frozen=True, kw_only=True)
class MDPO(ApproximateMethod):
    """Mirror descent policy optimization: a few gradient steps on the penalised cost per iteration.

    Parameters
    ----------
    steps : int, default 10
        Gradient steps per iteration, m.
    learning_rate : float, default 0.05
        Of the gradient steps (`step_size` is eta, of the penalty).
    optimizer : {"adam", "sgd"}, default "adam"
    batch_size : int, optional
        States per gradient step. Default: all of the iteration's.
    policy, step_size, critic, sampled_states, floor, diagnostics
        See `optlab.policy.approximate.approximation.ApproximateMethod`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import garnet
    >>> result = optlab.solve(garnet(20, 3, 4, discount=0.9, seed=0), MDPO(steps=20), max_iter=30, seed=0)
    >>> bool(result.metrics["gap"] < 0.5 * result.history["gap"][0])
    True
    """

    steps: int = 10
    learning_rate: float = 0.05
    optimizer: str = "adam"
    batch_size: int | None = None

    reference: ClassVar[str] = "tomar2022mirror"

    def __post_init__(self) -> None:
        super().__post_init__()
        as_integer(self.steps, "steps", minimum=1)
        as_number(self.learning_rate, "learning_rate", above=0)
        one_of(self.optimizer, "optimizer", ["adam", "sgd"])
        as_integer(self.batch_size or 1, "batch_size", minimum=1)

    @cached_property
    def solver(self) -> InnerSolver:
        kind = Adam if self.optimizer == "adam" else SGD
        return kind(step_size=self.learning_rate, steps=self.steps, batch_size=self.batch_size)

    def loss(self, batch: Batch, target: np.ndarray) -> PenalizedCost:
        return unchecked(PenalizedCost, batch.action_values, batch.weights, 1.0 / batch.step_size, batch.log_policy)
