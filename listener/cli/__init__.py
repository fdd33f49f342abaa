"""The operator's commands: one thin module each, and what they share."""
