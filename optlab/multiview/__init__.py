"""Linked components of several views of the same samples."""
from optlab.multiview.alternating import AlternatingProcrustes
from optlab.multiview.problem import LinkedComponents, LinkedSolution
