"""The reconcile loop: queries, plans, writes, verifies, and deregisters at the end."""
