"""Sends callbacks as ThingSpace does, and records what became of each."""
