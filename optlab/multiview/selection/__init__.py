"""How the penalty or the rank is chosen: cross-validation, permutation, and the evidence of a choice."""
