"""Quantized weights: convex regularisers that pull onto a grid, training through latent weights, packed storage.

    from optlab.quantization import PARQ, Annealing
    from optlab.stochastic import SGD, SoftmaxRegression
    method = PARQ(SGD(0.5, batch_size=32), bits=2, annealing=Annealing(2000))
    result = optlab.solve(SoftmaxRegression(A, labels), method, max_iter=2500, seed=0)

Regularisers are terms like any other (`PiecewiseAffine` runs in `optlab.firstorder`); methods are wrappers around any
method with a variable.
"""

from optlab.quantization.calibration import best_on_grid, error_feedback, layer_error
from optlab.quantization.grids import by_rows, least_squares_grid, ternary_grid, uniform_grid
from optlab.quantization.latent import PARQ, BinaryRelax, ProxQuant, StraightThrough
from optlab.quantization.learned_scales import LearnedScales, output_rows, row_groups
from optlab.quantization.levels import DistanceToLevels, Levels
from optlab.quantization.maps import Annealing, interpolant, nearest, pulled, relaxed, soft_round
from optlab.quantization.packing import PackedMatrix, pack, unpack
from optlab.quantization.piecewise_affine import PiecewiseAffine, nearest_point_slopes
from optlab.quantization.quantizers import LSQ, SEQ, ElasticBinary
from optlab.quantization.regularized import AggregateProx, ProximalSteps, RegularizedDualAveraging

__all__ = [
    "LSQ",
    "PARQ",
    "SEQ",
    "AggregateProx",
    "Annealing",
    "BinaryRelax",
    "DistanceToLevels",
    "ElasticBinary",
    "LearnedScales",
    "Levels",
    "PackedMatrix",
    "PiecewiseAffine",
    "ProxQuant",
    "ProximalSteps",
    "RegularizedDualAveraging",
    "StraightThrough",
    "best_on_grid",
    "by_rows",
    "error_feedback",
    "interpolant",
    "layer_error",
    "least_squares_grid",
    "nearest",
    "nearest_point_slopes",
    "output_rows",
    "pack",
    "pulled",
    "relaxed",
    "row_groups",
    "soft_round",
    "ternary_grid",
    "uniform_grid",
    "unpack",
]
