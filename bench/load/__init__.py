"""What is sent, and at which pace."""
