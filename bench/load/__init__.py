"""What is sent, and how fast."""
