"""A stand-in for ThingSpace: its REST API, its sender, and a small campaign to play."""
