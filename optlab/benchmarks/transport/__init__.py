"""Benchmarks of transport against peers."""
