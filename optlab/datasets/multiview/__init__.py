"""Simulated and real multiview data, and how far an estimate is from the truth."""

from optlab.datasets.multiview.files import MultiviewDataset, read_views
from optlab.datasets.multiview.simulated import (
    DESIGNS,
    Design,
    LinkedData,
    chimera_covariances,
    largest_angle,
    linked_covariances,
    load_breast_cancer,
    load_digits,
    load_linnerud,
    loading_error,
    make_linked_views,
    score_correlation,
    subspace_error,
)

__all__ = [
    "DESIGNS",
    "Design",
    "LinkedData",
    "MultiviewDataset",
    "chimera_covariances",
    "largest_angle",
    "linked_covariances",
    "load_breast_cancer",
    "load_digits",
    "load_linnerud",
    "loading_error",
    "make_linked_views",
    "read_views",
    "score_correlation",
    "subspace_error",
]
