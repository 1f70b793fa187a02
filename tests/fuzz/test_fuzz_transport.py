"""Hostile arguments to the methods of transport's objects, which are not among the public names themselves."""

from __future__ import annotations

import collections
import inspect

import numpy as np
import pytest
from fuzzer import Report, arguments, outcome
from scipy.sparse import csr_array

import optlab
from optlab import transport as ot
from optlab.splitting import BregmanDouglasRachford

# of problems what people call; the rest is for methods, with mirror points that come from the problem itself
OF_PROBLEMS = {"measure", "plan", "as_plan", "initial_mirror", "initial_point", "default_start", "semidual"}


def objects():
    rng = np.random.default_rng(0)
    a, C, x = np.full(4, 0.25), rng.random((4, 4)), rng.random((4, 2))
    sparse = csr_array(np.where(np.eye(4) + (C > 0.3) > 0, C, 0.0))
    yield from (ot.DenseCost(C), ot.PointCloudCost(x), ot.SparseCost(sparse), ot.GaugedCost(C, a, a))
    yield from (ot.MirrorPlan(a, a, 1.0), ot.batch_transport(a, a, C, 0.1))
    bdr = BregmanDouglasRachford()
    for problem, method in (
        (ot.OptimalTransport(a, a, C), bdr),
        (ot.OptimalTransport(a, a, C), ot.ExactTransport()),
        (ot.OptimalTransport(a, a, C, regularization=0.1), ot.Sinkhorn()),
        (ot.OptimalTransport(a, a, sparse), bdr),
        (ot.UnbalancedOptimalTransport(a, 2 * a, C), bdr),
        (ot.PartialOptimalTransport(a, a, C, 0.5), bdr),
        (ot.QuadraticOptimalTransport(a, a, C, 1.0, 2), ot.SemismoothNewton()),
        (ot.WassersteinBarycenter([a, a], C), bdr),
    ):
        yield problem
        yield optlab.solve(problem, method, max_iter=5).solution


def fuzz_methods(calls_each, seed=0):
    report = Report()
    for item in objects():
        is_problem = hasattr(item, "primary_metric")
        for name, member in inspect.getmembers(type(item), callable):
            if name.startswith("_") or inspect.isclass(member) or (is_problem and name not in OF_PROBLEMS):
                continue
            if name in ("restricted", "scaled"):  # of mirror points: selections as NumPy takes them
                continue
            signature = inspect.signature(getattr(item, name))
            rng = np.random.default_rng([seed, *name.encode()])
            for _ in range(calls_each if signature.parameters else 1):
                positional, keywords = arguments(signature, rng)
                kind, text = outcome(lambda: getattr(item, name)(*positional, **keywords))  # noqa: B023
                report.counts[kind] += 1
                if kind != "result" and kind != "clear":
                    report.raw[f"{type(item).__name__}.{name}"].append(text or kind)
    return report


@pytest.mark.parametrize("calls", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_methods_of_objects(calls):
    report = fuzz_methods(calls)
    assert report.counts["slow"] == 0
    assert report.rate < 0.01, "\n".join(f"{name}: {texts[0]}" for name, texts in report.raw.items())


if __name__ == "__main__":
    import sys

    found = fuzz_methods(int(sys.argv[1]))
    for name, texts in sorted(found.raw.items(), key=lambda item: -len(item[1])):
        for text, n in collections.Counter(texts).most_common(2):
            print(f"{n:4d}  {name}  {text}")
    print(f"{found.calls} calls: {dict(found.counts)}; raw {found.rate:.2%}")
