"""Mutation testing: faults, and the tests that must find them."""
