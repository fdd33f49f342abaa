"""The durable queue: Redis Streams, with the spool behind them."""
