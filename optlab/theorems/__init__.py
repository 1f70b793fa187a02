"""Theorem checks, one file per paper. Any module in this package is found by `discover`; nothing to register by hand.

A file decorates functions with `optlab.theorem` and gives each at least one negative control.
"""

from __future__ import annotations


def modules() -> list[str]:
    """Return the dotted names of the modules here, without importing them; names starting with ``_`` are helpers."""
    import pkgutil

    return sorted(f"{__name__}.{m.name}" for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def discover() -> dict[str, object]:
    """Import every module of this package and return the registered checks by id."""
    import importlib

    from optlab.reproduce.theorems import THEOREMS

    for name in modules():
        importlib.import_module(name)
    return dict(THEOREMS)
