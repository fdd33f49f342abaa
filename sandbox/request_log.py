"""The log of API calls: what was called when, and how it was answered."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Call:
    """One call. Times are seconds since the epoch; `ended` is stamped before the answer leaves,
    so of two calls made one after the other the first has ended before the second started.
    """

    id: int
    method: str
    path: str
    started: float
    ended: float | None = None
    status: int | None = None
    fault: bool = False
    url: str | None = None


class RequestLog:
    """Keeps every call for the life of the process: tests need the full history, and a call
    takes some 500 bytes, so that a hundred thousand of them do no harm.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._calls: list[Call] = []

    def begin(self, method: str, path: str) -> Call:
        with self._mutex:
            call = Call(len(self._calls) + 1, method, path, self._clock())
            self._calls.append(call)
            return call

    def end(self, call: Call, status: int | None) -> None:
        """Records the response's status; None: the connection was dropped without a response."""
        with self._mutex:
            call.status = status
            call.ended = self._clock()

    def listing(self, after: int = 0) -> list[dict[str, Any]]:
        """The calls in the order in which they began, those with an id above `after`."""
        with self._mutex:
            return [asdict(call) for call in self._calls[after:]]
