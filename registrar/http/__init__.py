"""Bounded HTTP requests: one request, its connections, and why it failed."""
