"""What a user would pick instead of the service, each in the way its own documentation shows."""
