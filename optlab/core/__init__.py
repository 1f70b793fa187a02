"""The ground floor: problems, methods, the one iteration loop, histories, results, stopping rules, checkpoints."""

from optlab.core.errors import CheckpointError, DomainError
from optlab.core.protocols import Method, Problem, State

__all__ = ["CheckpointError", "DomainError", "Method", "Problem", "State"]
