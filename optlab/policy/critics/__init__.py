"""Critics: evaluation of a policy, exact or from rollouts."""
