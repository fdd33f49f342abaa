"""Which handlers have been running for longer than their `timeout_s`."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from listener.consumer.handlers.registry import RegisteredHandler
from listener.messages.kinds import Message
from listener.safe_logger import SafeLogger

log = SafeLogger("listener.consumer")


# How much longer an async handler may take to end after it was cancelled, before it is overdue.
CANCELLATION_S = 1.0

NOTHING = nullcontext()

Key = tuple[int, str]
"""The number of the partition, and the entry's id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overdue:
    """A handler that has not returned within its `timeout_s`; an async one also ignored its cancellation.

    Args:
        handler: its module and name.
        kind: of its message.
        entry_id: of its message.
        partition: of its message.
        running_s: for how many seconds it has been running.
        timeout_s: how long it may take.
    """

    handler: str
    kind: str
    entry_id: str
    partition: int
    running_s: float
    timeout_s: float


class RunningHandlers:
    """The handlers with a `timeout_s` that are running now. Threads share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """The clock is monotonic, in seconds."""
        self._clock = clock
        self._running: dict[Key, tuple[float, RegisteredHandler, Message]] = {}
        self._reported: set[Key] = set()
        self._lock = threading.Lock()

    def track(self, handler: RegisteredHandler, message: Message) -> AbstractContextManager[None]:
        """Surrounds one call of a handler; does nothing for one without a `timeout_s`."""
        return NOTHING if handler.options.timeout_s is None else self._track(handler, message)

    @contextmanager
    def _track(self, handler: RegisteredHandler, message: Message) -> Iterator[None]:
        key = message.partition, message.entry_id
        with self._lock:
            self._running[key] = self._clock(), handler, message
        try:
            yield
        finally:
            with self._lock:
                began = self._running.pop(key)[0]
                is_reported = key in self._reported
                self._reported.discard(key)
            if is_reported:
                log.warning(
                    "an overdue handler ended",
                    handler=handler.name,
                    entry=message.entry_id,
                    seconds=round(self._clock() - began, 1),
                )

    @property
    def overdue(self) -> tuple[Overdue, ...]:
        """Those beyond their time, the first that began first."""
        now = self._clock()
        with self._lock:
            running = list(self._running.values())
        return tuple(
            Overdue(
                handler=handler.name,
                kind=message.kind,
                entry_id=message.entry_id,
                partition=message.partition,
                running_s=now - began,
                timeout_s=handler.options.timeout_s or 0,
            )
            for began, handler, message in running
            if now - began > _limit_s(handler)
        )

    def newly_overdue(self) -> list[Overdue]:
        """Those that became overdue since the last call; each is returned once."""
        with self._lock:
            known = set(self._reported)
        new = [each for each in self.overdue if (each.partition, each.entry_id) not in known]
        with self._lock:
            # One that has ended meanwhile stays out: its message may come again.
            keys = {(each.partition, each.entry_id) for each in new}
            self._reported |= keys & self._running.keys()
        return new


def _limit_s(handler: RegisteredHandler) -> float:
    return (handler.options.timeout_s or 0) + (CANCELLATION_S if handler.is_async else 0)
