"""`send-test`: sends a message through the public URL as ThingSpace would, and looks whether it came."""
