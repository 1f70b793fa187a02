"""Generalised Sinkhorn: the entropic dual maximised over one block after another.

For balanced transport that is Sinkhorn's iteration; for unbalanced and partial transport the scaling algorithm of
Chizat, Peyre, Schmitzer and Vialard (2018); for barycentres the iterative Bregman projections of Benamou, Carlier,
Cuturi, Nenna and Peyre (2015). All in the log domain. What a sweep over the blocks is, the problem says (its method
``sweep``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from optlab.core import DomainError, Method, State
from optlab.transport.balanced.problem import OptimalTransport
from optlab.transport.entropic.sinkhorn import start_at


@dataclass
class ScalingState(State):
    """State after k sweeps.

    Parameters
    ----------
    mirror : mirror point
        The potentials.
    """

    mirror: Any


@dataclass(frozen=True)
class GeneralizedSinkhorn(Method):
    """Cyclic exact maximisation of the entropic dual; needs a problem with a regularization.

    Runs on `OptimalTransport`, `UnbalancedOptimalTransport`, `PartialOptimalTransport` and `WassersteinBarycenter`.

    Examples
    --------
    >>> import optlab
    >>> from optlab.datasets import transport_family
    >>> from optlab.transport import GeneralizedSinkhorn, UnbalancedOptimalTransport
    >>> a, b, cost = transport_family("l2", 30)
    >>> problem = UnbalancedOptimalTransport(a, 2 * b, cost, penalty=0.5, regularization=0.02)
    >>> optlab.solve(problem, GeneralizedSinkhorn(), tol=1e-9).success
    True
    """

    reference: ClassVar[str] = "chizat2018scaling"

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against problems without a sweep over blocks, or without regularization."""
        sweeps = isinstance(problem, OptimalTransport) or callable(getattr(problem, "sweep", None))
        if sweeps and problem.regularization > 0.0:
            return None
        return f"needs a transport problem with regularization above 0, got {type(problem).__name__}"

    def init(self, problem: Any, x0: Any, rng: Any) -> ScalingState:
        """Return the state at iteration 0."""
        eps = problem.regularization
        if isinstance(problem, OptimalTransport):
            return ScalingState(0, start_at(problem, x0, 1.0 / eps))
        return ScalingState(0, problem.initial_mirror(x0))

    def step(self, problem: Any, state: ScalingState) -> ScalingState:
        """Return the state after one sweep over the blocks."""
        if isinstance(problem, OptimalTransport):
            kappa = state.mirror.inverse_temperature
            row = problem.scale_rows(state.mirror.column, kappa)
            column = problem.scale_columns(row, kappa)
            mirror: Any = type(state.mirror)(row, column, kappa).recentred()
        else:
            mirror = problem.sweep(state.mirror)
        try:
            problem.check_mirror(mirror)
        except DomainError:
            raise DomainError("the potentials are no longer finite; use a larger regularization") from None
        return ScalingState(state.k + 1, mirror)

    def iterate(self, problem: Any, state: ScalingState) -> Any:
        """Return the plan of the potentials."""
        return problem.primal(state.mirror)
