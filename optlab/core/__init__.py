"""The ground floor: problems, methods, the one iteration loop, histories, results, stopping rules, checkpoints."""

from optlab.core import stopping
from optlab.core.citation import cite
from optlab.core.contract.protocols import Method, Problem, State
from optlab.core.errors import CheckpointError, CheckpointWarning, DomainError, IncompatibleError
from optlab.core.records.history import History
from optlab.core.records.result import Result, Status
from optlab.core.running.solver import iterate, solve
from optlab.core.studies import Study, study
from optlab.core.studies.comparison import compare

__all__ = [
    "CheckpointError",
    "CheckpointWarning",
    "DomainError",
    "History",
    "IncompatibleError",
    "Method",
    "Problem",
    "Result",
    "State",
    "Status",
    "Study",
    "cite",
    "compare",
    "iterate",
    "solve",
    "stopping",
    "study",
]
