"""What linked components are compared with, behind one interface.

MCCA, GCCA, CCA and its regularised form are those of cca-zoo (extra ``optlab[peers]``), run on the compressed views,
which changes nothing. Without a maintained Python package, and therefore here: concatenated PCA, sequential extraction,
JIVE (Lock et al. 2013), AJIVE (Feng et al. 2018) and SLIDE (Gaynanova and Li 2019).

All answer with ``loadings_`` (unit columns, proportional to the covariances of features and joint scores), ``scores_``,
``view_scores_`` and ``rank_``, and have ``transform(views)``.
"""

from optlab.multiview.baselines.ajive import AJIVE
from optlab.multiview.baselines.cca import CCA, GCCA, MCCA
from optlab.multiview.baselines.extraction import ConcatenatedPCA, SequentialExtraction
from optlab.multiview.baselines.jive import JIVE
from optlab.multiview.baselines.slide import SLIDE, slide_given_structure, slide_penalised

__all__ = [
    "AJIVE",
    "CCA",
    "GCCA",
    "JIVE",
    "MCCA",
    "SLIDE",
    "ConcatenatedPCA",
    "SequentialExtraction",
    "slide_given_structure",
    "slide_penalised",
]
