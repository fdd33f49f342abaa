"""The faults, by what they do harm to."""
