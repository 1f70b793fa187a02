"""Bits to accuracy: extragradient with compressed messages, and what quantizing alone leaves."""

from __future__ import annotations

import numpy as np

import optlab
from optlab.compression import Dithering, NaturalCompression, NoCompression, RandK
from optlab.games import MASHA, FiniteSumInclusion
from optlab.plotting import label_lines, log_axes, style
from optlab.reproduce import at_scale

COMPRESSORS = {
    "none": NoCompression(),
    "rand-3": RandK(3),
    "rand-10": RandK(10),
    "natural": NaturalCompression(),
    "dithering, 4 levels": Dithering(4),
}
TUNING = (1.0, 1.5, 2.0, 3.0, 4.0)  # times the proved step


def workers(seed: int, M: int = 10, d: int = 30, mu: float = 0.1) -> FiniteSumInclusion:
    """Return a strongly monotone sum of mostly skew operators, scaled to a Lipschitz constant near 1."""
    rng = np.random.default_rng(seed)
    S = rng.normal(size=(M, d, d))
    S = S - S.transpose(0, 2, 1)
    S /= np.linalg.norm(S.mean(axis=0), 2)
    return FiniteSumInclusion(mu * np.eye(d) + S, rng.normal(size=(M, d)))


def to_accuracy(problem, method, target: float, seed: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bits up (of a worker) and residuals, until the residual is `target` times the first."""
    start = problem.measure(np.zeros(problem.size))["residual"]
    history = optlab.solve(
        problem, method, tol=target * start, max_iter=limit, record=10, seed=seed, progress=False,
        stop=optlab.stopping.Diverged(),
    ).history  # fmt: skip
    return np.asarray(history["bits_up"]), np.asarray(history["residual"]) / start


def quantized_descent(problem, compressor, bits: float, seed: int) -> float:
    """Return the smallest residual that quantized descent steps mu/L^2 reach with as many bits."""
    rng, u = np.random.default_rng(seed), np.zeros(problem.size)
    gamma = problem.strong_monotonicity / problem.lipschitz**2
    start = best = problem.measure(u)["residual"]
    for _ in range(int(bits / compressor.bits(problem.size))):
        u = u - gamma * compressor(problem.each(u), rng).mean(axis=0)
        best = min(best, problem.measure(u)["residual"])
    return best / start


@optlab.figure(id="games-compression-bits", paper="games", title="Compressed extragradient: bits to accuracy")
def figure(scale: str, seed: int) -> optlab.Figure:
    problem, limit = workers(seed), at_scale(scale, 6000, 40_000)
    target, tuning = at_scale(scale, (1e-2, TUNING[::2]), (1e-6, TUNING))
    proved, tuned = {}, {}
    for name, compressor in COMPRESSORS.items():
        both = {} if compressor == NoCompression() else {"server": compressor}
        method = MASHA(compressor, **both)
        gamma = method.proved_step_size(problem)
        tries = [
            to_accuracy(problem, MASHA(compressor, step_size=factor * gamma, **both), target, seed, limit)
            for factor in tuning
        ]
        proved[name] = tries[0]
        reached = [t for t in tries if t[1][-1] <= target]
        tuned[name] = min(reached, key=lambda t: t[0][-1]) if reached else tries[0]
    floor = quantized_descent(problem, Dithering(4), proved["none"][0][-1], seed)

    def draw(axes):
        for ax, runs, title in zip(axes, (proved, tuned), ("proved steps", f"best of {len(tuning)} steps")):
            for i, (name, (bits, residual)) in enumerate(runs.items()):
                ax.plot(bits / 1e6, residual, label=name, **(style(i) | {"markevery": (3 * i, max(len(bits) // 6, 1))}))
            ax.set(title=title, xlabel="million bits sent by a worker", ylim=(target / 3, 3))
            log_axes(ax, "y")
        axes[0].set_ylabel("residual / first residual")
        label_lines(axes[0])
        label_lines(axes[1])

    last = {name: float(bits[-1]) if residual[-1] <= target else np.inf for name, (bits, residual) in tuned.items()}
    first = {name: float(bits[-1]) if residual[-1] <= target else np.inf for name, (bits, residual) in proved.items()}
    dense = ("natural", "dithering, 4 levels")
    finite = np.isfinite(last["none"])
    claims = [
        (
            "With tuned steps natural compression and dithering need at most 0.6 of the bits (larger ratio)",
            max(last[n] for n in dense) <= 0.6 * last["none"] if finite else None,
            max(last[n] for n in dense) / last["none"] if finite else None,
        ),
        (
            "At proved steps rand-3 needs more bits than no compression (ratio)",
            first["rand-3"] > first["none"] if np.isfinite(first["none"]) else None,
            first["rand-3"] / first["none"] if np.isfinite(first["none"]) else None,
        ),
        (
            "Quantized descent without snapshots stalls above a thousand times the target",
            floor > 1e3 * target if scale != "smoke" else None,
            floor,
        ),
    ]
    rows = {
        "steps": np.concatenate(
            [np.full(len(b), w) for w, r in (("proved", proved), ("tuned", tuned)) for b, _ in r.values()]
        ),
        "compressor": np.concatenate([np.full(len(b), n) for r in (proved, tuned) for n, (b, _) in r.items()]),
        "bits_up": np.concatenate([b for r in (proved, tuned) for b, _ in r.values()]),
        "residual": np.concatenate([v for r in (proved, tuned) for _, v in r.values()]),
    }
    caption = "Ten workers, 30 variables, mu = 0.1, L near 1; both directions compressed; 64-bit numbers."
    return optlab.Figure(rows, draw, claims, caption, panels=(1, 2), figsize=(9.2, 3.7))
