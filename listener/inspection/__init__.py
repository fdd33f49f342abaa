"""Reads the queue without consuming it: entries, consumer groups, pending entries, dead letters, quarantine."""
