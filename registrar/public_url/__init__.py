"""The public URL: whether it leads here, whether ThingSpace may refuse it, and how it is shown."""
