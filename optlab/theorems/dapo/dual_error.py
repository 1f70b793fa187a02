"""Dual approximation: what one step with an approximate dual point guarantees, row by row.

The lemmas on which the bounds for dual approximation rest: the three-point inequality with the dual error in place of
exactness, the variance lemma that bounds the drift for the negative entropy, and where convexity in the parameters
holds. Derived here; the numbered statements of Xiong, Fazel and Xiao (2024) could not be consulted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optlab.bregman import EuclideanMap, NegativeEntropyMap
from optlab.reproduce import Evidence, at_scale, theorem
from optlab.theorems.dapo._instances import DERIVED, MAPS, OTHER_MAPS, PAPER, STEEP_MAPS, random_rows, random_scores

FULL = EuclideanMap(domain="full")

# ------------------------------------------------------------------------------------------ three points


def _three_points(phi: Any, rng: Any, n: int, weight: float) -> tuple[Any, Any, Any]:
    """Return left side, right side and size of the lemma for random policies, critics, dual points and comparisons.

    `weight` multiplies the dual error.
    """
    n_actions, eta = 5, 10.0 ** rng.uniform(-1, 1, size=(n, 1))
    current = phi.project(random_scores(rng, n, n_actions))
    critic = rng.normal(size=(n, n_actions))
    target = phi.gradient(current) - eta * critic  # g
    # fitted dual points f: from nearly exact to unrelated
    fitted = target + rng.normal(size=(n, n_actions)) * 10.0 ** rng.uniform(-3, 0.7, size=(n, 1))
    updated, exact = phi.project(fitted), phi.project(target)
    p = random_rows(rng, n, n_actions)
    terms = (
        phi.divergence(p, current),
        -phi.divergence(p, exact),
        -phi.divergence(updated, current),
        weight * phi.dual_divergence(target, fitted),
    )
    left = np.sum(eta * critic * (updated - p), axis=1)
    return left, np.sum(terms, axis=0), 1.0 + np.abs(left) + np.sum(np.abs(terms), axis=0)


def _three_point_evidence(scale: str, seed: int, maps: Any, weight: float, equal: bool) -> Evidence:
    n, worst, detail = at_scale(scale, 1500, 20_000), [], {}
    for i, phi in enumerate(maps):
        left, right, size = _three_points(phi, np.random.default_rng([seed, i]), n, weight)
        finite = np.isfinite(size)  # a steep map at a vertex of the simplex: infinite on both sides
        difference = (left - right)[finite] / size[finite]
        worst.append(float(np.max(np.abs(difference) if equal else difference)))
        detail[phi.label] = f"largest difference {worst[-1]:.2g}, smallest {float(np.min(difference)):.2g}"
    return Evidence(
        np.arange(1, len(worst) + 1),
        worst,
        None if equal else 0.0,
        kind="identity" if equal else "upper_bound",
        slack=1e-12,
        detail=detail | {"draws for each map": n},
        xlabel="map, in the order of the detail",
        ylabel="left side less right side, scaled",
    )


@theorem(
    id="dapo-three-points",
    paper=PAPER,
    title="Three points with a dual error",
    statement="""With g = grad Phi(pi_k) - eta Q, any fitted dual point f, pi_{k+1} = Pi(f) and pi+ = Pi(g), for
    every policy row p: eta <Q, pi_{k+1} - p> <= D_Phi(p, pi_k) - D_Phi(p, pi+) - D_Phi(pi_{k+1}, pi_k) +
    D_{Phi*}(g, f). All maps in the simplex convention, and the Euclidean one on the full domain.""",
    assumptions=("Phi convex with the stated conjugate", "f arbitrary"),
    source=DERIVED,
)
def three_points(scale: str, seed: int) -> Evidence:
    return _three_point_evidence(scale, seed, (*MAPS, FULL), 1.0, equal=False)


@three_points.control("the dual error left out")
def _(scale: str, seed: int) -> Evidence:
    return _three_point_evidence("smoke", seed, (*MAPS, FULL), 0.0, equal=False)


@theorem(
    id="dapo-three-points-equality",
    paper=PAPER,
    title="Three points with a dual error: equality for steep maps",
    statement="""Where Phi is steep (negative entropy, Tsallis with q < 1) the three-point inequality with dual
    error holds with equality, for every f and p: nothing is lost in it.""",
    assumptions=("Phi steep",),
    source=DERIVED,
)
def three_points_equality(scale: str, seed: int) -> Evidence:
    return _three_point_evidence(scale, seed, STEEP_MAPS, 1.0, equal=True)


@three_points_equality.control("maps that are not steep")
def _(scale: str, seed: int) -> Evidence:
    return _three_point_evidence("smoke", seed, OTHER_MAPS, 1.0, equal=True)


# ------------------------------------------------------------------------------------------ variance and Pinsker


def _spread_constant(b: Any) -> Any:
    """Return psi(B) = (exp(-B) - 1 + B) / B^2, from 1/2 at 0 down to 1/B."""
    series = 0.5 - b / 6 + b**2 / 24
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b < 1e-3, series, (np.expm1(-b) + b) / b**2)


def _variance_evidence(scale: str, seed: int, constant: Any) -> Evidence:
    phi, n = NegativeEntropyMap(), at_scale(scale, 2000, 20_000)
    rng = np.random.default_rng(seed)
    ratios, spreads = [], []
    for n_actions in (2, 5, 12):
        f = random_scores(rng, n, n_actions)
        # rounding hides smaller differences
        g = f + rng.normal(size=f.shape) * 10.0 ** rng.uniform(-2, 1, size=(n, 1))
        for first, second in ((f, g), (g, f)):
            p, difference = phi.project(first), first - second
            centred = difference - np.sum(p * difference, axis=1, keepdims=True)
            variance = np.sum(p * centred**2, axis=1)
            spread = np.ptp(difference, axis=1)
            ratios.append(variance * constant(spread) / np.expm1(phi.dual_divergence(second, first)))
            spreads.append(spread)
    ratio, spread = np.concatenate(ratios), np.concatenate(spreads)
    order = np.argsort(spread)
    blocks = np.array_split(order, 40)
    return Evidence(
        [float(np.median(spread[block])) for block in blocks],
        [float(np.max(ratio[block])) for block in blocks],
        1.0,
        rtol=1e-4,
        detail={"pairs": len(ratio)},
        xlabel="B, the spread of the difference of the scores",
        ylabel="variance over its bound, largest of a bin",
    )


@theorem(
    id="dapo-variance",
    paper=PAPER,
    title="Negative entropy: the dual error bounds the variance of the difference",
    statement="""For softmax policies of scores f and g with difference f - g of spread B, Var_f(f - g) <=
    (exp(KL(pi_f || pi_g)) - 1) / psi(B), psi(B) = (exp(-B) - 1 + B) / B^2, and the same with f and g exchanged.""",
    assumptions=("negative entropy",),
    source=DERIVED,
)
def variance(scale: str, seed: int) -> Evidence:
    return _variance_evidence(scale, seed, _spread_constant)


@variance.control("psi(0) = 1/2 at every spread")
def _(scale: str, seed: int) -> Evidence:
    return _variance_evidence("smoke", seed, lambda b: np.full_like(b, 0.5))


def _pinsker_evidence(scale: str, seed: int, factor: float) -> Evidence:
    n, observed, detail = at_scale(scale, 1000, 20_000), [], {}
    for i, phi in enumerate(MAPS):
        rng = np.random.default_rng([seed, i])
        centre = np.zeros((n, 4))
        centre[::2] = random_scores(rng, len(centre[::2]), 4)
        change = rng.normal(size=(n, 4))
        change[1::4] = (1.0, 1.0, -1.0, -1.0)  # around the uniform policy the modulus is attained
        other = centre + change * 10.0 ** rng.uniform(-2, 0.5, size=(n, 1))
        distance = np.abs(phi.project(centre) - phi.project(other)).sum(axis=1)
        far = distance > 1e-3
        for y, z in ((centre, other), (other, centre)):
            bound = np.sqrt(2 * phi.dual_divergence(y, z) / phi.strong_convexity(4))
            observed.append(float(np.max(factor * distance[far] / bound[far])))
        detail[phi.label] = f"{observed[-2]:.4f}, {observed[-1]:.4f}"
    return Evidence(
        np.arange(1, len(observed) + 1),
        observed,
        1.0,
        rtol=1e-4,
        detail=detail,
        xlabel="map and order of the arguments, in the order of the detail",
        ylabel="largest l1 distance over its bound",
    )


@theorem(
    id="dapo-pinsker",
    paper=PAPER,
    title="The dual error bounds the distance of the policies, in either order",
    statement="""||Pi(f) - Pi(g)||_1 <= sqrt(2 D_{Phi*} / sigma) with either order of the arguments, sigma the
    modulus of strong convexity of Phi in the l1 norm.""",
    assumptions=("Phi sigma-strongly convex in the l1 norm",),
    source=DERIVED,
)
def pinsker(scale: str, seed: int) -> Evidence:
    return _pinsker_evidence(scale, seed, 1.0)


@pinsker.control("a modulus twice as large")
def _(scale: str, seed: int) -> Evidence:
    return _pinsker_evidence("smoke", seed, float(np.sqrt(2.0)))


# ------------------------------------------------------------------------------------------ convexity in parameters


def _midpoints(seed: int, n: int, forward: bool) -> Any:
    """Return, for pairs of parameters, the loss at the midpoint less the mean loss of the ends, scaled."""
    phi, rng = NegativeEntropyMap(), np.random.default_rng(seed)
    features, target = rng.normal(size=(6, 4, 3)), 2.0 * rng.normal(size=(6, 4))

    def loss(theta: Any) -> Any:
        scores = np.einsum("saj,nj->nsa", features, theta)
        labels = np.broadcast_to(target, scores.shape)
        pair = (scores, labels) if forward else (labels, scores)
        return phi.dual_divergence(*pair).mean(axis=1)

    left, right = 3.0 * rng.normal(size=(n, 3)), 3.0 * rng.normal(size=(n, 3))
    ends = loss(left) + loss(right)
    return (loss((left + right) / 2) - ends / 2) / (1.0 + ends)


def _convex_evidence(scale: str, seed: int, forward: bool) -> Evidence:
    excess = np.sort(_midpoints(seed, at_scale(scale, 1000, 4000), forward))
    return Evidence(
        np.arange(1, len(excess) + 1),
        excess,
        0.0,
        slack=1e-13,
        detail={"pairs above the chord": int(np.sum(excess > 1e-13))},
        xlabel="pair, sorted",
        ylabel="midpoint less chord, scaled",
    )


@theorem(
    id="dapo-forward-convex",
    paper=PAPER,
    title="Forward order: convex in the parameters of linear scores",
    statement="""With linear scores f = X theta the forward loss theta -> E D_{Phi*}(f, g) is convex (here negative
    entropy: multinomial logistic regression with soft labels): no midpoint of 4000 random pairs lies above its
    chord.""",
    assumptions=("scores linear in theta", "forward order: D_{Phi*}(f, g)"),
    source=DERIVED,
)
def forward_convex(scale: str, seed: int) -> Evidence:
    return _convex_evidence(scale, seed, forward=True)


@forward_convex.control("the reverse order D_{Phi*}(g, f)")
def _(scale: str, seed: int) -> Evidence:
    return _convex_evidence("smoke", seed, forward=False)


def _share_evidence(scale: str, seed: int, forward: bool) -> Evidence:
    draws = range(at_scale(scale, 3, 10))
    shares = [float(np.mean(_midpoints(100 * seed + i, 1000, forward) > 1e-13)) for i in draws]
    return Evidence(
        np.arange(1, len(shares) + 1),
        shares,
        0.2,
        kind="counterexample",
        at="all",
        xlabel="draw of features and target",
        ylabel="share of midpoints above their chord",
    )


@theorem(
    id="dapo-reverse-not-convex",
    proved=False,
    paper=PAPER,
    title="Reverse order: convexity is lost, and not only here and there",
    statement="""With the arguments in the reverse order, D_{Phi*}(g, f), which is the objective of policy mirror
    descent itself, more than a fifth of random midpoints lie above their chord.""",
    assumptions=("scores linear in theta", "negative entropy", "parameters and targets of order 3"),
    source="Xiong, Fazel, Xiao 2024 remark that the primal objective is not convex; the share is measured here",
)
def reverse_not_convex(scale: str, seed: int) -> Evidence:
    return _share_evidence(scale, seed, forward=False)


@reverse_not_convex.control("the forward order")
def _(scale: str, seed: int) -> Evidence:
    return _share_evidence("smoke", seed, forward=True)
