"""Fault injection: `bin/chaos` shows that no acknowledged message is lost, on real processes."""
