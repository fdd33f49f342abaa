"""Proxies that misbehave on demand, between the service and Redis or before the service."""
