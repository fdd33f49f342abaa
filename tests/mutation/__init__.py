"""Mutation testing: whether the tests notice each small change to a module. Run by bin/mutate, by hand only."""
