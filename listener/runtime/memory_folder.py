"""Where files lie that must never wait for a disk: a worker's sign of life, and its counts."""

import os
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 (what lies in it has random names, made by tempfile)


def memory_folder(room_bytes: int = 0) -> Path | None:
    """A folder in memory, or None: the system has none, it cannot be written to, or it is too full.

    A worker touches these files from its only thread. On a disk that stalls (a network volume that
    fails over, a snapshot that is taken) it would serve nobody until its master kills it.

    Args:
        room_bytes: how much must be free.
    """
    try:
        if not os.access(MEMORY, os.W_OK | os.X_OK):
            return None
        found = os.statvfs(MEMORY)
    except OSError:
        return None
    return MEMORY if found.f_bavail * found.f_frsize >= room_bytes else None
