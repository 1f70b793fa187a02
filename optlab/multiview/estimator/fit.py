"""The fit behind `JointLCA`: runs, the way back from whitened coordinates, tests of activity, and what is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optlab.core.records.result import Result
from optlab.multiview.estimator.scores import consensus_scores, view_strengths
from optlab.multiview.methods.alternating import fit_problem
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.orthonormal import polar
from optlab.multiview.problem.solution import LinkedSolution
from optlab.multiview.selection.permutation import exceedances
from optlab.multiview.views.preparation import Prepared

__all__ = ["Fit"]

_LEVEL = 0.05  # of the tests of activity


@dataclass(frozen=True)
class Fit:
    """How a fit is made: the settings are those of `JointLCA`."""

    variant: str
    refit: bool
    init: str
    n_init: int
    refine_every: int
    max_iter: int
    tol: float
    pair_weights: Any

    def attributes(
        self, data: Prepared, problem: LinkedComponents, rng: np.random.Generator, joint_only: bool
    ) -> dict[str, Any]:
        """Fit `problem`, that of `data`: what `JointLCA` reports of the components, by the names of its attributes.

        What was asked for by number is kept; what a rule chose (`joint_only`) is kept if it is joint.
        """
        result, refit = self.penalised(problem, rng), None
        solution: LinkedSolution = result.solution
        found = solution.rank
        if self.refit and found > 0:
            refit = self.run(problem.replace(lam=0.0, max_rank=found), solution, subspace=True)
            solution = refit.solution
        plain = problem
        if data.whitened is not None:
            plain = LinkedComponents.from_scores(
                [r.scores for r in data.reduced], max_rank=found, pair_weights=self.pair_weights
            )
            solution, separated = self.unwhitened(data, plain, solution)
            refit = separated or refit
        view_scores = [r.scores @ V[:, :found] for r, V in zip(data.reduced, solution.coordinates)]
        p_values = _activity(data, view_scores, rng)
        joint = np.sum(p_values <= _LEVEL, axis=0) >= 2
        order = np.flatnonzero(joint) if joint_only else np.argsort(~joint, kind="stable")
        p_values, rank = p_values[:, order], int(joint.sum())
        diagonals, norms = solution.diagonals[:, :, order], solution.norms[order]
        coordinates = tuple([V[:, order] for V in solution.coordinates])
        view_scores = [T[:, order] for T in view_scores]
        variances = np.array([T.var(axis=0, ddof=1) for T in view_scores])
        strengths = view_strengths(diagonals, variances, self.pair_weights)
        scores = consensus_scores(view_scores, strengths, variances)
        total = np.array([r.total / (data.n - 1) for r in data.reduced])
        return {
            "result_": result,
            "history_": result.history,
            "n_iter_": result.n_iter,
            "refit_result_": refit,
            "rank_": rank,
            "joint_": joint[order],
            "n_individual_": found - rank,
            "activity_": p_values <= _LEVEL,
            "activity_p_values_": p_values,
            "singular_values_": norms,
            "pair_singular_values_": diagonals,
            "loadings_": [r.expand(V) for r, V in zip(data.reduced, coordinates)],
            "view_scores_": view_scores,
            "score_variances_": variances,
            "strengths_": strengths,
            "scores_": scores,
            "score_maps_": [_regression(scores, T) for T in view_scores],
            "total_variance_": total,
            "explained_variance_": strengths**2,
            "explained_variance_ratio_": strengths**2 / total[:, None],
            "off_diagonal_energy_": plain.off_diagonal_energy(LinkedSolution(coordinates, diagonals, norms)),
            "expected_off_diagonal_energy_": _sampling_energy(variances, diagonals, data.n),
            "residual_spectra_": [
                _residual_spectrum(r.scores, scores[:, :rank], V[:, :rank], T[:, :rank])
                for r, V, T in zip(data.reduced, coordinates, view_scores)
            ],
        }

    def run(self, problem: LinkedComponents, x0: Any, subspace: bool = False) -> Result:
        """One run; of a whitened problem only the subspace counts, if that is all that is asked for."""
        # whitened components have nearly equal strengths and separate slowly, to no use
        tol = max(self.tol, 1e-3) if subspace and self.variant != "covariance" else self.tol
        return fit_problem(problem, x0=x0, tol=tol, max_iter=self.max_iter, refine_every=self.refine_every)

    def penalised(self, problem: LinkedComponents, rng: np.random.Generator) -> Result:
        """The best of all starts."""
        best = self.run(problem, None if self.init == "spectral" else problem.random_start(rng), subspace=True)
        for _ in range(self.n_init - 1):
            other = self.run(problem, problem.random_start(rng), subspace=True)
            if other.metrics["objective"] < best.metrics["objective"]:
                best = other
        return best

    def unwhitened(
        self, data: Prepared, plain: LinkedComponents, solution: LinkedSolution
    ) -> tuple[LinkedSolution, Result | None]:
        """Components in covariance coordinates from those of whitened views, and the run that separates them."""
        K, rank = plain.n_views, plain.max_rank
        if rank == 0 or data.whitened is None:
            none = tuple([np.zeros((m, 0)) for m in plain.sizes])
            return LinkedSolution(none, np.zeros((K, K, 0)), np.zeros(0)), None
        total = np.sum([Y @ V[:, :rank] for Y, V in zip(data.whitened, solution.coordinates)], axis=0)
        bases = tuple([polar(r.scores.T @ total) for r in data.reduced])
        if self.variant == "whitened":
            diagonals = plain.unweighted(plain.correlations(np.concatenate(bases)))
            return LinkedSolution(bases, diagonals, solution.norms[:rank]), None
        inside = LinkedComponents.from_scores(
            [r.scores @ V for r, V in zip(data.reduced, bases)], max_rank=rank, pair_weights=self.pair_weights
        )
        result = self.run(inside, None)
        found: LinkedSolution = result.solution
        rotated = tuple([V @ Q for V, Q in zip(bases, found.coordinates)])
        return LinkedSolution(rotated, found.diagonals, found.norms), result


def _regression(Z: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Least-squares map from joint scores to a view's scores."""
    if Z.shape[1] == 0:
        return np.zeros((0, 0))
    return np.linalg.lstsq(Z, T, rcond=None)[0]


def _residual_spectrum(Y: np.ndarray, Z: np.ndarray, V: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Singular values of a view without its joint part, for `variance_table`."""
    rest = Y - (Z @ _regression(Z, T)) @ V.T
    gram = rest @ rest.T if rest.shape[0] < rest.shape[1] else rest.T @ rest
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))


def _sampling_energy(variances: np.ndarray, diagonals: np.ndarray, n: int) -> float:
    """Share of energy that uncorrelated but finite samples leave off the diagonals."""
    expected = whole = 0.0
    for k, l in zip(*np.triu_indices(len(variances), 1)):
        sampling = np.outer(variances[k], variances[l]) / (n - 1)
        expected += float(sampling.sum() - np.trace(sampling))
        whole += float(np.sum(diagonals[k, l] ** 2))
    return expected / (expected + whole) if whole > 0 else 0.0


def _activity(data: Prepared, view_scores: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """p-values of every view's part in every component, shape (K, rank).

    The statistic of view k is ``||X_k' t_j||`` with the mean score ``t_j`` of the other views: what its loading could
    attain at best, compared with the same after a permutation of its samples.
    """
    K, r = len(view_scores), view_scores[0].shape[1]
    p = np.ones((K, r))
    for k in range(K if r else 0):
        Y = data.scores[k]
        others = [view_scores[l] / np.maximum(view_scores[l].std(axis=0), 1e-300) for l in range(K) if l != k]
        target = np.mean(others, axis=0)  # signs are aligned by convention

        def draw(Y: np.ndarray = Y, target: np.ndarray = target) -> np.ndarray:
            return np.linalg.norm(Y.T @ target[rng.permutation(len(Y))], axis=0)

        draws, counts = exceedances(draw, np.linalg.norm(Y.T @ target, axis=0), _LEVEL, 1000)
        p[k] = (1 + counts) / (len(draws) + 1)
    return p
