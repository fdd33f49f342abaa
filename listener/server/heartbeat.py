"""A worker's sign of life for its master, which a pause of the whole service does not interrupt."""

import time
from collections.abc import Callable
from typing import Protocol

# The master looks every second. A longer gap means that the master itself did not run.
PAUSE_S = 5.0


class SignOfLife(Protocol):
    """gunicorn's `WorkerTmp`: a file whose time of change the worker sets every second."""

    def notify(self) -> None: ...
    def last_update(self) -> float: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class Heartbeat:
    """Wraps gunicorn's sign of life, for the master and the worker.

    When a container is paused, a laptop sleeps or a virtual machine is migrated, no process runs, and
    time passes all the same. The master that wakes first would find all its workers silent and kill
    them, with the requests that they are at. So the time for which the master itself did not run is
    not held against a worker.
    """

    def __init__(self, sign: SignOfLife, clock: Callable[[], float] = time.monotonic) -> None:
        self._sign = sign
        self._clock = clock
        self._looked = self._woke = clock()

    def notify(self) -> None:
        """For the worker: it is well."""
        self._sign.notify()

    def last_update(self) -> float:
        """For the master: when the worker was last well, in monotonic seconds.

        Raises:
            OSError, ValueError: the worker is gone.
        """
        now = self._clock()
        if now - self._looked > PAUSE_S:
            self._woke = now
        self._looked = now
        return max(self._sign.last_update(), self._woke)

    def fileno(self) -> int:
        """Of the file."""
        return self._sign.fileno()

    def close(self) -> None:
        """Closes the file."""
        self._sign.close()
