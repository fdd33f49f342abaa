"""Looks at everything that a message needs, and says what is wrong and what to do about it."""
