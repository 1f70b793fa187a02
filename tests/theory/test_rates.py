"""Linear rates from the library's own steps, against closed forms; and what has none."""

import builtins

import numpy as np
import pytest
from script_methods import Descent, Extragradient

from optlab.splitting import AndersonDouglasRachford, BregmanDouglasRachford, HalpernDouglasRachford
from optlab.theory import CocoercivePair, ConvexPair, MonotoneLipschitz, MonotonePair, SmoothConvex, rate
from optlab.theory.rates import _matrices, _TracedPair
from optlab.wrappers import Halpern, Lookahead


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    found = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "autolyap":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'optlab\[theory\]'"):
        rate(BregmanDouglasRachford(1.0), MonotonePair())


@pytest.mark.parametrize("relaxation", [1.0, 1.5])
def test_the_matrices_of_douglas_rachford_splitting(relaxation):
    gamma = 0.3
    names, (A, B, C, D) = _matrices(BregmanDouglasRachford(gamma, relaxation), _TracedPair())
    assert names == ["B", "A"]
    np.testing.assert_allclose(A, [[1]])
    np.testing.assert_allclose(B, [[-gamma * relaxation] * 2])
    np.testing.assert_allclose(C, [[1], [1]])
    np.testing.assert_allclose(D, [[-gamma, 0], [-2 * gamma, -gamma]])


@pytest.mark.parametrize(
    "method",
    [
        HalpernDouglasRachford(1.0, 1.0, restart=None),
        Halpern(BregmanDouglasRachford(1.0)),
        AndersonDouglasRachford(1.0),
    ],
)
def test_a_method_without_one_fixed_rule_is_refused(method):
    with pytest.raises(TypeError, match=r"depends on the iteration|one fixed linear rule"):
        _matrices(method, _TracedPair())


@pytest.mark.parametrize(
    ("method", "problem", "value"),
    [
        # Giselsson and Boyd 2017: |1 - r/2| + r/2 (sqrt(10) - 1)/(sqrt(10) + 1) at the best step size 1/sqrt(10)
        *(
            (
                BregmanDouglasRachford(10**-0.5, r),
                ConvexPair(10.0, 1.0),
                (1 - r / 2 + r / 2 * (10**0.5 - 1) / (10**0.5 + 1)) ** 2,
            )
            for r in (1.0, 1.5)
        ),
        (Descent(1.0), SmoothConvex(1.0, 0.1), 0.9**2),
        (Descent(2 / 1.1), SmoothConvex(1.0, 0.1), (0.9 / 1.1) ** 2),
        (Lookahead(Descent(1.0), 1, 0.5), SmoothConvex(1.0, 0.1), 0.95**2),
        (BregmanDouglasRachford(1.0), CocoercivePair(1.0, 1.0), 1 / 3),
    ],
)
def test_against_closed_forms(method, problem, value):
    pytest.importorskip("autolyap")
    found = rate(method, problem)
    assert found.status == "proved"
    assert found.value == pytest.approx(value, abs=2e-5)


def test_what_has_no_linear_rate():
    pytest.importorskip("autolyap")
    assert rate(BregmanDouglasRachford(1.0), MonotonePair()).status == "none below one"
    assert rate(Extragradient(0.5), MonotoneLipschitz(1.0, 0.2)).value < 0.84
