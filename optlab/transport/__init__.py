"""Optimal transport: problems on dense and point-cloud costs, plans with certificates, methods and baselines.

Names are resolved on first use: the kernels (and with them Numba) are loaded by the first cost or problem
made.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# public name -> module that defines it
_EXPORTS = {
    "OptimalTransport": "balanced.problem",
    "TransportPlan": "balanced.plan",
    "MirrorPlan": "plans.potentials",
    "DenseCost": "costs.dense",
    "GaugedCost": "costs.dense",
    "NamespaceCost": "costs.foreign",
    "PointCloudCost": "costs.point_cloud",
    "SparseCost": "costs.sparse",
    "InfeasibleError": "costs.feasibility",
    "as_cost": "costs.convert",
    "EntropicStepSize": "balanced.step_sizes",
    "ExactPlan": "exact.rounds",
    "ExactTransport": "exact.rounds",
    "Sinkhorn": "entropic.sinkhorn",
    "AnnealedSinkhorn": "entropic.sinkhorn",
    "IPOT": "entropic.ipot",
    "EuclideanDouglasRachford": "whole_matrix",
    "WangBanerjeeADMM": "whole_matrix",
    "NetworkSimplex": "solvers",
    "LinearProgram": "solvers",
    "PeerSinkhorn": "solvers",
    "transport": "oneshot",
    "BatchTransport": "batch",
    "batch_transport": "batch",
    "UnbalancedOptimalTransport": "relaxed.unbalanced",
    "PartialOptimalTransport": "relaxed.partial",
    "RelaxedPlan": "relaxed.plan",
    "GeneralizedSinkhorn": "relaxed.generalized_sinkhorn",
    "SinkhornNewton": "entropic.newton",
    "ProximalNewton": "entropic.proximal_newton",
    "AndersonSinkhorn": "entropic.anderson",
    "WassersteinBarycenter": "relaxed.barycenter",
    "Barycenter": "relaxed.barycenter",
    "free_support_barycenter": "relaxed.free_support",
    "QuadraticOptimalTransport": "quadratic.problem",
    "QuadraticPlan": "quadratic.plan",
    "SemiDualPoint": "quadratic.problem",
    "SemismoothNewton": "quadratic.semismooth_newton",
    "SemiDualLBFGS": "quadratic.semidual_lbfgs",
    "wasserstein_1d": "closed_forms.line",
    "wasserstein_circle": "closed_forms.circle",
    "StaircasePlan": "closed_forms.staircase",
    "sliced_wasserstein": "closed_forms.slices",
    "SlicedDistance": "closed_forms.slices",
    "max_sliced_wasserstein": "closed_forms.slices",
    "MaxSliced": "closed_forms.slices",
    "bures_wasserstein": "closed_forms.gaussian",
    "bures_barycenter": "closed_forms.gaussian",
    "GaussianTransport": "closed_forms.gaussian",
    "sinkhorn_divergence": "relatives.divergence",
    "SinkhornDivergence": "relatives.divergence",
    "minimum_entropy_coupling": "relatives.entropy_coupling",
    "EntropyCoupling": "relatives.entropy_coupling",
    "LightSchrodingerBridge": "relatives.schrodinger_bridge",
}

__all__ = list(_EXPORTS)

if TYPE_CHECKING:
    from optlab.transport.balanced.plan import TransportPlan as TransportPlan
    from optlab.transport.balanced.problem import OptimalTransport as OptimalTransport
    from optlab.transport.balanced.step_sizes import EntropicStepSize as EntropicStepSize
    from optlab.transport.batch import BatchTransport as BatchTransport
    from optlab.transport.batch import batch_transport as batch_transport
    from optlab.transport.closed_forms.circle import wasserstein_circle as wasserstein_circle
    from optlab.transport.closed_forms.gaussian import GaussianTransport as GaussianTransport
    from optlab.transport.closed_forms.gaussian import bures_barycenter as bures_barycenter
    from optlab.transport.closed_forms.gaussian import bures_wasserstein as bures_wasserstein
    from optlab.transport.closed_forms.line import wasserstein_1d as wasserstein_1d
    from optlab.transport.closed_forms.slices import MaxSliced as MaxSliced
    from optlab.transport.closed_forms.slices import SlicedDistance as SlicedDistance
    from optlab.transport.closed_forms.slices import max_sliced_wasserstein as max_sliced_wasserstein
    from optlab.transport.closed_forms.slices import sliced_wasserstein as sliced_wasserstein
    from optlab.transport.closed_forms.staircase import StaircasePlan as StaircasePlan
    from optlab.transport.costs.convert import as_cost as as_cost
    from optlab.transport.costs.dense import DenseCost as DenseCost
    from optlab.transport.costs.dense import GaugedCost as GaugedCost
    from optlab.transport.costs.feasibility import InfeasibleError as InfeasibleError
    from optlab.transport.costs.foreign import NamespaceCost as NamespaceCost
    from optlab.transport.costs.point_cloud import PointCloudCost as PointCloudCost
    from optlab.transport.costs.sparse import SparseCost as SparseCost
    from optlab.transport.entropic.anderson import AndersonSinkhorn as AndersonSinkhorn
    from optlab.transport.entropic.ipot import IPOT as IPOT
    from optlab.transport.entropic.newton import SinkhornNewton as SinkhornNewton
    from optlab.transport.entropic.proximal_newton import ProximalNewton as ProximalNewton
    from optlab.transport.entropic.sinkhorn import AnnealedSinkhorn as AnnealedSinkhorn
    from optlab.transport.entropic.sinkhorn import Sinkhorn as Sinkhorn
    from optlab.transport.exact.rounds import ExactPlan as ExactPlan
    from optlab.transport.exact.rounds import ExactTransport as ExactTransport
    from optlab.transport.oneshot import transport as transport
    from optlab.transport.plans.potentials import MirrorPlan as MirrorPlan
    from optlab.transport.quadratic.plan import QuadraticPlan as QuadraticPlan
    from optlab.transport.quadratic.problem import QuadraticOptimalTransport as QuadraticOptimalTransport
    from optlab.transport.quadratic.problem import SemiDualPoint as SemiDualPoint
    from optlab.transport.quadratic.semidual_lbfgs import SemiDualLBFGS as SemiDualLBFGS
    from optlab.transport.quadratic.semismooth_newton import SemismoothNewton as SemismoothNewton
    from optlab.transport.relatives.divergence import SinkhornDivergence as SinkhornDivergence
    from optlab.transport.relatives.divergence import sinkhorn_divergence as sinkhorn_divergence
    from optlab.transport.relatives.entropy_coupling import EntropyCoupling as EntropyCoupling
    from optlab.transport.relatives.entropy_coupling import minimum_entropy_coupling as minimum_entropy_coupling
    from optlab.transport.relatives.schrodinger_bridge import LightSchrodingerBridge as LightSchrodingerBridge
    from optlab.transport.relaxed.barycenter import Barycenter as Barycenter
    from optlab.transport.relaxed.barycenter import WassersteinBarycenter as WassersteinBarycenter
    from optlab.transport.relaxed.free_support import free_support_barycenter as free_support_barycenter
    from optlab.transport.relaxed.generalized_sinkhorn import GeneralizedSinkhorn as GeneralizedSinkhorn
    from optlab.transport.relaxed.partial import PartialOptimalTransport as PartialOptimalTransport
    from optlab.transport.relaxed.plan import RelaxedPlan as RelaxedPlan
    from optlab.transport.relaxed.unbalanced import UnbalancedOptimalTransport as UnbalancedOptimalTransport
    from optlab.transport.solvers import LinearProgram as LinearProgram
    from optlab.transport.solvers import NetworkSimplex as NetworkSimplex
    from optlab.transport.solvers import PeerSinkhorn as PeerSinkhorn
    from optlab.transport.whole_matrix import EuclideanDouglasRachford as EuclideanDouglasRachford
    from optlab.transport.whole_matrix import WangBanerjeeADMM as WangBanerjeeADMM


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'optlab.transport' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"optlab.transport.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
