"""Finite sums: losses of linear models, softmax, networks, nonlinear least squares; reference minima."""
