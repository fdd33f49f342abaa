"""What a running consumer says of itself: its health, and an observer that counts for Prometheus."""
