"""The planted faults: small mathematical ones, made of the source as it is when the campaign runs.

Most are made from the syntax tree of a function: a sum becomes a difference, a product a quotient, a number is doubled.
They are numbered by their place in the function, so that moving code breaks none of them. `PATCHES` replace a piece of
text; these are the faults that once survived.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Fault:
    """A fault: `new` is the text of the file that has it; `tests` and `checks` are those that should notice."""

    id: str
    file: str
    what: str
    new: str
    tests: tuple[str, ...]
    checks: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """Up to `count` faults, spread over the function `name` (with its class, if it has one)."""

    family: str
    file: str
    name: str
    count: int
    tests: tuple[str, ...]
    checks: tuple[str, ...] = ()


def _all(
    family: str, folder: str, tests: tuple[str, ...], *rows: tuple[str, str, int, tuple[str, ...]]
) -> list[Target]:
    return [Target(family, f"optlab/{folder}/{file}", name, count, tests, checks) for file, name, count, checks in rows]


_KERNELS = ("bregman-*", "mirror-map-*", "dapo-three-points", "bdrs-one-step", "bdrs-smooth-*")
_SPLIT = ("bdrs-*", "badmm-*", "halpern-*", "worst-dr-*", "worst-halpern-*", "worst-bregman-*")
_LCA = ("joint-lca-*",)
_PMD = ("pmd-*", "monte-carlo-critic")
_DAPO = ("dapo-*",)

TARGETS = [
    *_all(
        "bregman",
        "bregman",
        ("tests/bregman/test_bregman_kernels.py", "tests/bregman/test_bregman_projections.py"),
        ("elementary.py", "phi", 3, _KERNELS),
        ("elementary.py", "log_ratio", 2, _KERNELS),
        ("elementary.py", "kl_terms", 3, _KERNELS),
        ("elementary.py", "exp_divergence_terms", 3, _KERNELS),
        ("hellinger.py", "Hellinger._divergence", 4, _KERNELS),
        ("fermi_dirac.py", "FermiDirac._conjugate", 3, _KERNELS),
        ("fermi_dirac.py", "FermiDirac._divergence", 3, _KERNELS),
        ("power.py", "power_divergence_terms", 5, _KERNELS),
        ("projections.py", "project_hyperplane", 4, ("bdrs-*",)),
    ),
    *_all(
        "splitting",
        "splitting",
        ("tests/splitting", "tests/core/test_miniatures.py"),
        ("douglas_rachford.py", "BregmanSplitting.step", 5, _SPLIT),
        ("douglas_rachford.py", "BregmanSplitting.operator_values", 4, _SPLIT),
        ("admm.py", "BregmanADMM.step", 5, _SPLIT),
        ("multipliers.py", "ExponentialMultipliers.step", 4, ("*multipliers*", "badmm-*")),
    ),
    Target("splitting", "optlab/schedules.py", "Geometric.__call__", 2, ("tests/splitting",), ("bdrs-*", "ot-*")),
    *_all(
        "composite",
        "composite",
        ("tests/splitting", "tests/composite"),
        ("iteration.py", "rescaled", 2, _SPLIT),
        ("iteration.py", "resolve_both", 4, _SPLIT),
        ("inclusion.py", "MonotoneInclusion._measure_pair", 4, ("bdrs-matrix-game", "bdrs-reference-solutions")),
    ),
    *_all(
        "wrappers",
        "wrappers",
        ("tests/wrappers", "tests/theory/test_worst_case.py"),
        ("halpern.py", "HalpernIteration.step", 4, ("halpern-*", "worst-halpern-*")),
        ("lookahead.py", "Lookahead.moved", 3, ()),
    ),
    *_all(
        "stochastic",
        "stochastic",
        (
            "tests/stochastic/test_stochastic_methods.py",
            "tests/stochastic/test_adaptive_methods.py",
            "tests/stochastic/test_extreme_sigma.py",
        ),
        ("methods/ngn.py", "ngn_step_size", 6, ("ngn-*", "worst-ngn-*")),
        ("methods/ngn.py", "_ngn_coordinates", 3, ("ngn-d-*",)),
        ("methods/ngn.py", "_ngn_md", 7, ("ngn-m*",)),
        ("methods/polyak.py", "_decsps", 3, ()),
        ("methods/adam.py", "_adam", 3, ()),
        ("loop/schedules.py", "Decaying.__call__", 2, ("ngn-decaying*",)),
    ),
    *_all(
        "policy",
        "policy",
        ("tests/policy/test_policy_certificates.py", "tests/policy/test_exact_bounds.py"),
        ("tabular/certificates.py", "sublinear_bound", 4, _PMD),
        ("tabular/certificates.py", "basic_recursion", 4, _PMD),
        ("tabular/certificates.py", "linear_bound", 3, _PMD),
        ("tabular/certificates.py", "inexact_linear_bound", 3, _PMD),
        ("tabular/certificates.py", "monte_carlo_rollouts", 3, _PMD),
        ("tabular/dual_certificates.py", "dual_average_bound", 6, _DAPO),
        ("tabular/dual_certificates.py", "dual_linear_bound", 6, _DAPO),
        ("tabular/dual_certificates.py", "dual_sup_bound", 3, _DAPO),
        ("tabular/dual_error.py", "running_bounds", 8, _DAPO),
    ),
    *_all(
        "multiview",
        "multiview",
        ("tests/multiview/test_linked_components.py", "tests/multiview/test_joint_lca.py"),
        ("problem/certificate.py", "_group_bound", 5, _LCA),
        ("problem/certificate.py", "_factored_bound", 6, _LCA),
        ("problem/penalties.py", "MCP.penalty", 3, _LCA),
        ("problem/penalties.py", "MCP.factor", 2, _LCA),
        ("problem/penalties.py", "SCAD.penalty", 4, _LCA),
        ("problem/penalties.py", "SCAD.factor", 3, _LCA),
        ("estimator/scores.py", "factor_weights", 3, _LCA),
    ),
    *_all(
        "transport",
        "transport",
        ("tests/transport/test_transport_certificates.py", "tests/transport/test_transport_plan.py"),
        ("plans/certificates.py", "entropic_dual_bound", 6, ("ot-*",)),
        ("plans/certificates.py", "round_to_marginals", 5, ("ot-*",)),
        ("balanced/plan.py", "TransportPlan.second_singular_value", 4, ("ot-*",)),
        ("balanced/step_sizes.py", "EntropicStepSize.step_size_for", 2, ("ot-entropic-*",)),
        ("relaxed/unbalanced.py", "UnbalancedOptimalTransport.dual_bound", 4, ("bprs-unbalanced",)),
    ),
]

# id, file, text, text of the fault, tests, checks
_STOPPING = ("tests/core/test_stopping.py", "tests/core/test_solve.py")
PATCHES = [
    ("stalled-last-for-best", "optlab/core/stopping.py", "np.min(values[: -self.window]), np.min(values)",
     "np.min(values[: -self.window]), values[-1]", _STOPPING, ()),
    ("time-limit-of-all-runs", "optlab/core/stopping.py", ' - history.metadata.get("time_at_entry", 0.0)', "",
     _STOPPING, ()),
    ("joined-reports-unconverged", "optlab/core/stopping.py", "key=lambda s: s is not Status.CONVERGED)",
     "key=lambda s: s is Status.CONVERGED)", _STOPPING, ()),
    ("running-bounds-discount", "optlab/policy/tabular/dual_error.py", "len(trace), 1.0 / (1.0 - discount)",
     "len(trace), discount / (1.0 - discount)", ("tests/policy/test_policy_certificates.py",), _DAPO),
    ("dual-residual-halved", "optlab/composite/inclusion.py", "project_closure(self.kernel, pair_x - s))",
     "project_closure(self.kernel, pair_x - 0.5 * s))", ("tests/splitting",), ("bdrs-matrix-game",)),
]  # fmt: skip


class _Places(ast.NodeVisitor):
    """The places of a function where a fault can be planted; texts, indices and defaults are none."""

    def __init__(self) -> None:
        self.found: list[ast.AST] = []

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
            self.found.append(node)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) in (int, float) and node.value != 0:
            self.found.append(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in ("axis", "ndmin", "dtype"):
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        pass  # mostly thresholds between two forms of one value

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    def visit_arguments(self, node: ast.arguments) -> None:
        pass


_SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    body: list[ast.stmt] = tree.body
    for part in name.split("."):
        (node,) = [n for n in body if isinstance(n, (ast.ClassDef, ast.FunctionDef)) and n.name == part]
        body = node.body
    assert isinstance(node, ast.FunctionDef)
    return node


def _places(source: str, name: str) -> tuple[ast.Module, list[ast.AST]]:
    tree = ast.parse(source)
    places = _Places()
    for statement in _function(tree, name).body:
        places.visit(statement)
    return tree, places.found


def _planted(source: str, name: str, number: int) -> tuple[str, str]:
    """Return the text of the file with fault `number` of a function, and what the fault is."""
    tree, places = _places(source, name)
    node = places[number]
    before = ast.unparse(node)
    if isinstance(node, ast.BinOp):
        node.op = _SWAPPED[type(node.op)]()
    else:
        assert isinstance(node, ast.Constant)
        node.value = 2 * node.value
    return ast.unparse(tree), f"{name}: {before} -> {ast.unparse(node)}"


def faults() -> Iterator[Fault]:
    """Yield all faults, families taken in turn, so that any stretch of them has some of each."""
    rows: dict[str, list[Fault]] = {}
    for target in TARGETS:
        source = (ROOT / target.file).read_text(encoding="utf-8")
        total = len(_places(source, target.name)[1])
        count = min(target.count, total)
        for i in range(count):
            number = i * total // count
            new, what = _planted(source, target.name, number)
            id = f"{target.family}-{target.name.strip('_').lower().replace('.', '-')}-{number}"
            fault = Fault(id, target.file, what, new, target.tests, target.checks)
            rows.setdefault(target.family, []).append(fault)
    for id, file, old, new, tests, checks in PATCHES:
        source = (ROOT / file).read_text(encoding="utf-8")
        if source.count(old) != 1:
            raise ValueError(f"fault {id!r}: {old!r} stands {source.count(old)} times in {file}, not once")
        rows.setdefault("patches", []).append(
            Fault(id, file, f"{old} -> {new}", source.replace(old, new), tests, checks)
        )
    shares = [(i / len(found), fault) for found in rows.values() for i, fault in enumerate(found)]
    yield from (fault for _, fault in sorted(shares, key=lambda pair: pair[0]))
