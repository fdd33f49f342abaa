"""Locks on files (flock) as a proof of life: the kernel releases them when the process that holds them ends."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from listener.runtime.safe_files import open_safely


def lock(file: int) -> None:
    """Locks an open file until the last copy of its descriptor is closed, in children too.

    Raises:
        OSError: another process holds the lock, or the file system has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_unlocked(path: Path) -> bool:
    """Whether no process holds the lock on a file; False if that cannot be found out."""
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
def try_lock(path: Path) -> Iterator[bool]:
    """Whether this process has the lock on a file within the block; does not wait for it."""
    file = open_safely(path, os.O_RDWR | os.O_CREAT)
    try:
        try:
            lock(file)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)


def release(files: Iterable[int]) -> None:
    """Closes descriptors, which releases their locks."""
    for file in files:
        with suppress(OSError):
            os.close(file)
