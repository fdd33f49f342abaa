"""Settings: read once from the environment, checked, frozen. Pure."""
