"""Benchmarks of likelihood, ablations, trials of steering, cards of models."""
