"""Finds messages by device, upgrade or id without an index: backwards, in bounded steps."""
