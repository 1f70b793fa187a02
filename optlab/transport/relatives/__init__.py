"""Relatives of optimal transport: divergences made of it, and couplings that are not cheapest but simplest."""
