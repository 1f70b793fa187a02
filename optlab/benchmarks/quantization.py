"""Quantized weights: proximal maps beside a copy and beside torchao, packed products beside dense ones.

torch and torchao take part where they are installed; they are in no extra because of torch's size.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from operator import matmul
from typing import Any

import numpy as np

from optlab.benchmarks import benchmark, compare_row, interleave


@benchmark(id="quantization-maps", title="Proximal maps of 4e6 weights, in passes over them")
def maps(scale: str, seed: int) -> list[dict[str, Any]]:
    """Time against copying the weights: one read and one write."""
    from optlab.quantization import PiecewiseAffine, soft_round

    n = 100_000 if scale == "smoke" else 4_000_000
    u = np.random.default_rng(seed).normal(size=n)
    out = np.empty_like(u)
    rows = []
    for corners in (1, 2, 4):
        psi = PiecewiseAffine(np.arange(corners + 1.0), 0.1 * np.arange(1.0, corners + 1.0))
        levels = 2 * corners + 1
        calls: dict[str, Callable[[], Any]] = {
            "optlab": partial(psi.proximal, u, 1.0),
            "copy": lambda: np.copyto(out, u),
            "copy to new memory": u.copy,
            "rounding by search": partial(psi.rounded, u),
        }
        times = interleave(calls, repeats=7, budget=20)
        rows.append(compare_row(f"PiecewiseAffine, {levels} levels", times, ours="optlab", peer="copy", ratio="cost"))
        rows.append(
            compare_row(
                f"PiecewiseAffine, {levels} levels",
                times,
                ours="optlab",
                peer="copy to new memory",
                ratio="cost",
                bar="<= 2" if scale != "smoke" else "",
                note="what is returned is new memory",
            )
        )
        rows.append(compare_row(f"PiecewiseAffine, {levels} levels", times, ours="optlab", peer="rounding by search"))
        calls = {"optlab": partial(soft_round, u, psi.grid, 0.1), "copy": lambda: np.copyto(out, u)}
        calls["copy to new memory"] = u.copy
        if importlib.util.find_spec("torchao") is not None:
            calls["torchao"] = _torchao(u, psi.grid)
        times = interleave(calls, repeats=7, budget=20)
        rows += [
            compare_row(f"PARQ's map, {levels} levels", times, ours="optlab", peer=peer, ratio="cost")
            for peer in calls
            if peer != "optlab"
        ]
    return rows


def _torchao(u: np.ndarray, grid: np.ndarray) -> Callable[[], Any]:
    import torch
    from torchao.prototype.parq.optim import ProxPARQ

    weights, levels, prox = torch.from_numpy(u), torch.from_numpy(np.array(grid)), ProxPARQ(0, 100, steepness=10)
    return lambda: prox.apply_(weights.clone(), None, levels, 70)


@benchmark(id="quantization-products", title="Products with packed matrices, against float32")
def products(scale: str, seed: int) -> list[dict[str, Any]]:
    """Time of ``W @ x`` against the same matrix in float32."""
    from optlab.quantization import PackedMatrix

    n = 512 if scale == "smoke" else 8192
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n).astype(np.float32)
    rows = []
    for bits in (1, 2, 4):
        codes = rng.integers(0, 2**bits, size=(n, n), dtype=np.uint8)
        W = PackedMatrix(codes, np.linspace(-1, 1, 2**bits), bits)
        dense = W.dense().astype(np.float32)
        times = interleave(
            {"packed": partial(matmul, W, x), "float32": partial(matmul, dense, x)}, repeats=9, budget=20
        )
        bar = ">= 2" if scale != "smoke" else ""
        note = f"{W.nbytes / 2**20:.1f} MB against {dense.nbytes / 2**20:.0f} MB"
        rows.append(compare_row(f"{bits} bits, {n} x {n}", times, ours="packed", peer="float32", bar=bar, note=note))
    return rows
