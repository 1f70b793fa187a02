"""Bregman geometry: Legendre functions (kernels), their divergences, operators and projections."""

from optlab.bregman.burg import BurgEntropy
from optlab.bregman.entropy import ShannonEntropy, SimplexEntropy
from optlab.bregman.euclidean import Mahalanobis, SquaredEuclidean
from optlab.bregman.fermi_dirac import FermiDirac
from optlab.bregman.hellinger import Hellinger
from optlab.bregman.legendre import Legendre, SeparableLegendre
from optlab.bregman.matrix import LogDeterminant, VonNeumann
from optlab.bregman.power import PNorm, PowerEntropy

__all__ = [
    "BurgEntropy",
    "FermiDirac",
    "Hellinger",
    "Legendre",
    "LogDeterminant",
    "Mahalanobis",
    "PNorm",
    "PowerEntropy",
    "SeparableLegendre",
    "ShannonEntropy",
    "SimplexEntropy",
    "SquaredEuclidean",
    "VonNeumann",
]
