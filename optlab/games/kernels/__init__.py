"""Compiled loops for matrix games: plain arrays in, changed in place."""
