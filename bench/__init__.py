"""Measurements: figures depend on the machine, so they are here and not among the tests."""
