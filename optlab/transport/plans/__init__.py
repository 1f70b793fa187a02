"""Plans as potentials, and what proves how good they are."""
