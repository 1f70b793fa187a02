"""Which samples a step sees: independent draws, shuffled passes, passes in order, or all of them.

The samples of many steps are drawn ahead in one call and handed to the compiled loop. The stream does not depend on how
a run is cut into calls: all three samplings are defined by a stream of sample numbers, of which step k takes entries
``k * batch_size`` to ``(k + 1) * batch_size - 1``. With passes, a batch may therefore straddle two passes when the
batch size does not divide the number of samples; every pass still visits each sample once.
"""

from __future__ import annotations

import numpy as np

SAMPLINGS = ("replacement", "shuffle", "sequential")


def copy_generator(rng: np.random.Generator) -> np.random.Generator:
    """Return an independent generator in the same state."""
    bits = type(rng.bit_generator)()
    bits.state = rng.bit_generator.state
    return np.random.Generator(bits)


def draw(
    sampling: str,
    rng: np.random.Generator,
    n_samples: int,
    count: int,
    permutation: np.ndarray,
    position: int,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the next `count` sample numbers, and the permutation in use with the position in it.

    Advances `rng` in place. `permutation` is empty unless `sampling` is "shuffle".
    """
    if sampling == "replacement":
        return rng.integers(0, n_samples, size=count), permutation, position
    if sampling == "sequential":
        return (position + np.arange(count)) % n_samples, permutation, (position + count) % n_samples
    parts = []
    while count > 0:
        if permutation.size == 0 or position == n_samples:
            permutation, position = rng.permutation(n_samples), 0
        taken = permutation[position : position + count]
        parts.append(taken)
        position += taken.size
        count -= taken.size
    return (parts[0] if len(parts) == 1 else np.concatenate(parts)), permutation, position
