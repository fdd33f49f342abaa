"""Connections to Redis, Sentinel and Cluster, with time limits and retries set on purpose."""
