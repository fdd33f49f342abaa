"""Recovery: asks ThingSpace what happened to each upgrade, and compares that with the messages that came."""
