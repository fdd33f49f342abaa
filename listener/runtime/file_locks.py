"""Locks on files (flock) as a proof of life: the kernel ends them with the process that holds them."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from listener.runtime.private_files import open_private


def lock(file: int) -> None:
    """Locks an open file, until the last copy of its descriptor is closed, in children too.

    Raises:
        OSError: somebody else holds the lock, or the file system has none.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_unlocked(path: Path) -> bool:
    """Whether nobody holds the lock on a file; False if that cannot be found out."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        lock(file)
    except OSError:
        return False
    finally:
        os.close(file)
    return True


@contextmanager
def only_here(path: Path) -> Iterator[bool]:
    """Whether this process alone is in here; nobody waits."""
    file = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            lock(file)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)


def close(files: Iterable[int]) -> None:
    """Closes descriptors, and so releases their locks."""
    for file in files:
        with suppress(OSError):
            os.close(file)
