"""`dead`: what consumer groups gave up on."""
