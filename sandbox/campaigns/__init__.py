"""Upgrades and their devices: what ThingSpace's reports are about. Pure state, except for the runner of courses."""
