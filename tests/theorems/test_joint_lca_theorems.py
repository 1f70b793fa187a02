"""Every check of joint linked component analysis passes at the smallest scale, and every control is refuted."""

from __future__ import annotations

import importlib
from itertools import combinations

import numpy as np
import pytest

from optlab import theorems
from optlab.reproduce.theorems import THEOREMS
from optlab.theorems.joint_lca import _instances as _joint_lca

for name in theorems.modules():
    if name.startswith("optlab.theorems.joint_lca."):
        importlib.import_module(name)

CHECKS = [spec for spec in THEOREMS.values() if spec.paper == "joint-lca"]


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_check_passes(spec):
    evidence = spec("smoke", 0)
    assert spec.accepts(evidence.verdict), (evidence, evidence.detail)


@pytest.mark.slow  # `optlab reproduce --scale smoke` runs the same in .ci/run
@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_every_control_is_refuted(spec):
    assert spec.controls, "a check without a control cannot be seen to fail"
    for control in spec.controls:
        evidence = control("smoke", 0)
        assert spec.refutes(evidence.verdict), (control.description, evidence, evidence.detail)


@pytest.mark.parametrize("spec", CHECKS, ids=lambda spec: spec.id)
def test_the_statement_is_complete(spec):
    assert len(spec.statement) > 40
    assert spec.assumptions
    # no theorem of the paper is known: every source says what is reconstructed, derived or measured here
    assert "derived here" in spec.source or "measured" in spec.source
    assert len({control.description for control in spec.controls}) == len(spec.controls)


def test_there_is_a_check_of_every_kind():
    wanted = {"exact-recovery", "two-views", "descent", "largest-penalty", "stationary", "compressed", "chimera"}
    wanted |= {"penalty-switch", "identified", "ties", "dead-components", "re-entry", "certificate"}
    wanted |= {"factored-two-views", "rank", "false-components", "refit", "component-order", "whitening", "invariances"}
    assert {f"joint-lca-{name}" for name in wanted} <= {spec.id for spec in CHECKS}


# what the checks are worth rests on these


def test_group_norms_are_those_of_the_covariances():
    from optlab.datasets.multiview import linked_covariances

    a = np.random.default_rng(0).uniform(1, 3, (4, 3))
    blocks, V = linked_covariances(a, (5, 6, 7, 8))
    norms = np.sqrt(sum(np.diag(V[k].T @ S @ V[l]) ** 2 for (k, l), S in blocks.items()))
    np.testing.assert_allclose(_joint_lca.group_norms(a), np.sort(norms)[::-1])


def test_oblique_loadings_are_unit_vectors_and_not_orthogonal():
    blocks, V = _joint_lca.oblique_covariances(np.ones((3, 2)), (5, 6, 7), 0)
    for L in V:
        np.testing.assert_allclose(np.linalg.norm(L, axis=0), 1)
        assert abs(L[:, 0] @ L[:, 1]) > 0.1
    assert list(blocks) == list(combinations(range(3), 2))


def test_soft_thresholding_against_a_convex_solver():
    cvxpy = pytest.importorskip("cvxpy")
    S = np.random.default_rng(0).standard_normal((4, 5))
    M = cvxpy.Variable((4, 5))
    wanted = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(S - M) / 2 + 0.7 * cvxpy.normNuc(M))).solve(solver="SCS")
    value, kept = _joint_lca.soft_threshold_value(S, 0.7)
    assert value == pytest.approx(wanted, rel=1e-3)
    assert kept.max() == pytest.approx(np.linalg.norm(S, 2) - 0.7)


def test_judging_deviations_and_rates():
    within = _joint_lca.judge([_joint_lca.Deviation("a", 0.5, 1.0), _joint_lca.Deviation("b", -2.0, 0.0)])
    assert within.holds
    assert within.detail == {"a": 0.5, "b": -2.0}
    assert not _joint_lca.judge([_joint_lca.Deviation("a", 1e-6, 1e-7)]).holds
    # not refuted is not shown: 0.95^58 = 0.051, 0.95^59 = 0.0485; 5 or more of 20 at 5 % have probability 0.0026
    for failed, n, bound, verdict in (
        (0, 59, 0.05, "holds"),
        (0, 58, 0.05, "inconclusive"),
        (1, 4, 0.05, "inconclusive"),
        (4, 25, 0.05, "inconclusive"),
        (4, 14, 0.15, "inconclusive"),
        (5, 20, 0.05, "violated"),
    ):
        assert _joint_lca.rate([True] * failed + [False] * (n - failed), bound, "x").verdict == verdict
