"""What recovery needs to know of the queue: which messages came, and how one is put there. Interfaces alone.

`listener.recovered` implements both.
"""

from collections import abc
from datetime import datetime
from typing import Protocol

from listener.recovered.recovery_state import Report


class EvidenceIndex(Protocol):
    """Which messages came, of each upgrade. Every method may raise redis.RedisError."""

    def refresh(self, budget_s: float) -> bool:
        """Reads on in the streams, for at most that many seconds; True: it has reached their end."""

    def kinds_of(self, account: str, upgrade_id: str) -> abc.Set[str]:
        """The kinds of the messages that came of an upgrade; recovered ones do not count.

        `unknown` stands for messages of an unknown kind that have the upgrade's id in their text.
        """

    def recovered_kinds_of(self, account: str, upgrade_id: str) -> abc.Set[str]:
        """The kinds that were recovered of an upgrade as a whole."""

    def devices_of(self, account: str, upgrade_id: str, kind: str) -> abc.Set[str]:
        """The devices that the messages of one kind named; `EVERY_DEVICE`: one may be about all; empty: none came."""

    def complete_since(self, account: str, upgrade_id: str) -> datetime | None:
        """What came before was trimmed before it was indexed; None: nothing was."""

    def spool_is_waiting(self) -> bool:
        """Whether messages wait in a spool, so that what came is not all in the streams."""


class RecoveredMessages(Protocol):
    """Puts what was recovered into the queue."""

    def put(self, report: Report, kind: str) -> bool:
        """Puts one message, which is remembered by account, upgrade, kind and device.

        Returns whether it was put now; False: it was recovered before.

        Raises:
            listener.errors.ListenerError: the queue cannot keep it now.
        """
