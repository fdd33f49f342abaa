"""The operator's commands: a module for each, and what they share."""
