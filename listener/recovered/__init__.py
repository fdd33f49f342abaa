"""Recovered messages: what ThingSpace's reports prove due, and what came; see docs/recovery.md."""
