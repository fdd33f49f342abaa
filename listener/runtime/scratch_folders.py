"""Folders for short-lived files: in memory (/dev/shm), Python's temporary folder, gunicorn's heartbeats."""

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 (what lies in it has random names, made by tempfile)


def memory_folder(free_bytes: int = 0) -> Path | None:
    """A folder in memory; None: the system has none, it cannot be written to, or it is too full.

    It is for files that a worker touches from its only thread, such as heartbeats and counts. On a disk
    that stalls (a network volume that fails over, a snapshot) the worker would serve nobody until its
    master kills it.

    Args:
        free_bytes: how much must be free.
    """
    try:
        if not os.access(MEMORY, os.W_OK | os.X_OK):
            return None
        usage = os.statvfs(MEMORY)
    except OSError:
        return None
    return MEMORY if usage.f_bavail * usage.f_frsize >= free_bytes else None


def temporary_folder() -> Path | None:
    """Python's folder for temporary files; None: no such folder can be written to."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return None


def heartbeat_folder(spool_dir: Path | None) -> Path | None:
    """A folder for the files by which gunicorn's workers show that they are alive; None: there is none.

    In memory if possible; the spool's own folder if no other can be written to.
    """
    for folder in (memory_folder(), temporary_folder(), spool_dir):
        if folder and _is_writable(folder):
            return folder
    return None


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
