"""Markov decision processes: the model, its transitions, policies, evaluation."""
