"""COMMAND as a child process: its addresses, readiness and signals, and the order of the shutdown."""
