"""What bin/run shows: the whole service on this machine, and a small campaign played to it."""
