"""Multiview data: joint linked component analysis and what it is compared with.

`JointLCA` is the estimator. Inside, it is a problem (`LinkedComponents`) and a method (`AlternatingProcrustes`) run by
`optlab.solve`. The method follows Joint Linked Component Analysis (Lin Xiao and Luo Xiao, arXiv 2406.11761); the exact
penalty, weights and tuning rule of the paper are not reproduced: what is here is a reconstruction consistent with its
abstract, and says so where it matters.
"""

from optlab.multiview.estimator.comparison import Alignment, align, cross_val_score, take_samples
from optlab.multiview.estimator.joint_lca import JointLCA
from optlab.multiview.estimator.scores import one_factor
from optlab.multiview.methods.alternating import AlternatingProcrustes
from optlab.multiview.problem.certificate import Certificate, certify
from optlab.multiview.problem.components import LinkedComponents
from optlab.multiview.problem.penalties import (
    MCP,
    SCAD,
    AdaptiveGroupLasso,
    FactoredRidge,
    GroupL0,
    GroupLasso,
    Lasso,
    Penalty,
)
from optlab.multiview.problem.solution import LinkedSolution
from optlab.multiview.selection.choice import ModelFitWarning, Selection
from optlab.multiview.selection.cross_validation import cross_validate_lambda, cross_validate_rank
from optlab.multiview.selection.path import lambda_path
from optlab.multiview.selection.permutation import permutation_test

__all__ = [
    "MCP",
    "SCAD",
    "AdaptiveGroupLasso",
    "Alignment",
    "AlternatingProcrustes",
    "Certificate",
    "FactoredRidge",
    "GroupL0",
    "GroupLasso",
    "JointLCA",
    "Lasso",
    "LinkedComponents",
    "LinkedSolution",
    "ModelFitWarning",
    "Penalty",
    "Selection",
    "align",
    "certify",
    "cross_val_score",
    "cross_validate_lambda",
    "cross_validate_rank",
    "lambda_path",
    "one_factor",
    "permutation_test",
    "take_samples",
]
