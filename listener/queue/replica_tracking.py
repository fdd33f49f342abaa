"""Which replicas must confirm a write, for QUEUE_DURABILITY=replicas:N; expected_replicas.lua decides how many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from listener.errors import QueueUnavailableError
from listener.redis_client.script import Script

# How long a replica that disconnected still counts. Sentinel may have promoted it, and names it to all
# clients within about three seconds: one to see that it is a master, two to inform the other Sentinels.
MISSED_FOR_MS = 10_000
# Replicas report every second; one that is silent for longer counts as disconnected.
SILENT_FOR_S = 5

Send = Callable[..., Any]
"""Sends one command and returns its reply."""


class ReplicaTracker:
    """Waits for every replica that the master of a partition has, and for at least N.

    In a planned failover Sentinel promotes a replica, which leaves its master. Until the other replicas
    are redirected, a second later, the old master takes writes that they confirm, and that are discarded
    afterwards. So a replica that disconnected still counts for a while, in which every write fails.
    """

    def __init__(self, key: str, minimum: int, milliseconds: int) -> None:
        """Asks nothing yet.

        Args:
            key: where the script stores how many replicas there were.
            minimum: N.
            milliseconds: how long Redis waits for the replicas.
        """
        self._minimum = minimum
        self._milliseconds = milliseconds
        script = Script.load("listener.queue", "expected_replicas.lua").text
        self._count = ("EVAL", script, 1, key, MISSED_FOR_MS, SILENT_FOR_S)
        self._expected = 0

    def wait(self, send: Send) -> "ReplicaWait":
        """The commands to send behind the next write. Asks how many replicas there are, if not known."""
        if not self._expected:
            self.update(send(*self._count))
        expected = self._expected
        return ReplicaWait(self, expected, (("WAIT", expected, self._milliseconds), self._count))

    def update(self, counts: Sequence[int]) -> int:
        """Takes what the script returned; returns how many replicas must have confirmed the write before it."""
        needed, known = counts
        self._expected = max(self._minimum, known)
        return max(self._minimum, needed)

    def forget(self) -> None:
        """Has the next write ask again: there may be another master by now."""
        self._expected = 0


@dataclass(frozen=True)
class ReplicaWait:
    """See `durability.Wait`."""

    tracker: ReplicaTracker
    expected: int
    commands: tuple[tuple[Any, ...], ...]

    def check(self, replies: Sequence[Any]) -> bool:
        """See `Wait`; false if there are more replicas by now than were waited for.

        Raises:
            QueueUnavailableError: too few confirmed in time.
        """
        confirmed, counts = replies
        needed = self.tracker.update(counts)
        if confirmed < min(self.expected, needed):
            raise QueueUnavailableError(f"WAIT: {confirmed} of {needed} copies confirmed in time")
        return bool(confirmed >= needed)
