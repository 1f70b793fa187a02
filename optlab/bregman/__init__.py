"""Bregman geometry: Legendre functions, divergences, operators, projections, terms and their resolvents."""

from optlab.bregman.entropy import ShannonEntropy, SimplexEntropy
from optlab.bregman.legendre import Legendre, SeparableLegendre

__all__ = ["Legendre", "SeparableLegendre", "ShannonEntropy", "SimplexEntropy"]
