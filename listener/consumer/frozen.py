"""Finds what is pending since a time that is yet to come, so that its idle time stands still. Pure.

Redis's clock was ahead when it was delivered, or is that of another host after a failover. Until the clock
gets there again Redis reports an idle time of zero, and nobody would take over what a consumer left
that has died since.
"""

import time
from collections.abc import Callable, Iterable

# A renewal at the very moment of a look shows an idle time of zero as well; not so often in a row.
LOOKS = 4


class Frozen:
    """One thread's memory of what it saw idle for zero milliseconds."""

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Remembers nothing yet.

        Args:
            patience_s: for how many seconds the idle time must have stood still.
            clock: monotonic, in seconds.
        """
        self._patience_s = patience_s
        self._clock = clock
        self._seen: dict[int, dict[bytes, tuple[float, int]]] = {}

    def note(self, partition: int, entry_ids: Iterable[bytes]) -> list[bytes]:
        """Notes which entries of a partition have an idle time of zero at this look.

        Returns:
            Those that had it at every look for long enough.
        """
        now, before = self._clock(), self._seen.get(partition, {})
        seen = {}
        for entry_id in entry_ids:
            since, looks = before.get(entry_id, (now, 0))
            seen[entry_id] = since, looks + 1
        self._seen[partition] = seen
        return [
            entry_id
            for entry_id, (since, looks) in seen.items()
            if looks >= LOOKS and now - since >= self._patience_s
        ]
