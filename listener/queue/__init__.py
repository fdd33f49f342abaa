"""The durable queue on Redis Streams."""
