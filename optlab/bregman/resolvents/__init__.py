"""Bregman resolvents: `resolvent` looks up the closed form or solver for a (term, kernel) pair.

One file per kernel (`shannon`, `simplex_entropy`, `fermi_dirac`, `hellinger`, `burg`, `euclidean`), what holds in many
geometries in `general`, the generic numerical solver in `newton`, the matrix game in `game`; `registry` is the table.
"""

from optlab.bregman.resolvents import (
    burg,
    calculus,
    euclidean,
    expressions,
    fermi_dirac,
    game,
    general,
    hellinger,
    newton,
    proximal,
    shannon,
    simplex_entropy,
)
from optlab.bregman.resolvents.registry import (
    ResolventError,
    available_resolvents,
    bind_resolvent,
    has_resolvent,
    register_resolvent,
    resolvent,
    resolvent_in_run,
)

__all__ = [
    "ResolventError",
    "available_resolvents",
    "bind_resolvent",
    "burg",
    "calculus",
    "euclidean",
    "expressions",
    "fermi_dirac",
    "game",
    "general",
    "has_resolvent",
    "hellinger",
    "newton",
    "proximal",
    "register_resolvent",
    "resolvent",
    "resolvent_in_run",
    "shannon",
    "simplex_entropy",
]
