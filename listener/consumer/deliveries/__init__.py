"""The deliveries that a consumer has in hand: what waits, what is being handled, and how each one ends."""
