"""Optimal transport: problems on dense and point-cloud costs, plans with certificates, methods and baselines.

Names are resolved on first use: the kernels (and with them Numba) are loaded by the first cost or problem
made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# public name -> module that defines it
_EXPORTS = {
    "OptimalTransport": "problem",
    "TransportPlan": "plan",
    "MirrorPlan": "potentials",
    "DenseCost": "costs",
    "GaugedCost": "costs",
    "PointCloudCost": "point_cloud",
    "SparseCost": "sparse_cost",
    "InfeasibleError": "feasibility",
    "as_cost": "costs",
    "EntropicStepSize": "step_sizes",
    "ExactPlan": "exact",
    "ExactTransport": "exact",
    "Sinkhorn": "sinkhorn",
    "AnnealedSinkhorn": "sinkhorn",
    "IPOT": "ipot",
    "EuclideanDouglasRachford": "dense",
    "WangBanerjeeADMM": "dense",
    "NetworkSimplex": "solvers",
    "LinearProgram": "solvers",
    "PeerSinkhorn": "solvers",
    "transport": "oneshot",
    "BatchTransport": "batch",
    "batch_transport": "batch",
    "UnbalancedOptimalTransport": "unbalanced",
    "PartialOptimalTransport": "partial",
    "RelaxedPlan": "relaxed",
    "GeneralizedSinkhorn": "scaling",
    "SinkhornNewton": "newton",
    "ProximalNewton": "proximal_newton",
    "AndersonSinkhorn": "anderson",
    "WassersteinBarycenter": "barycenter",
    "Barycenter": "barycenter",
    "free_support_barycenter": "free_support",
    "QuadraticOptimalTransport": "quadratic",
    "QuadraticPlan": "quadratic_plan",
    "SemiDualPoint": "quadratic",
    "SemismoothNewton": "quadratic_newton",
    "SemiDualLBFGS": "semidual_lbfgs",
}

__all__ = list(_EXPORTS)

if TYPE_CHECKING:
    from optlab.transport.anderson import AndersonSinkhorn as AndersonSinkhorn
    from optlab.transport.barycenter import Barycenter as Barycenter
    from optlab.transport.barycenter import WassersteinBarycenter as WassersteinBarycenter
    from optlab.transport.batch import BatchTransport as BatchTransport
    from optlab.transport.batch import batch_transport as batch_transport
    from optlab.transport.costs import DenseCost as DenseCost
    from optlab.transport.costs import GaugedCost as GaugedCost
    from optlab.transport.costs import as_cost as as_cost
    from optlab.transport.dense import EuclideanDouglasRachford as EuclideanDouglasRachford
    from optlab.transport.dense import WangBanerjeeADMM as WangBanerjeeADMM
    from optlab.transport.exact import ExactPlan as ExactPlan
    from optlab.transport.exact import ExactTransport as ExactTransport
    from optlab.transport.feasibility import InfeasibleError as InfeasibleError
    from optlab.transport.free_support import free_support_barycenter as free_support_barycenter
    from optlab.transport.ipot import IPOT as IPOT
    from optlab.transport.newton import SinkhornNewton as SinkhornNewton
    from optlab.transport.oneshot import transport as transport
    from optlab.transport.partial import PartialOptimalTransport as PartialOptimalTransport
    from optlab.transport.plan import TransportPlan as TransportPlan
    from optlab.transport.point_cloud import PointCloudCost as PointCloudCost
    from optlab.transport.potentials import MirrorPlan as MirrorPlan
    from optlab.transport.problem import OptimalTransport as OptimalTransport
    from optlab.transport.proximal_newton import ProximalNewton as ProximalNewton
    from optlab.transport.quadratic import QuadraticOptimalTransport as QuadraticOptimalTransport
    from optlab.transport.quadratic import SemiDualPoint as SemiDualPoint
    from optlab.transport.quadratic_newton import SemismoothNewton as SemismoothNewton
    from optlab.transport.quadratic_plan import QuadraticPlan as QuadraticPlan
    from optlab.transport.relaxed import RelaxedPlan as RelaxedPlan
    from optlab.transport.scaling import GeneralizedSinkhorn as GeneralizedSinkhorn
    from optlab.transport.semidual_lbfgs import SemiDualLBFGS as SemiDualLBFGS
    from optlab.transport.sinkhorn import AnnealedSinkhorn as AnnealedSinkhorn
    from optlab.transport.sinkhorn import Sinkhorn as Sinkhorn
    from optlab.transport.solvers import LinearProgram as LinearProgram
    from optlab.transport.solvers import NetworkSimplex as NetworkSimplex
    from optlab.transport.solvers import PeerSinkhorn as PeerSinkhorn
    from optlab.transport.sparse_cost import SparseCost as SparseCost
    from optlab.transport.step_sizes import EntropicStepSize as EntropicStepSize
    from optlab.transport.unbalanced import UnbalancedOptimalTransport as UnbalancedOptimalTransport


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'optlab.transport' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"optlab.transport.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
