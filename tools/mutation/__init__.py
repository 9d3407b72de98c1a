"""Mutation testing: makes faults, and runs the tests that must find them."""
