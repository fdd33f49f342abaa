"""Settings: read once from the environment and the files of secrets, checked, frozen."""
