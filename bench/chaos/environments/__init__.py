"""What faults are injected into: one service as real processes, and a Redis behind it."""
