"""Figures in files: whole or not at all, the same bytes every time."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optlab.plotting.style import house_style, user_style


def save(fig: Any, path: str | os.PathLike[str], formats: Sequence[str] = ("png", "pdf"), dpi: int = 200) -> list[Path]:
    """Write `fig` as ``path.png`` and ``path.pdf``: each whole or not at all, the same bytes every time.

    Parameters
    ----------
    fig : matplotlib Figure
    path : path-like
        Without suffix; missing folders are made.
    formats : sequence of {"png", "pdf", "svg", "pgf"}
        PGF, for ``\\input`` in a LaTeX document, needs a LaTeX installation.
    dpi : int, default 200
        Of the PNG.

    Returns
    -------
    list of Path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix in formats:
        # not with_suffix: a name such as "gamma-0.1" has a dot of its own
        target = path.parent / f"{path.name}.{suffix}"
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", suffix=f".{suffix}", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(to_bytes(fig, suffix, dpi, house=False))
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        written.append(target)
    return written


def to_bytes(fig: Any, format: str = "png", dpi: int = 200, house: bool = True) -> bytes:
    """Return `fig` as a file's bytes, without the date and version that would change them from day to day.

    With `house` False the caller's settings win, as in `user_style`.
    """
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
        "svg": {"Date": None, "Creator": None},
        "pgf": {},
    }
    if format not in metadata:
        raise ValueError(f"format must be one of {', '.join(metadata)}, got {format!r}")
    buffer = io.BytesIO()
    # font embedding and the salt of SVG ids are read when the file is written
    with house_style() if house else user_style():
        if format == "pgf":
            _need_latex()
            text = io.StringIO()
            fig.savefig(text, format=format, dpi=dpi)
            return text.getvalue().encode()
        fig.savefig(buffer, format=format, dpi=dpi, metadata=metadata[format])
    return buffer.getvalue()


def _need_latex() -> None:
    import shutil

    import matplotlib

    system = str(matplotlib.rcParams["pgf.texsystem"])
    if shutil.which(system) is None:
        raise RuntimeError(
            f'a figure in .pgf needs {system}, which is not installed: install LaTeX, set rcParams["pgf.texsystem"] to '
            "what there is, or write .pdf"
        )
