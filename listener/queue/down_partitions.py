"""Which partitions' Redis is known to be down."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger("listener.queue")

# An outage that begins again within this time after its end is the same one, as far as the log goes.
STEADY_S = 5.0


@dataclass
class _Logged:
    """An outage that the log knows of. `ended` is when its last one ended, by the clock; None while it lasts."""

    outages: int = 1
    ended: float | None = None


class DownPartitions:
    """What is known to be down, so that no request has to find out again. Threads share it.

    The log has one line when an outage begins, and one once it has been over for `STEADY_S`, however often
    it began again meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is known to be down. The clock counts monotonic seconds."""
        self._clock = clock
        self._down: frozenset[int] = frozenset()
        self._logged: dict[int, _Logged] = {}
        self._lock = threading.Lock()

    @property
    def down(self) -> frozenset[int]:
        """The numbers of the partitions."""
        return self._down

    def mark_down(self, partition: int, detail: str) -> None:
        """A write failed: until `end` messages go to the spool at once."""
        with self._lock:
            if partition in self._down:
                return
            self._down |= {partition}
            if known := self._logged.get(partition):
                known.ended = None
                known.outages += 1
            else:
                self._logged[partition] = _Logged()
                log.error("redis does not confirm; spooling", partition=partition, detail=detail)

    def mark_up(self, partition: int) -> None:
        """A write succeeded again."""
        with self._lock:
            if partition in self._down:
                self._down -= {partition}
                self._logged[partition].ended = self._clock()

    def settle(self, *, at_once: bool = False) -> None:
        """Logs the end of outages that are over for good, as far as one can say; to be called now and then."""
        with self._lock:
            before = self._clock() - (0 if at_once else STEADY_S)
            for partition, known in list(self._logged.items()):
                if known.ended is not None and known.ended <= before:
                    del self._logged[partition]
                    log.info("redis confirms again", partition=partition, outages=known.outages)
