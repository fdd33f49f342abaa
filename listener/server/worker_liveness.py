"""How gunicorn's master learns that a worker is alive, without counting time for which the whole service was paused."""

import time
from collections.abc import Callable
from typing import Protocol

# The master checks its workers every second, so a longer gap means that the master itself did not run.
PAUSE_S = 5.0


class LivenessFile(Protocol):
    """gunicorn's `WorkerTmp`: a file whose modification time the worker sets every second."""

    def notify(self) -> None: ...
    def last_update(self) -> float: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class WorkerLiveness:
    """Wraps gunicorn's `WorkerTmp`, in the master and in the worker.

    While a container is paused, a laptop sleeps or a virtual machine migrates, no process runs, but time
    passes. Without this the master, if it resumes first, would take all workers for dead and kill them with
    their requests.
    """

    def __init__(self, file: LivenessFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._checked = self._resumed = clock()

    def notify(self) -> None:
        """In the worker: it is alive."""
        self._file.notify()

    def last_update(self) -> float:
        """In the master: when the worker was last alive, or the master resumed, in monotonic seconds.

        Raises:
            OSError, ValueError: the worker is gone.
        """
        now = self._clock()
        if now - self._checked > PAUSE_S:
            self._resumed = now
        self._checked = now
        return max(self._file.last_update(), self._resumed)

    def fileno(self) -> int:
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()
