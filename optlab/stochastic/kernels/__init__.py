"""Compiled loops of stochastic methods, and what compiles a rule into them."""
