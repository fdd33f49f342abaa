"""On which replicas a message must be before it counts as kept: QUEUE_DURABILITY=replicas:N."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from listener.errors import QueueUnavailableError

# For so long a replica is waited for that has gone. Sentinel, which may have promoted it, names it to
# everybody within about three seconds: one to see that it is a master, two to tell the other Sentinels.
MISSED_FOR_MS = 10_000
# Replicas report every second; one that is silent for longer counts as gone.
SILENT_FOR_S = 5

Ask = Callable[..., Any]
"""Sends one command and returns its reply."""


class ReplicaTracker:
    """Waits for every replica that the master of a partition has, and for N at least.

    In a planned failover of Sentinel the replica that is promoted leaves its master; until the others
    are told, a second later, the old master takes writes, and they confirm what is then thrown away.
    So one that has gone is missed for a while, in which nothing is confirmed without it.
    """

    def __init__(self, key: str, least: int, milliseconds: int) -> None:
        """Takes where the replicas are noted, N, and how long to wait for them."""
        self._least = least
        self._milliseconds = milliseconds
        script = (
            files("listener.queue")
            .joinpath("scripts", "expected_replicas.lua")
            .read_text(encoding="utf-8")
        )
        self._look = ("EVAL", script, 1, key, MISSED_FOR_MS, SILENT_FOR_S)
        self._asked = 0

    def wait(self, ask: Ask) -> "ReplicaWait":
        """What to send behind the next write. Asks how many replicas there are, if not known."""
        if not self._asked:
            self.note(ask(*self._look))
        asked = self._asked
        return ReplicaWait(self, asked, (("WAIT", asked, self._milliseconds), self._look))

    def note(self, found: Sequence[int]) -> int:
        """Takes what the script returned; how many replicas must have confirmed the write before."""
        needed, known = found
        self._asked = max(self._least, known)
        return max(self._least, needed)

    def forget(self) -> None:
        """There may be another master by now."""
        self._asked = 0


@dataclass(frozen=True)
class ReplicaWait:
    """See `Wait`."""

    copies: ReplicaTracker
    asked: int
    commands: tuple[tuple[Any, ...], ...]

    def check(self, replies: Sequence[Any]) -> bool:
        """See `Wait`; false if there are more replicas by now than were asked.

        Raises:
            QueueUnavailableError: too few confirmed in time.
        """
        confirmed, found = replies
        needed = self.copies.note(found)
        if confirmed < min(self.asked, needed):
            raise QueueUnavailableError(f"WAIT: {confirmed} of {needed} copies confirmed in time")
        return bool(confirmed >= needed)
