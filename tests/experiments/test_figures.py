"""Every figure that there is, found by itself: what is asked of all of them. What single figures are made of stands in
the files named after their papers.
"""

from pathlib import Path

import numpy as np
import pytest

from optlab.reproduce import discovery
from optlab.reproduce.figures import FIGURES

ROOT = Path(__file__).resolve().parents[2] / "experiments"
FILES = sorted(path for path in ROOT.glob("*/*.py") if not path.name.startswith("_"))

# where a missing or infinite number says "not reached", "diverged" or "the run ended before"
MAY_BE_MISSING = {"iterations", "V_4", "V_16", "V_64", "steps", "final", "relative_gap", "captured", "error"}
MAY_BE_MISSING |= {"subspace_error", "sinkhorn", "best", "adaptive", "overrelaxed", "potential_size"}

UNJUDGED = {"cartpole"}  # at the smallest scale there is no time to learn anything


def specs(path):
    """The figures that a file registers."""
    discovery.load(str(path))
    return [spec for spec in FIGURES.values() if spec.file == str(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_registers_a_figure_of_its_papers(path):
    found = specs(path)
    assert found
    assert {spec.paper for spec in found} == {path.parent.name.replace("_", "-")}
    assert all(spec.title for spec in found)


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_figure_bears_out_what_it_can_judge_has_finite_data_and_draws(path):
    for spec in specs(path):
        figure = spec("smoke", 0)
        if figure.skipped:
            pytest.skip(figure.skipped)
        assert figure.caption
        failed = [f"{claim.sentence} ({claim.text})" for claim in figure.claims if claim.holds is False]
        assert not failed, "\n".join(failed)
        if path.stem not in UNJUDGED:
            assert any(claim.holds for claim in figure.claims)
        assert all(claim.number is not None for claim in figure.claims if claim.holds is not None)
        for name, table in figure.tables().items():
            for column, values in table.items() if isinstance(table, dict) else [(name, table)]:
                if np.issubdtype(values.dtype, np.number) and column not in MAY_BE_MISSING:
                    assert np.isfinite(values).all(), f"{name}.{column}"
        canvas = figure.render()
        canvas.draw_without_rendering()
        shown = canvas.axes[0]
        assert shown.get_title() or shown.get_title("left") or shown.get_xlabel() or shown.images or not shown.axison
