"""What all stochastic methods share: their base, the choice of the loop, sampling, schedules."""
