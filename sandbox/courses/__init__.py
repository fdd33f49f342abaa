"""Upgrades that run their course: how they are planned, and the callbacks that they raise."""
