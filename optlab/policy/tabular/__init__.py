"""Methods on tables: dynamic programming, policy mirror descent, baselines; their certificates."""
