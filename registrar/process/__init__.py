"""The processes: COMMAND, signals, readiness, and the order in which they end."""
