"""MASHA: extragradient with compressed messages, for a sum of operators that workers hold.

    zb = tau z + (1 - tau) w;   zh = J(zb - gamma F(w));   workers send Q(F_m(zh) - F_m(w));  the server sends Q_s(mean)
    z+ = J(zb - gamma F(w) - gamma Q_s(mean));   with probability 1 - tau   w = z+, and F_m(w) is sent in full

(Beznosikov, Richtarik, Diskin, Ryabinin, Gasnikov 2022.) What is compressed vanishes at a solution, so that compression
leaves no floor; gamma goes into the message, which the proof does not see. Biased compressors (MASHA2) send
``gamma (F_m(zh) - F_m(w)) + e_m`` and keep the rest in ``e_m``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from optlab.compression import Compressor, NaturalCompression, NoCompression
from optlab.core import Method, State
from optlab.core.validation import as_number

Array = Any
WORD = 64  # bits of the floating-point numbers here


@dataclass
class CompressedState(State):
    """State after k iterations: z, the snapshot and the workers' operators there, what was not sent, counts."""

    z: Array
    snapshot: Array
    values: Array
    kept: Array
    server_kept: Array
    step_size: float
    tau: float
    seed: int
    oracle_calls: int
    bits_up: float
    bits_down: float
    snapshots: int


@dataclass(frozen=True)
class MASHA(Method):
    """Compressed extragradient with snapshots: each component of a `FiniteSumInclusion` is a worker.

    Unbiased compressors, without a constraint: with ``V = tau |z - z*|^2 + |w - z*|^2`` and
    ``L_Q^2 = q_s ((q - 1)/M mean L_m^2 + L^2)``, ``E V+ <= (1 - gamma mu/2) V`` if ``gamma mu <= tau`` and
    ``gamma^2 L_Q^2 + gamma mu <= 1 - tau``. For biased ones no rate is claimed.

    Parameters
    ----------
    compressor : Compressor, default NaturalCompression()
        Of the workers (`optlab.compression`).
    server : Compressor, optional
        Of what the server sends back. Default: nothing is compressed there.
    step_size : float, optional
        gamma. Default: the largest that the theorem allows; needed for biased compressors.
    tau : float, optional
        One minus the probability of a snapshot, in [0, 1). Default: one minus the share of bits that compression
        leaves, at least 1/2: snapshots then cost about as much as messages.
    error_feedback : bool, default True
        Whether biased compressors keep what they did not send.

    Notes
    -----
    History columns: ``bits_up`` (of each worker), ``bits_down``, ``snapshots``; ``oracle_calls`` counts components.

    References
    ----------
    Beznosikov, Richtarik, Diskin, Ryabinin, Gasnikov (2022), Distributed methods with compressed communication for
    solving variational inequalities, with theoretical guarantees. The constants above are derived here.

    Examples
    --------
    >>> import optlab
    >>> from optlab.compression import RandK
    >>> from optlab.games import MASHA, FiniteSumInclusion
    >>> H = np.array([[[1.0, i], [-i, 1.0]] for i in (0.5, 1.0, 1.5)])
    >>> problem = FiniteSumInclusion(H, np.ones((3, 2)))
    >>> result = optlab.solve(problem, MASHA(RandK(1)), tol=1e-8, max_iter=5000, seed=0)
    >>> result.success, bool(abs(result.solution - problem.solution()).max() < 1e-7)
    (True, True)
    """

    compressor: Compressor = field(default_factory=NaturalCompression)
    server: Compressor | None = None
    step_size: float | None = None
    tau: float | None = None
    error_feedback: bool = True
    requires: ClassVar[tuple[str, ...]] = ("each", "resolve")
    needs: ClassVar[str] = "a finite sum of operators (optlab.games.FiniteSumInclusion)"
    reference: ClassVar[str] = "beznosikov2022distributed"

    def __post_init__(self) -> None:
        for name in ("compressor", "server"):
            value = getattr(self, name)
            if not isinstance(value, Compressor) and not (name == "server" and value is None):
                raise TypeError(f"{name} must be a Compressor of optlab.compression, got {value!r}")
        if self.step_size is not None:
            object.__setattr__(self, "step_size", as_number(self.step_size, "step_size", above=0))
        if self.tau is not None:
            object.__setattr__(self, "tau", as_number(self.tau, "tau", minimum=0, below=1))

    def _biased(self, d: int) -> tuple[bool, bool]:
        server = NoCompression() if self.server is None else self.server
        return math.isinf(self.compressor.variance(d)), math.isinf(server.variance(d))

    def accepts(self, problem: Any) -> str | None:
        """Return a reason against biased compressors without a step size, or with a constraint."""
        if not any(self._biased(problem.size)):
            return None
        if self.step_size is None:
            return "needs a step size where a compressor is biased: no proof gives one"
        return "needs a problem without a constraint where a compressor is biased" if problem.constraint else None

    def proved_step_size(self, problem: Any) -> float:
        """Return the largest gamma with ``gamma^2 L_Q^2 + gamma mu <= 1 - tau`` and ``gamma mu <= tau``."""
        d, M, mu, tau = problem.size, problem.n, problem.strong_monotonicity, self.snapshot_tau(problem)
        q, q_server = self.compressor.variance(d), 1.0 if self.server is None else self.server.variance(d)
        squared = q_server * ((q - 1.0) / M * float(np.mean(problem.component_lipschitz**2)) + problem.lipschitz**2)
        if squared == 0.0:
            return 1.0
        gamma = 2.0 * (1.0 - tau) / (mu + math.sqrt(mu**2 + 4.0 * squared * (1.0 - tau)))  # the positive root
        return min(gamma, tau / mu) if mu > 0.0 and tau > 0.0 else gamma

    def snapshot_tau(self, problem: Any) -> float:
        """Return tau."""
        if self.tau is not None:
            return self.tau
        return max(0.5, 1.0 - self.compressor.bits(problem.size, WORD) / (WORD * problem.size))

    def init(self, problem: Any, x0: Any, rng: np.random.Generator) -> CompressedState:
        """Return the state at iteration 0: the start is the first snapshot."""
        z = problem.resolve(np.array(x0, dtype=float), 1.0)
        gamma = self.proved_step_size(problem) if self.step_size is None else self.step_size
        full = float(WORD * problem.size)
        zeros = np.zeros(problem.size)
        values = problem.each(z)
        return CompressedState(
            0, z, z, values, np.zeros_like(values), zeros, gamma, self.snapshot_tau(problem),
            int(rng.integers(2**62)), problem.n, full, full, 1,
        )  # fmt: skip

    def step(self, problem: Any, state: CompressedState) -> CompressedState:
        """Return the state one iteration later."""
        gamma, tau, d = state.step_size, state.tau, problem.size
        rng = np.random.default_rng([state.seed, state.k])
        anchor = tau * state.z + (1.0 - tau) * state.snapshot - gamma * state.values.mean(axis=0)
        half = problem.resolve(anchor, gamma)
        biased, server_biased = self._biased(d)
        change = gamma * (problem.each(half) - state.values)
        sent, kept = self._sent(self.compressor, change, state.kept, biased, rng)
        mean, server_kept = sent.mean(axis=0), state.server_kept
        bits_up, bits_down = self.compressor.bits(d, WORD), float(WORD * d)
        if self.server is not None:
            mean, server_kept = self._sent(self.server, mean, server_kept, server_biased, rng)
            bits_down = self.server.bits(d, WORD)
        z = problem.resolve(anchor - mean, gamma)
        snapshot, values, calls, refresh = state.snapshot, state.values, problem.n, rng.random() < 1.0 - tau
        if refresh:
            snapshot, values = z, problem.each(z)
            calls, bits_up, bits_down = 2 * problem.n, bits_up + WORD * d, bits_down + WORD * d
        return CompressedState(
            state.k + 1, z, snapshot, values, kept, server_kept, gamma, tau, state.seed,
            state.oracle_calls + calls, state.bits_up + bits_up, state.bits_down + bits_down, state.snapshots + refresh,
        )  # fmt: skip

    def _sent(self, compressor: Any, x: Array, kept: Array, biased: bool, rng: Any) -> tuple[Array, Array]:
        """Return what arrives, and what is kept for later (biased compressors only)."""
        if not biased:
            return compressor(x, rng), kept
        wanted = x + kept
        sent = compressor(wanted, rng)
        return sent, wanted - sent if self.error_feedback else kept

    def iterate(self, problem: Any, state: CompressedState) -> Array:
        """Return z."""
        return state.z

    def measure(self, problem: Any, state: CompressedState) -> dict[str, float]:
        """Return bits up (of a worker) and down, snapshots, and the step size."""
        return {
            "bits_up": state.bits_up,
            "bits_down": state.bits_down,
            "snapshots": float(state.snapshots),
            "step_size": state.step_size,
        }

    def step_size_of(self, state: CompressedState) -> float:
        """Return gamma."""
        return state.step_size
