"""Worst cases beside proven bounds and measured values: one check for each method, class and bound."""
