"""Theorem checks, a folder per paper. Any module in these is found by `discover`; nothing to register by hand.

A file decorates functions with `optlab.theorem` and gives each at least one negative control.
"""

from __future__ import annotations

# key -> name, and keys of the bibliography
PAPERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "bregman-splitting": ("Bregman Douglas–Rachford splitting", ("ma2025bregman",)),
    "dapo": ("Dual approximation policy optimization (DAPO)", ("xiong2024dual",)),
    "first-order": ("First-order and primal-dual methods", ("beck2009fast", "latafat2023adaptive", "chen2024lion")),
    "games": (
        "Games and monotone inclusions",
        ("nemirovski2004prox", "lee2021fast", "tiapkin2025accelerating", "beznosikov2022distributed"),
    ),
    "joint-lca": ("Joint linked component analysis", ("xiao2024joint",)),
    "ngn": ("NGN: non-negative Gauss–Newton step sizes", ("orvieto2024adaptive", "islamov2025enhancing")),
    "primal-averaging": ("Primal averaging: GPA, Schedule-Free, DiLoCo", ("defazio2025smoothing", "defazio2024road")),
    "quantization": ("PARQ: quantization by piecewise-affine regularization", ("jin2025parq", "liu2025paretoq")),
    "worst-cases": ("Worst cases of classes of problems", ("lieder2021convergence",)),
}


def papers() -> dict[str, dict[str, object]]:
    """Return name and arXiv numbers of each paper, the latter from the bibliography."""
    import re

    from optlab.core.citation import cite

    arxiv = re.compile(r"(?:arXiv:|eprint\s*=\s*\{)(\d{4}\.\d{4,5})")
    return {
        key: {"name": name, "arxiv": [number for entry in keys for number in arxiv.findall(cite(entry))]}
        for key, (name, keys) in PAPERS.items()
    }


def modules() -> list[str]:
    """Return the dotted names of the modules here, importing none; names starting with ``_`` are helpers."""
    from optlab.core.contract.catalogue import module_names

    return module_names(__path__, __name__)


def discover() -> dict[str, object]:
    """Import every module of this package and return the registered checks by id."""
    import importlib

    from optlab.reproduce.theorems import THEOREMS

    for name in modules():
        importlib.import_module(name)
    return dict(THEOREMS)
