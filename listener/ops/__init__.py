"""The operating port (OPS_BIND): status page, metrics, health checks and API description, for operators and their tools."""
