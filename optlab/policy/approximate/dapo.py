"""Dual approximation policy optimization (DAPO; Xiong, Fazel and Xiao 2024, arXiv 2410.01249).

Policy mirror descent with function approximation, the error of which is measured in the dual space by the divergence of
the *conjugate* mirror map: the map that projects scores to policies is also the one that they are fitted in. Each
iteration, in cost form,

    g_s       = grad Phi(pi_k(. | s)) - eta_k Q_k(s, .)                                 dual target
    theta_k+1 = argmin over theta of  E_{s ~ d_k} D_{Phi*}  between g_s and f^theta_s      dual approximation
    pi_k+1    = Pi(f^theta_k+1)                                                         projection

in either order of the divergence's arguments. With scores in a table it is policy mirror descent exactly. Special
cases: `MDPO` and `NaturalPolicyGradient` are the reverse Kullback-Leibler order with a truncated inner solve; the actor
of soft actor-critic is the reverse order on the entropy-regularised problem with eta -> infinity (`temperature`).

The numbered theorems of the paper could not be consulted; the bounds recorded with ``diagnostics=True`` are derived
here (`optlab.policy.tabular.dual_error`), and which order the paper stars is left open.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from optlab.bregman.mirror_maps import MirrorMap, mirror_map
from optlab.core.validation import as_number, one_of
from optlab.policy.approximate.approximation import ApproximateMethod, Batch
from optlab.policy.approximate.inner import Adam, FisherScoring, InnerSolver, LeastSquares, Newton
from optlab.policy.approximate.losses import DualDivergence
from optlab.policy.critics.methods import Exact
from optlab.policy.function_classes.classes import FunctionClass, Tabular
from optlab.policy.ownership import unchecked

__all__ = ["DAPO", "default_inner"]

SAMPLED_RIDGE = 1e-4
EXACT_RIDGE = 1e-8


def default_inner(phi: MirrorMap, order: str, function_class: FunctionClass | None, sampled: bool) -> InnerSolver:
    """Return the inner solver that suits a dual divergence and a class (None: a table).

    Least squares where it is exact (tables, the full-domain Euclidean map on a linear class); Adam for networks; Newton
    in the forward order, also for the sparsemax loss, whose pieces are quadratic (two to five steps, where L-BFGS takes
    a hundred); Fisher scoring with five steps in the reverse order. The ridge is 1e-8, or 1e-4 with sampled states.
    """
    if function_class is None or isinstance(function_class, Tabular):
        return LeastSquares()
    if not function_class.linear:
        return Adam(step_size=0.01, steps=50)
    if phi.full_domain:
        return LeastSquares()
    ridge = SAMPLED_RIDGE if sampled else EXACT_RIDGE
    if order == "reverse":
        return FisherScoring(max_iter=5, ridge=ridge)
    return Newton(ridge=ridge)


@dataclass(frozen=True, kw_only=True)
class DAPO(ApproximateMethod):
    """Dual approximation policy optimization, with any mirror map, function class, critic and inner solver.

    Parameters
    ----------
    mirror_map : str or MirrorMap, default "negative-entropy"
        ``"euclidean-full"`` is convention (F), least squares on the dual target; the others are convention (S).
    order : {"reverse", "forward"}, default "reverse"
        ``D_{Phi*}(g, f)``, the objective of policy mirror descent itself, or ``D_{Phi*}(f, g)``, convex in theta for
        linear classes.
    inner : inner solver, optional
        See `optlab.policy.approximate.inner`. Default: `default_inner`.
    temperature : float, default 0
        Weight tau of the entropy that is added to the objective: Q is then soft, and the target of mirror descent
        ``(grad Phi(pi_k) - eta Q) / (1 + eta tau)``. Needs the negative entropy and the exact critic. Metrics are those
        of the problem without entropy.
    policy, step_size, critic, sampled_states, floor, diagnostics
        See `optlab.policy.approximate.approximation.ApproximateMethod`.

    Notes
    -----
    With too few features and steps that grow geometrically the forward order can deteriorate after an early optimum,
    since one-hot labels reward certainty only; on some instances it ends lower than the reverse order all the same.

    Examples
    --------
    >>> import optlab
    >>> from optlab.policy import LinearFeatures, garnet
    >>> mdp = garnet(20, 3, 4, discount=0.9, seed=0)
    >>> method = DAPO(policy=LinearFeatures.gaussian(20, 3, 15), step_size=2.0)
    >>> result = optlab.solve(mdp, method, max_iter=20, seed=0)
    >>> bool(result.metrics["gap"] < 0.5 * result.history["gap"][0])
    True
    """

    mirror_map: str | MirrorMap = "negative-entropy"
    order: str = "reverse"
    inner: InnerSolver | None = None
    temperature: float = 0.0

    reference: ClassVar[str] = "xiong2024dual"

    def __post_init__(self) -> None:
        super().__post_init__()
        phi = mirror_map(self.mirror_map)
        one_of(self.order, "order", ["reverse", "forward"])
        as_number(self.temperature, "temperature", minimum=0)
        if self.temperature > 0 and (phi != mirror_map("negative-entropy") or not isinstance(self.critic, Exact)):
            raise ValueError("temperature above 0 needs mirror_map='negative-entropy' and the exact critic")
        if self.temperature > 0 and self.diagnostics:
            raise ValueError("diagnostics are those of the problem without entropy: temperature must be 0")

    def target(self, batch: Batch) -> np.ndarray:
        return super().target(batch) / (1.0 + batch.step_size * self.temperature)

    def loss(self, batch: Batch, target: np.ndarray) -> DualDivergence:
        return unchecked(DualDivergence, self.geometry, target, batch.weights, self.order)

    @cached_property
    def solver(self) -> InnerSolver:
        return self.inner or default_inner(self.geometry, self.order, self.policy, self.sampled_states is not None)
