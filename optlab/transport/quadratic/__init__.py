"""Quadratically regularised and sparsity-constrained transport."""
