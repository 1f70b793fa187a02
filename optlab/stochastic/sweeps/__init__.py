"""Sweeps over hyperparameters and their tables."""
