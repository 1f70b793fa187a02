"""Real data that needs no network (scikit-learn's bundled sets), and seeded generators.

Every function returns plain arrays, is deterministic given its seed, and imports what it needs only when called.
"""

from optlab.datasets.games import blotto_game, gaussian_game, rock_paper_scissors, wine_tournament
from optlab.datasets.images import (
    BlurredPhotograph,
    GaussianBlur,
    blurred_photograph,
    digit_images,
    downsample,
    photograph,
)
from optlab.datasets.tables import breast_cancer, diabetes, standardize
from optlab.datasets.transport import divergence_counterexample, marginal, transport_family

__all__ = [
    "BlurredPhotograph",
    "GaussianBlur",
    "blotto_game",
    "blurred_photograph",
    "breast_cancer",
    "diabetes",
    "digit_images",
    "divergence_counterexample",
    "downsample",
    "gaussian_game",
    "marginal",
    "photograph",
    "rock_paper_scissors",
    "standardize",
    "transport_family",
    "wine_tournament",
]
