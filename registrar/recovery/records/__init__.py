"""What recovery remembers of upgrades and slots, in Redis."""
