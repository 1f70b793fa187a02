"""Numba kernels of transport: plain arrays in, plain arrays out."""
