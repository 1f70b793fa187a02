"""Policy mirror descent: the identities of the mirror maps that everything else rests on.

Each is checked from definitions: conjugate gradients by finite differences, divergences by their defining formula,
inequalities at points near which they are attained. Rows with zeros are included wherever the statement allows them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman import EuclideanMap, NegativeEntropyMap, TsallisMap
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.dapo._instances import DERIVED, MAPS, OTHER_MAPS, PAPER, STEEP_MAPS, random_rows, random_scores

# ------------------------------------------------------------------------------------------ gradient and Hessian


def _gradient_errors(phi: Any, projection: Any, rng: Any, n: int) -> tuple[float, float, float, float]:
    """Return the errors of sums, gradient and Hessian, in units of what is allowed, and the share of kinks left out."""
    y, h = random_scores(rng, n, 5), 1e-5
    p = projection.project(y)
    sums = float(np.max(np.abs(p.sum(axis=1) - 1.0))) / 1e-12
    hessian = phi.conjugate_hessian(y)
    gradients, columns, smooth = [], [], np.ones(n, dtype=bool)
    for j in range(5):
        ahead, behind = y.copy(), y.copy()
        ahead[:, j] += h
        behind[:, j] -= h
        gradients.append((phi.conjugate(ahead) - phi.conjugate(behind)) / (2 * h))
        sides = phi.project(ahead), phi.project(behind)
        columns.append((sides[0] - sides[1]) / (2 * h))
        smooth &= np.all((sides[0] > 0) == (sides[1] > 0), axis=1)  # no action appears or disappears in between
    scale = np.maximum(1.0, np.abs(y).max(axis=1))
    gradient = float(np.max(np.abs(np.stack(gradients, axis=1) - p).max(axis=1) / scale)) / 1e-8
    difference = np.abs(np.stack(columns, axis=2) - hessian).max(axis=(1, 2))
    size = np.maximum(1.0, np.abs(hessian).max(axis=(1, 2)))
    return sums, gradient, float(np.max((difference / size)[smooth])) / 1e-7, float(np.mean(~smooth))


def _gradient_evidence(scale: str, seed: int, wrong: bool = False) -> Evidence:
    found, detail = [], {}
    for i, phi in enumerate(MAPS):
        projection = MAPS[(i + 1) % len(MAPS)] if wrong else phi
        *errors, kinks = _gradient_errors(phi, projection, np.random.default_rng([seed, i]), at_scale(scale, 200, 2000))
        found += errors
        detail[phi.label] = "sum {:.2g}, gradient {:.2g}, Hessian {:.2g} of what is allowed".format(*errors)
        detail[f"{phi.label}: rows at a kink"] = f"{kinks:.2%}"
    return Evidence(
        np.arange(1, len(found) + 1),
        found,
        1.0,
        detail=detail,
        xlabel="map and quantity, in the order of the detail",
        ylabel="error in units of the tolerance",
    )


@theorem(
    id="mirror-map-gradient",
    paper=PAPER,
    title="The policy of dual coordinates is the gradient of the conjugate",
    statement="""For every mirror map in the simplex convention, rows of Pi(y) sum to one (1e-12), Pi = grad Phi* by
    central differences of Phi* (1e-8), and the conjugate Hessian is the derivative of Pi (1e-7) wherever no action
    appears or disappears.""",
    assumptions=("Phi* the conjugate of Phi restricted to the simplex",),
    source="Xiong, Fazel, Xiao 2024, setting; formulas " + DERIVED,
)
def conjugate_gradient(scale: str, seed: int) -> Evidence:
    return _gradient_evidence(scale, seed)


@conjugate_gradient.control("the policy of another map")
def _(scale: str, seed: int) -> Evidence:
    return _gradient_evidence("smoke", seed, wrong=True)


# ------------------------------------------------------------------------------------------ the dual divergence


def _dual_divergence(phi: Any, y: Any, z: Any) -> tuple[Any, Any]:
    """Return ``D_{Phi*}(y, z)`` by its definition, and the size of the terms that cancel in it."""
    q = phi.project(z)
    terms = phi.conjugate(y), phi.conjugate(z), np.sum(q * y, axis=1), np.sum(q * z, axis=1)
    return terms[0] - terms[1] - terms[2] + terms[3], 1.0 + np.sum(np.abs(terms), axis=0)


def _fenchel_young_evidence(scale: str, seed: int, maps: Any, as_divergence: bool) -> Evidence:
    n, worst = at_scale(scale, 300, 2000), []
    for i, phi in enumerate(maps):
        rng = np.random.default_rng([seed, i])
        y, z = random_scores(rng, n, 5), random_scores(rng, n, 5)
        wanted, size = _dual_divergence(phi, y, z)
        q = phi.project(z)
        if as_divergence:
            left = phi.divergence(q, phi.project(y))
        else:
            left = phi.conjugate(y) + phi.value(q) - np.sum(y * q, axis=1)
            worst.append(float(np.max(np.abs(phi.dual_divergence(y, z) - wanted) / size)))
        worst.append(float(np.max(np.abs(left - wanted) / size)))
    return Evidence(
        np.arange(1, len(worst) + 1),
        worst,
        kind="identity",
        slack=1e-12,
        detail={"maps": ", ".join(phi.label for phi in maps), "draws": n},
        xlabel="map, in the order of the detail",
        ylabel="relative difference of the two sides",
    )


@theorem(
    id="mirror-map-fenchel-young",
    paper=PAPER,
    title="The dual divergence is the Fenchel-Young loss",
    statement="""D_{Phi*}(y, z) = Phi*(y) + Phi(Pi(z)) - <y, Pi(z)> for every map in the simplex convention: the
    Fenchel-Young loss of the scores y at the label Pi(z). The stable form the library computes agrees.""",
    assumptions=("Phi* the conjugate of Phi restricted to the simplex",),
    source="Blondel, Martins, Niculae 2020; Xiong, Fazel, Xiao 2024, setting",
)
def fenchel_young(scale: str, seed: int) -> Evidence:
    return _fenchel_young_evidence(scale, seed, MAPS, as_divergence=False)


@fenchel_young.control("maps that are not steep, with D_Phi(Pi(z), Pi(y)) in place of the loss")
def _(scale: str, seed: int) -> Evidence:
    return _fenchel_young_evidence("smoke", seed, OTHER_MAPS, as_divergence=True)


@theorem(
    id="mirror-map-duality",
    paper=PAPER,
    title="Steep maps: the dual divergence is the primal one with its arguments exchanged",
    statement="""Where Phi is steep at the boundary of the simplex (negative entropy, Tsallis with q < 1),
    D_{Phi*}(y, z) = D_Phi(Pi(z), Pi(y)) for all dual points.""",
    assumptions=("Phi steep",),
    source="Bregman duality; " + DERIVED,
)
def duality(scale: str, seed: int) -> Evidence:
    return _fenchel_young_evidence(scale, seed, STEEP_MAPS, as_divergence=True)


@duality.control("maps that are not steep")
def _(scale: str, seed: int) -> Evidence:
    return _fenchel_young_evidence("smoke", seed, OTHER_MAPS, as_divergence=True)


def _one_sided_evidence(scale: str, seed: int, sign: float) -> Evidence:
    n, observed = at_scale(scale, 300, 2000), []
    for i, phi in enumerate(OTHER_MAPS):
        rng = np.random.default_rng([seed, i])
        y, z = random_scores(rng, n, 5), random_scores(rng, n, 5)
        dual, size = _dual_divergence(phi, y, z)
        observed.append(float(np.max(sign * (phi.divergence(phi.project(z), phi.project(y)) - dual) / size)))
    return Evidence(
        np.arange(1, len(observed) + 1),
        observed,
        0.0,
        slack=1e-13,
        detail={"maps": ", ".join(phi.label for phi in OTHER_MAPS)},
        xlabel="map, in the order of the detail",
        ylabel="largest D_Phi(Pi(z), Pi(y)) - D_{Phi*}(y, z), scaled",
    )


@theorem(
    id="mirror-map-duality-gap",
    paper=PAPER,
    title="Other maps: the dual divergence is never the smaller one",
    statement="""D_Phi(Pi(z), Pi(y)) <= D_{Phi*}(y, z) for maps that clip actions to zero (Euclidean, Tsallis with q
    > 1): an action that y clips costs extra in the dual.""",
    assumptions=("Phi* the conjugate of Phi restricted to the simplex",),
    source=DERIVED,
)
def duality_gap(scale: str, seed: int) -> Evidence:
    return _one_sided_evidence(scale, seed, 1.0)


@duality_gap.control("the opposite inequality")
def _(scale: str, seed: int) -> Evidence:
    return _one_sided_evidence("smoke", seed, -1.0)


# ------------------------------------------------------------------------------------------ the Tsallis family


def _limit_evidence(scale: str, seed: int, limit: float) -> Evidence:
    """Distance of the Tsallis policy from softmax at q = limit +- 10^-k, k = 1, 2, ..."""
    y = random_scores(np.random.default_rng(seed), at_scale(scale, 100, 1000), 5)
    y = y[np.abs(y).max(axis=1) < 3.0]
    softmax = NegativeEntropyMap().project(y)
    decades = np.arange(1, 7)
    distances = []
    for k in decades:
        both = [TsallisMap(limit + sign * 10.0**-k).project(y) - softmax for sign in (-1, 1)]
        distances.append(float(np.max(np.abs(both))))
    return Evidence(
        decades,
        distances,
        0.1,
        kind="linear_rate",
        two_sided=True,
        rtol=0.02,
        transient=0.15,
        xlabel="-log10 |q - 1|",
        ylabel="largest difference from softmax",
    )


@theorem(
    id="tsallis-limit",
    paper=PAPER,
    title="Tsallis maps lead to softmax as q goes to 1",
    statement="""The policies of the Tsallis map differ from softmax by O(|q - 1|) from either side: ten times
    nearer to 1, ten times nearer to softmax.""",
    assumptions=("q in (0, 2], q near 1",),
    source=DERIVED,
)
def tsallis_limit(scale: str, seed: int) -> Evidence:
    return _limit_evidence(scale, seed, 1.0)


@tsallis_limit.control("q going to 1.05 instead")
def _(scale: str, seed: int) -> Evidence:
    return _limit_evidence("smoke", seed, 1.05)


def _projection_evidence(scale: str, seed: int, q: float) -> Evidence:
    deviations = []
    for n_actions in (2, 5, 20):
        y = random_scores(np.random.default_rng([seed, n_actions]), at_scale(scale, 200, 2000), n_actions)
        deviations.append(float(np.max(np.abs(TsallisMap(q).project(y) - EuclideanMap().project(y)))))
    return Evidence((2, 5, 20), deviations, kind="identity", slack=1e-13, xlabel="actions", ylabel="largest difference")


@theorem(
    id="tsallis-euclidean",
    paper=PAPER,
    title="The Tsallis map with q = 2 is the Euclidean one",
    statement="""At q = 2 the policy found by root finding is the Euclidean projection onto the simplex, which is
    found by sorting.""",
    assumptions=("q = 2",),
    source=DERIVED,
)
def tsallis_euclidean(scale: str, seed: int) -> Evidence:
    return _projection_evidence(scale, seed, 2.0)


@tsallis_euclidean.control("q = 1.99")
def _(scale: str, seed: int) -> Evidence:
    return _projection_evidence("smoke", seed, 1.99)


# ------------------------------------------------------------------------------------------ strong convexity


def _near_pairs(rng: Any, n: int, n_actions: int) -> tuple[Any, Any]:
    """Return pairs of policies: anywhere, and a common amount apart near the centre, where moduli are attained."""
    p, q = random_rows(rng, n, n_actions), rng.dirichlet(np.ones(n_actions), size=n)
    signs = np.where(np.arange(n_actions) < n_actions // 2, 1.0, -1.0)
    step = 10.0 ** rng.uniform(-2.9, -1, size=(n, 1)) / n_actions
    return np.concatenate([p, 1 / n_actions + step * signs]), np.concatenate(
        [q, np.full((n, n_actions), 1 / n_actions)]
    )


def _convexity_evidence(scale: str, seed: int, factor: float) -> Evidence:
    sizes, observed, detail = (2, 4, 8), [], {}
    for i, phi in enumerate(MAPS):
        for n_actions in sizes:
            p, q = _near_pairs(np.random.default_rng([seed, i, n_actions]), at_scale(scale, 300, 4000), n_actions)
            distance = np.abs(p - q).sum(axis=1)
            far = distance > 1e-3
            share = factor * phi.strong_convexity(n_actions) / 2 * distance[far] ** 2 / phi.divergence(p, q)[far]
            observed.append(float(np.max(share)))
        detail[phi.label] = ", ".join(f"{value:.4f}" for value in observed[-3:])
    return Evidence(
        np.arange(1, len(observed) + 1),
        observed,
        1.0,
        rtol=1e-4,
        detail=detail,
        xlabel="map and number of actions (2, 4, 8), in the order of the detail",
        ylabel="largest (sigma/2) ||p - q||_1^2 / D_Phi(p, q)",
    )


@theorem(
    id="mirror-map-strong-convexity",
    paper=PAPER,
    title="Moduli of strong convexity in the l1 norm",
    statement="""D_Phi(p, q) >= (sigma/2) ||p - q||_1^2 with sigma = 1 for the negative entropy (Pinsker) and
    Tsallis maps with q < 1, 1/A for the Euclidean map, A^(1-q) for Tsallis maps with q in (1, 2] and 1 / (sqrt(1 +
    b^2) + (A - 1) b) for the hyperbolic one.""",
    assumptions=("p, q on the simplex of A actions", "||p - q||_1 > 1e-3, for rounding"),
    source="Pinsker's inequality; the others " + DERIVED,
)
def strong_convexity(scale: str, seed: int) -> Evidence:
    return _convexity_evidence(scale, seed, 1.0)


@strong_convexity.control("moduli twice as large")
def _(scale: str, seed: int) -> Evidence:
    return _convexity_evidence("smoke", seed, 2.0)
