"""From the bytes of a delivery to a validated message, and the kinds that there are. Pure."""
