"""The operating port (OPS_BIND): what operators and their tools look at, never on the public port."""
