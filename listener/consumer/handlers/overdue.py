"""Which handlers have been running for longer than their `timeout_s`."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from listener.consumer.handlers.registry import RegisteredHandler
from listener.messages.kinds import Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Overdue:
    """A handler that has not returned within its `timeout_s`.

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
        self._running: dict[tuple[int, str], tuple[float, RegisteredHandler, Message]] = {}
        self._reported: set[tuple[int, str]] = set()
        self._lock = threading.Lock()

    def begin(self, handler: RegisteredHandler, message: Message) -> None:
        """A handler is called now."""
        if handler.options.timeout_s is not None:
            with self._lock:
                key = message.partition, message.entry_id
                self._running[key] = self._clock(), handler, message

    def end(self, handler: RegisteredHandler, message: Message) -> None:
        """It returned or raised."""
        if handler.options.timeout_s is not None:
            with self._lock:
                key = message.partition, message.entry_id
                self._running.pop(key, None)
                self._reported.discard(key)

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
                timeout_s=timeout_s,
            )
            for began, handler, message in running
            if (timeout_s := handler.options.timeout_s) is not None and now - began > timeout_s
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
