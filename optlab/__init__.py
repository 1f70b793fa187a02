"""optlab: optimization methods from the research literature behind one convergence-tracking interface.

Three jobs: import a solver in a script (`optlab.solve`), regenerate a paper's plots (``optlab reproduce``) and
verify a convergence theorem numerically (``optlab verify``).

Names are resolved on first use, so that ``import optlab`` stays fast: Numba, matplotlib and scikit-learn are
loaded only by the parts that need them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# public name -> module that defines it
_EXPORTS = {
    "solve": "optlab.core.running.solver",
    "iterate": "optlab.core.running.solver",
    "History": "optlab.core.records.history",
    "Result": "optlab.core.records.result",
    "Status": "optlab.core.records.result",
    "study": "optlab.core.studies",
    "Study": "optlab.core.studies",
    "compare": "optlab.core.studies.comparison",
    "cite": "optlab.core.citation",
    "applicable": "optlab.core.contract.capabilities",
    "IncompatibleError": "optlab.core.errors",
    "check_problem": "optlab.core.running.conformance",
    "check_method": "optlab.core.running.conformance",
    "theorem": "optlab.reproduce",
    "Evidence": "optlab.reproduce",
    "figure": "optlab.reproduce",
    "Figure": "optlab.reproduce",
}
_SUBMODULES = (
    "benchmarks",
    "bregman",
    "composite",
    "core",
    "datasets",
    "firstorder",
    "games",
    "linalg",
    "multiview",
    "plotting",
    "policy",
    "quantization",
    "reproduce",
    "splitting",
    "stochastic",
    "theorems",
    "theory",
    "transport",
    "wrappers",
)
# the packages whose public classes are methods; `optlab.applicable` and the conformance tests walk them
METHOD_PACKAGES = (
    "wrappers",
    "splitting",
    "firstorder",
    "transport",
    "stochastic",
    "policy",
    "multiview",
    "quantization",
    "games",
)

__all__ = [*_EXPORTS, "stopping", *_SUBMODULES, "__version__"]

if TYPE_CHECKING:
    from optlab.core import stopping as stopping
    from optlab.core.citation import cite as cite
    from optlab.core.contract.capabilities import applicable as applicable
    from optlab.core.errors import IncompatibleError as IncompatibleError
    from optlab.core.records.history import History as History
    from optlab.core.records.result import Result as Result
    from optlab.core.records.result import Status as Status
    from optlab.core.running.conformance import check_method as check_method
    from optlab.core.running.conformance import check_problem as check_problem
    from optlab.core.running.solver import iterate as iterate
    from optlab.core.running.solver import solve as solve
    from optlab.core.studies import Study as Study
    from optlab.core.studies import study as study
    from optlab.core.studies.comparison import compare as compare
    from optlab.reproduce import Evidence as Evidence
    from optlab.reproduce import Figure as Figure
    from optlab.reproduce import figure as figure
    from optlab.reproduce import theorem as theorem


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
    elif name == "stopping":
        value = importlib.import_module("optlab.core.stopping")
    elif name in _SUBMODULES:
        value = importlib.import_module(f"optlab.{name}")
    else:
        raise AttributeError(f"module 'optlab' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
