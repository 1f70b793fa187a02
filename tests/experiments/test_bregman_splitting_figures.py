"""Every figure of the Bregman splitting paper: runs at the smallest scale, with finite data and computed claims."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from optlab.reproduce import discovery
from optlab.reproduce.figures import FIGURES, Figure

FOLDER = Path(__file__).parents[2] / "experiments" / "bregman_splitting"
# file -> id; those in SLOW take more than about three seconds
FILES = {
    "accelerated": "ot-gap-against-time",
    "equivalence": "bdrs-equivalence",
    "transport_gamma": "bdrs-ot-gamma",
    "relaxation": "bdrs-relaxation",
    "counterexample": "bdrs-counterexample",
    "local_rates": "bdrs-local-rates",
    "entropic_acceleration": "bdrs-entropic-acceleration",
    "certificates": "bdrs-certificates",
    "smooth_bound": "bdrs-smooth-bound",
    "beyond_transport": "bdrs-beyond-ot",
    "scale_memory": "bdrs-scale",
    "exact_growth": "exact-transport-growth",
    "nonmonotone": "bdrs-nonmonotone",
    "color_transfer": "bdrs-color-transfer",
    "deblurring": "bdrs-deblurring",
}
SLOW = {
    "accelerated",
    "transport_gamma",
    "local_rates",
    "beyond_transport",
    "certificates",
    "entropic_acceleration",
}
# columns where NaN says "not reached" or "the run ended before"
MAY_BE_MISSING = {"iterations", "sinkhorn", "best", "adaptive", "overrelaxed", "potential_size", "V_4", "V_16", "V_64"}
_cache: dict[str, Figure] = {}


def smoke(name: str) -> Figure:
    """The figure at scale smoke, computed once for all tests."""
    if name not in _cache:
        discovery.load(str(FOLDER / f"{name}.py"))
        _cache[name] = FIGURES[FILES[name]]("smoke", 0)
    return _cache[name]


def every_figure():
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FILES]


def test_every_file_is_listed_here():
    assert {path.stem for path in FOLDER.glob("*.py") if not path.name.startswith("_")} == set(FILES)


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("name", every_figure())
def test_smoke_scale_bears_out_what_it_can_judge(name):
    figure = smoke(name)
    assert figure.caption
    assert len(figure.claims) >= 3
    failed = [f"{claim.sentence} ({claim.text})" for claim in figure.claims if claim.holds is False]
    assert not failed, "\n".join(failed)
    assert any(claim.holds for claim in figure.claims)
    assert all(claim.number is not None for claim in figure.claims if claim.holds is not None)


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("name", every_figure())
def test_data_are_finite(name):
    for table_name, table in smoke(name).tables().items():
        columns = table.items() if isinstance(table, dict) else [(table_name, table)]
        for column, values in columns:
            if np.issubdtype(np.asarray(values).dtype, np.number) and column not in MAY_BE_MISSING:
                assert np.isfinite(values).all(), f"{table_name}.{column}"


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("name", every_figure())
def test_it_draws(name):
    canvas = smoke(name).render()
    titles = [ax.get_title() or ax.get_title("left") for ax in canvas.axes[:1]]  # of shared axes only one has a label
    assert all(t or ax.get_xlabel() or not ax.axison or ax.images for t, ax in zip(titles, canvas.axes))


def test_claims_follow_from_the_data_not_from_the_sentence(monkeypatch):
    """With the dual's operators swapped the equivalence figure must say that its claims do not hold."""
    module = discovery.load(str(FOLDER / "equivalence.py"))
    original = module.two_blocks

    def swapped(kernel, seed):
        primal, dual, other = original(kernel, seed)
        return primal, other, dual

    monkeypatch.setattr(module, "two_blocks", swapped)
    figure = FIGURES["bdrs-equivalence"]("smoke", 0)
    assert sum(claim.holds is False for claim in figure.claims) >= 5


def test_another_seed_is_another_figure():
    discovery.load(str(FOLDER / "nonmonotone.py"))
    other = FIGURES["bdrs-nonmonotone"]("smoke", 7).tables()["data"]["divergence"]
    assert not np.array_equal(other, smoke("nonmonotone").tables()["data"]["divergence"])
