"""Penalties that choose the common rank, behind one interface.

Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761) selects the rank with a group-sparsity
penalty on the singular values of all cross-covariances. The paper's exact formula is not reproduced here: the
penalties below are *reconstructed* in its style. A group is one component across all pairs of views, so that a
component leaves every cross-covariance at once.

All formulas are in weighted coordinates: for pairs of views (rows) and components (columns), ``c`` holds
``sqrt(w_kl) v_k' S_kl v_l`` and ``d`` holds ``sqrt(w_kl) d_kl``. The loss of one component is then
``1/2 ||d - c||^2`` up to a constant, and the group penalties depend on ``g = ||d||`` only, so that their minimiser is
``d = s(||c||) c``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from optlab.core.validation import as_number, one_of

__all__ = [
    "MCP",
    "SCAD",
    "AdaptiveGroupLasso",
    "FactoredRidge",
    "GroupL0",
    "GroupLasso",
    "Lasso",
    "Penalty",
    "as_penalty",
]


@dataclass(frozen=True)
class Penalty:
    """Base of the penalties on component groups.

    A group penalty implements `penalty` and `factor`; the two that are not functions of the group norm (`Lasso`,
    `FactoredRidge`) override `value` and `shrink`.
    """

    name: ClassVar[str] = ""
    grouped: ClassVar[bool] = True  # a non-decreasing function of the group norm alone
    factored: ClassVar[bool] = False
    adaptive: ClassVar[bool] = False

    def penalty(self, g: np.ndarray, lam: Any) -> np.ndarray:
        """Penalty of groups with norms `g`."""
        raise NotImplementedError

    def factor(self, g: np.ndarray, lam: Any) -> np.ndarray:
        """The factor s with ``argmin_d 1/2 ||d - c||^2 + penalty(||d||) = s c`` for ``||c|| = g``."""
        raise NotImplementedError

    def threshold(self, lam: float) -> float:
        """Norm of ``c`` up to which a component is set to zero."""
        return float(lam)

    def lam_at(self, norm: float) -> float:
        """The `lam` whose `threshold` is this norm."""
        return norm

    def value(self, d: np.ndarray, a: np.ndarray | None, lam: Any) -> float:
        """Total penalty of the coefficients `d` (pairs × components)."""
        return float(np.sum(self.penalty(np.linalg.norm(d, axis=0), lam)))

    def shrink(
        self, c: np.ndarray, lam: Any, sqrt_weights: np.ndarray, a: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Minimise over the coefficients at fixed loadings.

        Parameters
        ----------
        c : ndarray, shape (n_pairs, n_components)
        lam : float or ndarray, shape (n_components,)
        sqrt_weights : ndarray, shape (n_views, n_views)
            Square roots of the pair weights.
        a : ndarray, shape (n_views, n_components), optional
            Current strengths; only a factored penalty has them.

        Returns
        -------
        d : ndarray, shape (n_pairs, n_components)
        a : ndarray or None
        """
        return c * self.factor(np.linalg.norm(c, axis=0), lam), None


def _ratio(lam: Any, g: np.ndarray) -> np.ndarray:
    """``lam / g``, infinite where `g` is so small that the quotient overflows or `g` is zero."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.where(g > 0, np.divide(lam, np.where(g > 0, g, 1.0)), np.inf)


@dataclass(frozen=True)
class GroupLasso(Penalty):
    """``lam * g``: the default. Convex in the coefficients; shrinks every component by `lam` (refit repairs that).

    Examples
    --------
    >>> import numpy as np
    >>> GroupLasso().factor(np.array([1.0, 4.0]), 2.0)
    array([0. , 0.5])
    """

    name: ClassVar[str] = "group"

    def penalty(self, g: np.ndarray, lam: Any) -> np.ndarray:
        return lam * g

    def factor(self, g: np.ndarray, lam: Any) -> np.ndarray:
        return np.maximum(1.0 - _ratio(lam, g), 0.0)


@dataclass(frozen=True)
class MCP(Penalty):
    """Minimax concave penalty on the group norm: keeps what `GroupLasso` keeps, leaves large components unshrunk.

    Parameters
    ----------
    gamma : float, default 3
        Above 1: norms over ``gamma * lam`` are not shrunk at all.

    Examples
    --------
    >>> import numpy as np
    >>> MCP(gamma=3.0).factor(np.array([1.0, 3.0, 9.0]), 2.0)
    array([0. , 0.5, 1. ])
    """

    gamma: float = 3.0
    name: ClassVar[str] = "mcp"

    def __post_init__(self) -> None:
        as_number(self.gamma, "gamma", above=1)

    def penalty(self, g: np.ndarray, lam: Any) -> np.ndarray:
        knot = self.gamma * lam
        return np.where(g <= knot, lam * g - g * g / (2 * self.gamma), knot * lam / 2)

    def factor(self, g: np.ndarray, lam: Any) -> np.ndarray:
        inner = np.clip(1.0 - _ratio(lam, g), 0.0, None) * (self.gamma / (self.gamma - 1.0))
        return np.where(g <= self.gamma * lam, inner, 1.0)


@dataclass(frozen=True)
class SCAD(Penalty):
    """Smoothly clipped absolute deviation on the group norm.

    Parameters
    ----------
    a : float, default 3.7
        Above 2: norms over ``a * lam`` are not shrunk at all.

    Examples
    --------
    >>> import numpy as np
    >>> SCAD(a=3.0).factor(np.array([1.0, 4.0, 9.0]), 2.0)
    array([0. , 0.5, 1. ])
    """

    a: float = 3.7
    name: ClassVar[str] = "scad"

    def __post_init__(self) -> None:
        as_number(self.a, "a", above=2)

    def penalty(self, g: np.ndarray, lam: Any) -> np.ndarray:
        a = self.a
        middle = (2 * a * lam * g - g * g - lam * lam) / (2 * (a - 1))
        return np.where(g <= lam, lam * g, np.where(g <= a * lam, middle, lam * lam * (a + 1) / 2))

    def factor(self, g: np.ndarray, lam: Any) -> np.ndarray:
        a, r = self.a, _ratio(lam, g)
        soft = np.maximum(1.0 - r, 0.0)
        middle = (a - 1) / (a - 2) * np.maximum(1.0 - a / (a - 1) * r, 0.0)
        return np.where(g <= 2 * lam, soft, np.where(g <= a * lam, middle, 1.0))


@dataclass(frozen=True)
class GroupL0(Penalty):
    """``lam`` for every component in the model, whatever its size: hard thresholding at ``sqrt(2 lam)``.

    Note that `lam` is on the scale of a squared norm here.

    Examples
    --------
    >>> import numpy as np
    >>> GroupL0().factor(np.array([1.0, 3.0]), 2.0)
    array([0., 1.])
    """

    name: ClassVar[str] = "l0"

    def penalty(self, g: np.ndarray, lam: Any) -> np.ndarray:
        return lam * (g > 0)

    def factor(self, g: np.ndarray, lam: Any) -> np.ndarray:
        return np.where(g > np.sqrt(2 * lam), 1.0, 0.0)

    def threshold(self, lam: float) -> float:
        return float(np.sqrt(2 * lam))

    def lam_at(self, norm: float) -> float:
        return 0.5 * norm**2


@dataclass(frozen=True)
class AdaptiveGroupLasso(GroupLasso):
    """``lam * omega_j * g_j`` with ``omega_j = (g_j(0) / max g(0))^(-nu)`` from the norms at the start of the run.

    Start it from an unpenalised fit (``x0=``), so that strong components are shrunk by `lam` and weak ones by more.

    Parameters
    ----------
    nu : float, default 1
        Positive exponent.
    """

    nu: float = 1.0
    name: ClassVar[str] = "adaptive"
    adaptive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        as_number(self.nu, "nu", above=0)

    def weights(self, g: np.ndarray) -> np.ndarray:
        """The factors ``omega`` from the norms `g` of a first fit; at most 1e6, so that none is infinite."""
        top = g.max(initial=0.0)
        return np.ones_like(g) if top == 0 else np.maximum(g / top, 1e-6 ** (1 / self.nu)) ** -self.nu


@dataclass(frozen=True)
class Lasso(Penalty):
    """``lam * sum |d_kl,j|``, no grouping: an ablation. Ranks may differ between pairs, and fits are not monotone
    under a refinement of active components (which is therefore skipped for it)."""

    name: ClassVar[str] = "lasso"
    grouped: ClassVar[bool] = False

    def value(self, d: np.ndarray, a: np.ndarray | None, lam: Any) -> float:
        return float(lam * np.abs(d).sum())

    def shrink(
        self, c: np.ndarray, lam: Any, sqrt_weights: np.ndarray, a: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        return np.sign(c) * np.maximum(np.abs(c) - lam, 0.0), None


@dataclass(frozen=True)
class FactoredRidge(Penalty):
    """``d_kl,j = a_kj a_lj`` with ``lam/2 * sum a_kj^2``: one strength per view and component (a common score).

    The other plausible reading of the paper. For two views it is the nuclear norm again, like `GroupLasso`.
    A component is zero exactly when the largest eigenvalue of its K × K matrix of ``c`` (zero diagonal) is at most
    `lam`; no small-norm tolerance decides that, because the iteration decays only geometrically near the threshold.
    """

    name: ClassVar[str] = "factored"
    grouped: ClassVar[bool] = False
    factored: ClassVar[bool] = True
    sweeps: ClassVar[int] = 200

    def value(self, d: np.ndarray, a: np.ndarray | None, lam: Any) -> float:
        return 0.0 if a is None else 0.5 * float(lam) * float(np.sum(a * a))

    def shrink(
        self, c: np.ndarray, lam: Any, sqrt_weights: np.ndarray, a: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        n_views = len(sqrt_weights)
        first, second = np.triu_indices(n_views, 1)
        blocks = np.zeros((c.shape[1], n_views, n_views))
        blocks[:, first, second] = blocks[:, second, first] = (c * sqrt_weights[first, second][:, None]).T
        values, vectors = np.linalg.eigh(blocks)
        live = values[:, -1] > lam
        strengths = np.zeros((n_views, c.shape[1]))
        if np.any(live):
            # the top eigenvector, scaled to the best multiple of itself, is one start; where we are is the other
            quartic = _quartic(vectors[live, :, -1], sqrt_weights)
            scale = np.sqrt(np.maximum(values[live, -1] - lam, 0.0) / np.maximum(quartic, 1e-300))
            starts = [vectors[live, :, -1] * scale[:, None]]
            if a is not None:
                starts.append(np.ascontiguousarray(a[:, live].T))
            ends = [self._descend(blocks[live], start, float(lam), sqrt_weights) for start in starts]
            costs = np.array([_factored_cost(blocks[live], end, float(lam), sqrt_weights) for end in ends])
            best = np.argmin(costs, axis=0)
            chosen = np.stack(ends)[best, np.arange(best.size)]
            # zero costs zero: a start that decays to a positive cost must not keep a component alive
            chosen[costs.min(axis=0) >= 0] = 0.0
            strengths[:, live] = chosen.T
        d = sqrt_weights[first, second][:, None] * strengths[first] * strengths[second]
        return d, strengths

    def _descend(self, blocks: np.ndarray, a: np.ndarray, lam: float, sqrt_weights: np.ndarray) -> np.ndarray:
        """Coordinate descent on the strengths of all components at once: exact in each coordinate."""
        a, weights = a.copy(), sqrt_weights**2
        for _ in range(self.sweeps):
            before = a.copy()
            for k in range(a.shape[1]):
                # blocks and weights have zero diagonals, so a_k itself does not enter its own update
                numerator = np.einsum("jl,jl->j", blocks[:, k], a)
                denominator = (a * a) @ weights[k] + lam
                a[:, k] = np.where(denominator > 0, numerator / np.where(denominator > 0, denominator, 1.0), 0.0)
            if np.max(np.abs(a - before)) <= 1e-15 * np.max(np.abs(a)):
                break
        return a


def _quartic(a: np.ndarray, sqrt_weights: np.ndarray) -> np.ndarray:
    """``sum_{k != l} w_kl a_k^2 a_l^2`` for each row of `a`."""
    squares = a * a
    return np.einsum("jk,kl,jl->j", squares, sqrt_weights**2, squares)


def _factored_cost(blocks: np.ndarray, a: np.ndarray, lam: float, sqrt_weights: np.ndarray) -> np.ndarray:
    """Loss and penalty of each component, less their value at ``a = 0``."""
    linear = np.einsum("jk,jkl,jl->j", a, blocks, a)
    return 0.25 * _quartic(a, sqrt_weights) - 0.5 * linear + 0.5 * lam * np.sum(a * a, axis=1)


_BY_NAME = {p.name: p for p in (GroupLasso, MCP, SCAD, GroupL0, AdaptiveGroupLasso, Lasso, FactoredRidge)}


def as_penalty(value: str | Penalty) -> Penalty:
    """Return a penalty from its name or as it is.

    Examples
    --------
    >>> as_penalty("mcp")
    MCP(gamma=3.0)
    >>> as_penalty(SCAD(a=5.0))
    SCAD(a=5.0)
    """
    if isinstance(value, Penalty):
        return value
    if not isinstance(value, str):
        raise TypeError(f"penalty must be a name or a Penalty, got {type(value).__name__}")
    return _BY_NAME[one_of(value, "penalty", tuple(_BY_NAME))]()
