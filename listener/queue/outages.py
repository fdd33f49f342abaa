"""Which partitions' Redis is known to be down."""

import threading

import structlog

log = structlog.get_logger("listener.queue")


class Outages:
    """What is known to be down, so that no request has to find out again. Threads share it."""

    def __init__(self) -> None:
        """Nothing is known to be down."""
        self._down: frozenset[int] = frozenset()
        self._lock = threading.Lock()

    @property
    def down(self) -> frozenset[int]:
        """The numbers of the partitions."""
        return self._down

    def begin(self, partition: int, detail: str) -> None:
        """A write failed: until `end` messages go to the spool at once."""
        with self._lock:
            if partition not in self._down:
                log.error("redis does not confirm; spooling", partition=partition, detail=detail)
            self._down |= {partition}

    def end(self, partition: int) -> None:
        """A write succeeded again."""
        with self._lock:
            if partition in self._down:
                log.info("redis confirms again", partition=partition)
            self._down -= {partition}
