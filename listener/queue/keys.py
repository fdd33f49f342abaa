"""Every Redis key that the listener uses; no other module spells one.

All keys of a partition share a hash tag, so that one script may touch them in a Redis Cluster.
"""

import zlib
from dataclasses import dataclass

from listener.messages.message import Message

# Counts of arrivals, by minute and kind, are kept so long.
ARRIVALS_TTL_S = 24 * 3600
# Refused messages are counted beside the kinds.
QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Partition:
    """The keys of one partition of a namespace."""

    namespace: str
    number: int

    def _key(self, name: str) -> str:
        return f"{{{self.namespace}:{self.number}}}:{name}"

    @property
    def messages(self) -> str:
        """The stream of messages."""
        return self._key("messages")

    @property
    def quarantine(self) -> str:
        """The bounded stream of what was refused."""
        return self._key("quarantine")

    def dead(self, group: str) -> str:
        """The stream of what a consumer group gave up on."""
        return self._key(f"dead:{group}")

    def arrival_counts(self, hour: int) -> str:
        """How many messages of each kind came in each minute of an hour; expires after a day."""
        return self._key(f"arrived:{hour}")

    @property
    def ready(self) -> str:
        """What the readiness check writes; it expires at once."""
        return self._key("ready")

    @property
    def absent(self) -> str:
        """What the readiness check asks about; it never exists."""
        return self._key("nothing")

    @property
    def retention(self) -> str:
        """Which process looks after the trimming; it expires."""
        return self._key("retention")

    @property
    def replicas(self) -> str:
        """How many replicas its master was last seen to have."""
        return self._key("replicas")

    def fingerprint(self, message_id: str) -> str:
        """The entry id of the message with this fingerprint; expires after the window."""
        return self._key(f"seen:{message_id}")

    @property
    def quarantine_fingerprints(self) -> str:
        """A hash of the quarantine's entry ids by reason and digest; expires after the window."""
        return self._key("seen:quarantine")


def every_partition(namespace: str, partitions: int) -> list[Partition]:
    """All partitions of a namespace, by number."""
    return [Partition(namespace, number) for number in range(partitions)]


def observations(namespace: str) -> str:
    """What the registrar saw last: a hash of `<account>/<version>` to JSON. It alone writes there."""
    return f"{{{namespace}:registrar}}:observations"


def partition_of(message: Message, namespace: str, partitions: int) -> Partition:
    """The partition of a message: all messages of one account's upgrade go to the same.

    The number is the CRC-32 of `account NUL upgradeId` (absent: empty) modulo the number of
    partitions.
    """
    spread = f"{message.account or ''}\0{message.subject or ''}".encode()
    return Partition(namespace, zlib.crc32(spread) % partitions)


def hour_of(seconds: float) -> int:
    """The hour since 1970: each has a key of its own, so that old counts expire."""
    return int(seconds // 3600)


def counter_field(seconds: float, kind: str) -> str:
    """Where an hour's hash counts the messages of a kind that came at a time, in seconds since 1970."""
    return f"{int(seconds // 60)}:{kind}"
