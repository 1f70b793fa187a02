"""Rates of first-order methods on sums of terms, with their constants."""
