"""Where a result comes from: versions, git commit, machine. Shown at the foot of the report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from typing import Any

from optlab.reproduce.discovery import PACKAGE

# distributions that benchmarks compare with
_PEERS = ("pot", "ott-jax", "geomloss", "scikit-learn", "quantecon", "pymdptoolbox", "mdpsolver", "cca-zoo")


def provenance(peers: bool = False) -> dict[str, Any]:
    """Return versions of what computes, the commit of a source checkout, and the machine's cores and BLAS.

    With `peers` also versions of the packages that benchmarks compare with, where they are installed.
    """
    facts: dict[str, Any] = {"optlab": _version("optlab"), "commit": _commit(), "python": platform.python_version()}
    facts |= {name: _version(name) for name in ("numpy", "scipy", "numba", "matplotlib")}
    if peers:
        facts |= {name: version for name in _PEERS if (version := _version(name)) != "not installed"}
    facts |= {"cpus": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}", "blas": _blas()}
    return facts


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The checkout's commit, with a ``+`` if files of the package or the experiments differ from it."""
    if not (PACKAGE.parent / ".git").exists():
        return ""
    try:
        git = ["git", "-C", str(PACKAGE.parent)]

        def run(*words: str) -> str:
            return subprocess.run([*git, *words], capture_output=True, text=True, timeout=10, check=True).stdout

        changed = run("status", "--porcelain", "--", "optlab", "experiments").strip()
        return run("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _blas() -> str:
    import numpy  # noqa: F401  (the library has to be loaded to be seen)
    from threadpoolctl import threadpool_info

    found = [info for info in threadpool_info() if info.get("user_api") == "blas"]
    parts = {
        " ".join(str(info[key]) for key in ("internal_api", "version", "architecture") if info.get(key))
        for info in found
    }
    return ", ".join(sorted(parts)) or "unknown"
