"""The pages of what went wrong: dead letters and quarantined messages, grouped by cause, with the commands to act with."""
