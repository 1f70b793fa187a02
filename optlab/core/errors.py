"""Errors and warnings that callers may want to tell apart from a plain `ValueError` or `UserWarning`."""

from __future__ import annotations


class DomainError(ValueError):
    """A point left the domain on which a function, a mirror map or an operator is defined.

    Raised while iterating, it ends a run as ``Status.DIVERGED`` with the last finite state kept and this text in the
    message; raised from an operator called directly, it reaches the caller.
    """


class CheckpointError(ValueError):
    """A checkpoint file cannot be read, is incomplete, belongs to another run, or is being written by one."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written (the run goes on), or was written with another version of what computes."""


class IncompatibleError(TypeError):
    """A method does not fit a problem: raised before anything is computed.

    The message says what the method needs, what the problem offers, and which methods of its family would run instead;
    `optlab.applicable` gives the whole table.
    """
