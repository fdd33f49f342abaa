"""Which partitions' Redis is known to be down: their messages go to the spool at once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger("listener.queue")

# An outage that begins again within this time after its end is the same one, as far as the log goes.
STEADY_S = 5.0


@dataclass
class _LoggedOutage:
    """An outage whose beginning was logged. `ended`: monotonic seconds; None while it lasts."""

    outages: int = 1
    ended: float | None = None


class DownPartitions:
    """The partitions that are down, so that no request has to wait for a timeout again. Threads share it.

    The log has one line when an outage begins, and one once it has been over for `STEADY_S`, however often
    it began again meanwhile.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers: frozenset[int] = frozenset()
        self._logged: dict[int, _LoggedOutage] = {}
        self._lock = threading.Lock()

    @property
    def numbers(self) -> frozenset[int]:
        """The partitions' numbers."""
        return self._numbers

    def mark_down(self, partition: int, detail: str) -> None:
        """A write failed: until `mark_up` messages go to the spool at once."""
        with self._lock:
            if partition in self._numbers:
                return
            self._numbers |= {partition}
            if outage := self._logged.get(partition):
                outage.ended = None
                outage.outages += 1
            else:
                self._logged[partition] = _LoggedOutage()
                log.error("redis does not confirm; spooling", partition=partition, detail=detail)

    def mark_up(self, partition: int) -> None:
        """A write succeeded again."""
        with self._lock:
            if partition in self._numbers:
                self._numbers -= {partition}
                self._logged[partition].ended = self._clock()

    def log_ends(self, *, at_once: bool = False) -> None:
        """Logs the end of the outages that have been over for `STEADY_S`, or of all that are over."""
        with self._lock:
            before = self._clock() - (0 if at_once else STEADY_S)
            for partition, outage in list(self._logged.items()):
                if outage.ended is not None and outage.ended <= before:
                    del self._logged[partition]
                    log.info("redis confirms again", partition=partition, outages=outage.outages)
