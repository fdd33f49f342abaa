"""What ThingSpace keeps for an account: tokens, sessions, the lock, and the registered URLs."""
