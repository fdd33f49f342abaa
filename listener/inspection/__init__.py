"""Reads the queue without consuming it; changes only what an operator requeues, deletes or moves."""
