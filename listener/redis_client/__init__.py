"""The client of Redis: one server, Sentinel or Cluster, with time limits and retries set on purpose."""
