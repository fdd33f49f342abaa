"""The public URL: whether it leads here, and what ThingSpace may refuse of it."""
