"""Two blocks coupled by linear relations: min f(u) + g(v) with M u + N v related to b, solved through multipliers.

Follows section 1 of Ma, Xiao, Zhao (2025, arXiv 2509.08739): Bregman ADMM, whose geometry is that of the multiplier
space, and the equivalent Bregman Douglas-Rachford splitting of the dual. Which relation is enforced depends on the
domain of the kernel (derived here, verified numerically): see `LinearlyConstrained`. The block steps themselves are in
`optlab.splitting.block_minimization`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.composite.domains import project_closure, support
from optlab.composite.inclusion import MonotoneInclusion, relative_difference, term_shape
from optlab.composite.infeasibility import Certificate, Relations, displacement_hint, search
from optlab.core import DomainError
from optlab.core.validation import as_data, as_number
from optlab.splitting.block_minimization import block_step, minimize_smooth

Array = Any

_MAX_SWEEPS = 10_000
_SWEEP_TOLERANCE = 1e-13


@dataclass(frozen=True, eq=False)
class BlockSolution:
    """The blocks of a `LinearlyConstrained` problem with their multiplier.

    Attributes
    ----------
    u, v : ndarray
        The primal blocks; v is empty if the problem has one block.
    multiplier : ndarray
        w in dom h, for which v is exactly optimal.
    half_multiplier : ndarray or None
        The multiplier for which u is exactly optimal; None at a start.
    mirror : ndarray
        ``grad h(w)``, exact also where w has underflowed to the boundary.
    """

    u: Array
    v: Array
    multiplier: Array
    half_multiplier: Array | None
    mirror: Array


class LinearlyConstrained:
    """Minimise ``f(u) + g(v)`` where ``M u + N v`` is related to b, with multipliers in the domain of a kernel h.

    The multipliers never leave dom h, and that decides what is solved: with ``r = M u + N v - b`` it is

        min f(u) + g(v) + sigma(r),      sigma(r) = sup { <w, r> : w in dom h }.

    ======================================  ==========================  ====================================
    kernel                                  multipliers                 the problem solved
    ======================================  ==========================  ====================================
    `SquaredEuclidean`                      any w                       equality ``M u + N v = b``
    `ShannonEntropy`, `BurgEntropy`         w > 0                       inequality ``M u + N v <= b``
    `FermiDirac` on [0, c]                  0 < w < c                   hinge penalty ``c sum max(0, r)``
    `Hellinger` of radius c                 -c < w < c                  penalty ``c ||r||_1``
    `SimplexEntropy` of total c             w > 0, sum w = c            penalty ``c max(r)``
    ======================================  ==========================  ====================================

    Parameters
    ----------
    f, g : function or None
        Terms of `optlab.bregman.functions` on vectors. ``g=None``: a single block, without v.
    M, N : array_like, shapes (m, n_u) and (m, n_v), or None
        None stands for the identity (for N: only if g is given).
    b : array_like, shape (m,)
        Right-hand side.
    kernel : Legendre
        The geometry of the multipliers.
    u_start, v_start : array_like, optional
        Where Newton's method starts, and the first v; f and g must be finite there if Newton's method is used.
        Default: zeros.
    minimize_u, minimize_v : callable, optional
        ``(mirror, step_size) -> block``, your own solution of
        ``argmin_u f(u) + h*(mirror + step_size M u) / step_size`` (for v: g and N). Default: a closed form, or a
        safeguarded Newton method accurate to rounding, for smooth functions; see `optlab.splitting.block_minimization`.
    reference : array_like, optional
        A known u; adds the metric ``distance = ||u - reference|| / ||reference||``.
    optimum : float, optional
        The known optimal value; adds ``suboptimality = objective - optimum``.
    default_step_size : float, default 1.0
        Step size of methods that are given none.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or shape, or a block step has no solver.

    Notes
    -----
    `measure` gives

    * ``objective`` = f(u) + g(v) plus the finite part of sigma (the penalty), of the problem in the table;
    * ``constraint_violation`` = the norm of what sigma forbids: r for an equality, ``max(r, 0)`` for an inequality, 0
      for the penalties; divided, entry by entry, by ``1 + max(|M u|, |N v|, |b|)``;
    * ``primal_residual`` = the norm of ``w - P(w + r)`` over the same scale, P the projection onto the closure of
      dom h: zero exactly where w is a subgradient of sigma at r, that is, feasibility and complementarity;
    * ``dual_residual`` = ``||M^T (w' - w)|| / (1 + ||M^T w||)``, w' the multiplier for which u is optimal;
    * ``residual``, the larger of the last two (the primary metric): it is zero exactly at solutions.

    A start, whose blocks mean nothing yet, is measured through one iteration of `BregmanADMM` from it; how far that
    moves the blocks counts as primal residual.

    Examples
    --------
    >>> import optlab
    >>> from optlab.bregman import Hellinger
    >>> from optlab.bregman.functions import SquaredDistance
    >>> from optlab.splitting import BregmanADMM, LinearlyConstrained
    >>> f = SquaredDistance(np.array([3.0, 0.5]))  # plus ||u||_1: soft thresholding
    >>> problem = LinearlyConstrained(f, None, M=None, N=None, b=np.zeros(2), kernel=Hellinger())
    >>> result = optlab.solve(problem, BregmanADMM(step_size=1.0), tol=1e-8)
    >>> result.solution.u.round(6) + 0.0
    array([2., 0.])
    """

    primary_metric = "residual"

    def __init__(
        self,
        f: Any,
        g: Any,
        M: Any,
        N: Any,
        b: Any,
        kernel: Any,
        *,
        u_start: Any = None,
        v_start: Any = None,
        minimize_u: Callable[[Array, float], Array] | None = None,
        minimize_v: Callable[[Array, float], Array] | None = None,
        reference: Any = None,
        optimum: float | None = None,
        default_step_size: float = 1.0,
    ) -> None:
        self.f, self.g, self.kernel = f, g, kernel
        self.b = as_data(b, "b", ndim=1)
        support(kernel, np.zeros_like(self.b))  # refuses kernels of unknown domain before anything is computed
        if not callable(getattr(f, "value", None)):
            raise TypeError(f"f must have value(u) -> float, got {type(f).__name__}")
        if g is not None and not callable(getattr(g, "value", None)):
            raise TypeError(f"g must be None or have value(v) -> float, got {type(g).__name__}")
        if g is None and (N is not None or v_start is not None or minimize_v is not None):
            raise ValueError("N, v_start and minimize_v must be None where g is None (a single block)")
        self.M = self._as_matrix(M, "M", f)
        self.N = np.zeros((self.b.size, 0)) if g is None else self._as_matrix(N, "N", g)
        self.u_start = self._as_start(u_start, "u_start", self.M)
        self.v_start = self._as_start(v_start, "v_start", self.N)
        self._own_steps = minimize_u is not None or minimize_v is not None
        self._u_step = minimize_u or block_step(f, self.M, kernel, self.u_start, "u")
        if g is None:
            self._v_step: Callable[[Array, float], Array] = self._no_block
        else:
            self._v_step = minimize_v or block_step(g, self.N, kernel, self.v_start, "v")
        self.reference = None if reference is None else as_data(reference, "reference", shape=self.u_start.shape)
        self.optimum = None if optimum is None else as_number(optimum, "optimum")
        self.default_step_size = as_number(default_step_size, "default_step_size", above=0)

    def __repr__(self) -> str:
        sizes = f"{self.b.size} relations, {self.u_start.size} + {self.v_start.size} variables"
        return f"{type(self).__name__}({self.f!r}, {self.g!r}, {self.kernel!r}: {sizes})"

    def _no_block(self, mirror: Array, step_size: float) -> Array:
        return self.v_start

    def _as_matrix(self, matrix: Any, name: str, function: Any) -> Array:
        if matrix is None:
            matrix = np.eye(self.b.size)
        matrix = as_data(matrix, name, shape=(self.b.size, None))
        wanted = term_shape(function)
        if wanted is not None and wanted != (matrix.shape[1],):
            raise ValueError(
                f"{name} must have as many columns as its function has variables, got shape {matrix.shape} and a "
                f"function of points of shape {wanted}"
            )
        return matrix

    def _as_start(self, start: Any, name: str, matrix: Array) -> Array:
        size = matrix.shape[1]
        return np.zeros(size) if start is None else as_data(start, name, shape=(size,))

    # ------------------------------------------------------------------ what a method of multipliers asks for

    def default_start(self, rng: np.random.Generator) -> Array:
        """Return the first multiplier: the kernel's default interior point; nothing is drawn at random."""
        return np.asarray(self.kernel.default_point(self.b.shape), dtype=float)

    def initial_blocks(self, x0: Any) -> tuple[Array, Array, Array]:
        """Return ``grad h(w_0)``, u and v; `x0` is None, a multiplier in dom h, or an earlier `BlockSolution`."""
        if isinstance(x0, BlockSolution):
            if (x0.mirror.shape, x0.u.shape, x0.v.shape) != (self.b.shape, self.u_start.shape, self.v_start.shape):
                raise ValueError(
                    f"x0 must be a solution of a problem of the same size ({self.b.size} relations, "
                    f"{self.u_start.size} + {self.v_start.size} variables)"
                )
            return x0.mirror, x0.u, x0.v
        if x0 is None:
            x0 = self.default_start(np.random.default_rng(0))
        multiplier = as_data(x0, "x0 (a multiplier)", shape=self.b.shape)
        self.kernel.check_domain(multiplier, "x0 (a multiplier)")
        return self.kernel.gradient(multiplier), self.u_start, self.v_start

    def minimize_u(self, mirror: Array, step_size: float) -> Array:
        """Return ``argmin_u f(u) + h*(mirror + step_size M u) / step_size``."""
        return self._u_step(mirror, step_size)

    def minimize_v(self, mirror: Array, step_size: float) -> Array:
        """Return ``argmin_v g(v) + h*(mirror + step_size N v) / step_size``."""
        return self._v_step(mirror, step_size)

    def minimize_both(self, mirror: Array, step_size: float, u: Array, v: Array) -> tuple[Array, Array]:
        """Return the joint minimiser over both blocks, starting from `u` and `v`.

        One Newton solve where both functions are smooth; otherwise alternating minimisation until the mirror point
        changes by less than 1e-13, relatively (DomainError after 10,000 sweeps).
        """
        if self.g is None:
            return self.minimize_u(mirror, step_size), v
        smooth = getattr(self.f, "smooth", False) and getattr(self.g, "smooth", False)
        if smooth and not self._own_steps:
            starts = [self.u_start, self.v_start]
            matrices = [self.M, self.N]
            u, v = minimize_smooth([self.f, self.g], matrices, self.kernel, mirror, step_size, starts, "joint (u, v)")
            return u, v
        return self._alternate(mirror, step_size, v)

    def _alternate(self, mirror: Array, step_size: float, v: Array) -> tuple[Array, Array]:
        part = step_size * self.apply_N(v)
        for _ in range(_MAX_SWEEPS):
            u = self.minimize_u(mirror + part, step_size)
            moved = step_size * self.apply_M(u)
            v = self.minimize_v(mirror + moved, step_size)
            previous, part = part, step_size * self.apply_N(v)
            size = 1.0 + max(np.max(np.abs(part)), np.max(np.abs(moved)), np.max(np.abs(mirror)))
            if np.max(np.abs(part - previous)) <= _SWEEP_TOLERANCE * size:
                return u, v
        raise DomainError(
            f"the joint minimisation over u and v is not accurate after {_MAX_SWEEPS} sweeps; use BregmanADMM, or a "
            "smaller step_size"
        )

    def apply_M(self, u: Array) -> Array:
        """Return ``M u``."""
        return self.M @ u

    def apply_N(self, v: Array) -> Array:
        """Return ``N v``."""
        return self.N @ v

    def offset(self) -> Array:
        """Return b."""
        return self.b

    def primal_blocks(self, mirror: Array, u: Array, v: Array) -> BlockSolution:
        """Return the blocks with their multiplier."""
        return BlockSolution(u, v, self.kernel.conjugate_gradient(mirror), None, mirror)

    def primal_triple(self, mirror: Array, half_mirror: Array, u: Array, v: Array) -> BlockSolution:
        """Return the blocks with both multipliers."""
        to_primal = self.kernel.conjugate_gradient
        return BlockSolution(u, v, to_primal(mirror), to_primal(half_mirror), mirror)

    def mirror_distance(self, x: Array, y: Array) -> float:
        """Return the relative Euclidean distance of the multipliers of two mirror points."""
        return relative_difference(self.kernel.conjugate_gradient(x), self.kernel.conjugate_gradient(y))

    # ------------------------------------------------------------------ whether there is anything to find

    def find_certificate(self, multiplier_moves: list[Array], block_moves: tuple[Array, Array], blocks: Any) -> Any:
        """Return a checked `Certificate` that the problem has no solution, if an iteration shows one; else None.

        Parameters
        ----------
        multiplier_moves : list of ndarray, shape (m,)
            How the multiplier has moved, as a mirror point and as it is.
        block_moves : tuple of ndarray
            How u and v have moved.
        blocks : tuple of ndarray
            u and v.
        """
        relations, count = self._relations(), 1 if self.g is None else 2
        points = [np.asarray(block) for block in blocks[:count]]
        reach = max(map(_norm, points))
        found = search(multiplier_moves, lambda y: relations.contradict(y, reach), relations.contradict_parts())
        if found is None:
            moves = [np.concatenate(block_moves[:count]), np.concatenate(points)]
            found = search(moves, lambda d: relations.falls(d, points), relations.falls_parts())
        return None if found is None else dataclasses.replace(found, problem=self).confirmed()

    def check_certificate(self, kind: str, vector: Any, point: Any = None) -> Certificate | None:
        """Return the certificate that `vector` (and `point`) is, None if it is none; see `Certificate.verify`."""
        relations = self._relations()
        if kind == "infeasible":
            found = relations.contradict(vector, 0.0)
        else:
            found = relations.falls(np.concatenate(vector), point)
        return found if isinstance(found, Certificate) else None

    def hint(self, method: Any, state: Any, metrics: dict[str, float]) -> str | None:
        """Return the length of the multiplier's displacement, where it is not small."""
        return displacement_hint(_norm(getattr(state, "w", 0.0) - getattr(state, "x", 0.0)), metrics)

    def _relations(self) -> Relations:
        return Relations(self.f, self.g, self.M, self.N, self.b, self.kernel)

    # ------------------------------------------------------------------ how good an iterate is

    def measure(self, iterate: BlockSolution) -> dict[str, float]:
        """Return objective and residuals of a `BlockSolution`; see the class notes."""
        if not isinstance(iterate, BlockSolution):
            raise TypeError(f"iterate must be a BlockSolution, got {type(iterate).__name__}")
        apart = 0.0
        if iterate.half_multiplier is None:
            start, iterate = iterate, self._one_iteration(iterate)
            # the iteration may end at a solution; the start is none before its own blocks are those
            pairs = ((start.u, iterate.u), (start.v, iterate.v))
            apart = max(_norm(after - before) / (1.0 + _norm(before)) for before, after in pairs)
        u, v, w = iterate.u, iterate.v, iterate.multiplier
        Mu, Nv = self.M @ u, self.N @ v
        r = Mu + Nv - self.b
        # entry by entry: a bound of 1e9 that is not active must not excuse a violation of 1 elsewhere
        scale = 1.0 + np.maximum(np.maximum(np.abs(Mu), np.abs(Nv)), np.abs(self.b))
        penalty, forbidden = support(self.kernel, r)
        primal = max(apart, _norm((w - project_closure(self.kernel, w + r)) / scale))
        dual = _norm(self.M.T @ (iterate.half_multiplier - w)) / (1.0 + _norm(self.M.T @ w))
        own = self.f.value(u) + (0.0 if self.g is None else self.g.value(v))
        metrics = {
            "residual": max(primal, dual),
            "primal_residual": primal,
            "dual_residual": dual,
            "objective": float(own + penalty),
            "constraint_violation": _norm(forbidden / scale),
        }
        if self.optimum is not None:
            metrics["suboptimality"] = metrics["objective"] - self.optimum
        if self.reference is not None:
            size = _norm(self.reference)
            metrics["distance"] = _norm(u - self.reference) / (size if size > 0 else 1.0)
        return metrics

    def _one_iteration(self, start: BlockSolution) -> BlockSolution:
        from optlab.splitting.admm import BregmanADMM

        method = BregmanADMM()
        after: BlockSolution = method.iterate(self, method.step(self, method.init(self, start, None)))
        return after

    # ------------------------------------------------------------------ the dual

    def dual(self) -> MonotoneInclusion:
        """Return the dual as a monotone inclusion in the multiplier, for Bregman Douglas-Rachford.

        ``min_w f*(-M^T w) + g*(-N^T w) + <b, w>`` over dom h, with ``A(w) = -M df*(-M^T w) + b`` and
        ``B(w) = -N dg*(-N^T w)``. Their resolvents are the block steps,

            J_A: mirror -> mirror + gamma (M u - b),  u = argmin f(u) + h*(mirror + gamma (M u - b)) / gamma,
            J_B: mirror -> mirror + gamma N v,        v = argmin g(v) + h*(mirror + gamma N v) / gamma,

        and Bregman Douglas-Rachford on it is Bregman ADMM on the primal, iterate by iterate, also for varying step
        sizes: x_k = w_k, y_k = the multiplier after the u-step, ``grad h(z_k) = grad h(w_k) - gamma_{k-1} N v_{k-1}``.
        For this to hold from the first iteration on, ADMM must start as `matching_start` says.

        Examples
        --------
        >>> from optlab.bregman import ShannonEntropy
        >>> from optlab.bregman.functions import SquaredDistance
        >>> f = SquaredDistance(np.array([2.0, 0.25]))
        >>> problem = LinearlyConstrained(f, None, M=None, N=None, b=np.ones(2), kernel=ShannonEntropy())
        >>> problem.dual().shape
        (2,)
        """

        def resolvent_A(mirror: Array, step_size: float) -> Array:
            u = self.minimize_u(mirror - step_size * self.b, step_size)
            return mirror + step_size * (self.apply_M(u) - self.b)

        def resolvent_B(mirror: Array, step_size: float) -> Array:
            return mirror + step_size * self.apply_N(self.minimize_v(mirror, step_size))

        return MonotoneInclusion(
            resolvent_A,
            resolvent_B,
            self.kernel,
            shape=self.b.shape,
            default_step_size=self.default_step_size,
        )

    def matching_start(self, x0: Any, step_size: float) -> BlockSolution:
        """Return the start from which ADMM equals Bregman Douglas-Rachford on the dual started at the multiplier `x0`.

        ADMM from an arbitrary pair (w_0, v_{-1}) corresponds to no point z_0, since w_0 is the resolvent of z_0 only if
        ``-N^T w_0 in dg(v_{-1})``. Here v_{-1} is the v-step at z_0 = x0 and w_0 the multiplier after it.

        Parameters
        ----------
        x0 : array_like or None
            z_0, in the interior of dom h; None for the default start.
        step_size : float
            The first step size of both methods.
        """
        step_size = as_number(step_size, "step_size", above=0)
        z, u, _ = self.initial_blocks(x0)
        v = self.minimize_v(z, step_size)
        return self.primal_blocks(z + step_size * self.apply_N(v), u, v)


def _norm(x: Array) -> float:
    return float(np.linalg.norm(x))
