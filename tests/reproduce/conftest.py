"""A folder of toy experiments, one file per paper, written anew for each test."""

import textwrap

import pytest

from optlab.reproduce.figures import FIGURES
from optlab.reproduce.theorems import THEOREMS

FIGURE = """
    import pathlib
    import numpy as np
    import optlab

    @optlab.figure(id="{id}", paper="toy", title="Toy figure {id}")
    def figure(scale, seed):
        with open({log!r}, "a") as file:
            file.write("{id}\\n")
        values = np.random.default_rng(seed).random(5) + {shift}
        def draw(ax):
            ax.plot(values)
        claims = [("Values are below 2.", bool(values.max() < 2), values.max()), ("Larger at paper size.", None)]
        return optlab.Figure({{"k": np.arange(5), "value": values}}, draw, claims=claims, caption="A <toy> & more.")
"""

THEOREM = """
    import numpy as np
    import optlab

    @optlab.theorem(id="{id}", paper="toy", statement="x_k <= 2**-k", assumptions=("halving",), source="Theorem 1")
    def check(scale, seed):
        k = np.arange(20)
        return optlab.Evidence(k, {factor} ** k, 0.5**k)

    {control}
    def _(scale, seed):
        k = np.arange(20)
        return optlab.Evidence(k, {control_factor} ** k, 0.5**k)
"""


class Experiments:
    """Writes toy files and reads which figures were really computed."""

    def __init__(self, folder):
        self.root = folder / "experiments"
        (self.root / "toy").mkdir(parents=True)
        self.log = folder / "computed.log"

    def write(self, name, source):
        path = self.root / "toy" / f"{name}.py"
        path.write_text(textwrap.dedent(source))
        return path

    def figure(self, id, shift=0.0):
        return self.write(id, textwrap.dedent(FIGURE).format(id=id, shift=shift, log=str(self.log)))

    def theorem(self, id, factor=0.4, control_factor=0.6, control=True):
        line = '@check.control("factor above one half")' if control else ""
        source = textwrap.dedent(THEOREM)
        return self.write(id, source.format(id=id, factor=factor, control=line, control_factor=control_factor))

    def computed(self):
        """Ids computed since the last call."""
        lines = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return sorted(lines)

    def discover(self):
        from optlab.reproduce.discovery import discover

        return discover(self.root, theorem_modules=())


@pytest.fixture
def experiments(tmp_path):
    before = dict(FIGURES), dict(THEOREMS)
    yield Experiments(tmp_path)
    # what the package has registered meanwhile stays: its modules are not loaded a second time
    for registry, old in zip((FIGURES, THEOREMS), before):
        for id in [id for id, spec in registry.items() if spec.file.startswith(str(tmp_path))]:
            del registry[id]
        registry.update(old)
