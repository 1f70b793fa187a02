"""The estimator, and what can be done with a fit."""
