"""From the bytes of a delivery to a validated message. Pure: no Flask, no Redis."""
