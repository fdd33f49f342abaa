"""Every Redis key that the listener uses; no other module spells one.

All keys of a partition share a hash tag, so that one script may use them in a Redis Cluster.
"""

import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote

# How long the counts of arrivals, by minute and kind, are kept.
ARRIVALS_TTL_S = 24 * 3600
MAX_KEY_PART_CHARS = 100
# Refused messages are counted beside the kinds.
QUARANTINED = "quarantined"
# How many hashes hold the fingerprints of a partition (docs/adr/0022), and the hexadecimal digits of a message id that
# choose one: the rest of the id is the field. Changing either has messages forgotten.
FINGERPRINT_HASHES = 2048
HASH_DIGITS = 8


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
        """The bounded stream of refused messages."""
        return self._key("quarantine")

    def dead(self, group: str) -> str:
        """The stream of a consumer group's dead letters."""
        return self._key(f"dead:{group}")

    def arrival_counts(self, hour: int) -> str:
        """A hash: how many messages of each kind arrived in each minute of an hour; expires after a day."""
        return self._key(f"arrived:{hour}")

    @property
    def ready(self) -> str:
        """The key that the readiness check writes; it expires at once."""
        return self._key("ready")

    @property
    def ready_hash(self) -> str:
        """The hash that the readiness check writes and removes again."""
        return self._key("ready:hash")

    @property
    def absent(self) -> str:
        """A key that never exists, for checks that must not change anything."""
        return self._key("nothing")

    @property
    def retention(self) -> str:
        """Which process trims the stream; expires."""
        return self._key("retention")

    @property
    def replicas(self) -> str:
        """How many replicas the master had when a write last asked."""
        return self._key("replicas")

    def fingerprint_hash(self, message_id: str) -> str:
        """The hash of entry ids by fingerprint that a message belongs to; expires after one to two windows."""
        return self._key(f"seen:{int(message_id[:HASH_DIGITS], 16) % FINGERPRINT_HASHES}")

    def fingerprint_string(self, message_id: str) -> str:
        """The entry id of a message, as release 0.1 remembers it; expires after the window."""
        return self._key(f"seen:{message_id}")

    @property
    def fingerprint_strings(self) -> str:
        """Until when string keys are used besides the hashes."""
        return self._key("seen:strings")

    @property
    def evidence_position(self) -> str:
        """A hash: how far the stream was read into the index of evidence."""
        return self._key("evidence")

    def evidence(self, account: str, upgrade_id: str) -> str:
        """A hash: which kinds of messages of an upgrade came in this partition; expires."""
        return self._key(f"evidence:{_key_part(account)}:{_key_part(upgrade_id)}")

    def evidence_devices(self, account: str, upgrade_id: str, kind: str) -> str:
        """A set: the devices that messages of a kind named in this partition; expires."""
        return f"{self.evidence(account, upgrade_id)}:{kind}"

    @property
    def quarantine_fingerprints(self) -> str:
        """A hash of the quarantine's entry ids by reason and digest; expires after the window."""
        return self._key("seen:quarantine")


def fingerprint_field(message_id: str) -> bytes:
    """The field of a message in its hash. Two ids that agree in it and share the hash do not occur: that is 107 bits."""
    return bytes.fromhex(message_id[HASH_DIGITS:])


def every_partition(namespace: str, partitions: int) -> list[Partition]:
    """All partitions of a namespace, by number."""
    return [Partition(namespace, number) for number in range(partitions)]


def observations(namespace: str) -> str:
    """A hash of the registrar's latest observations, `<account>/<version>` to JSON. Only it writes there."""
    return f"{{{namespace}:registrar}}:observations"


def recovery(namespace: str) -> str:
    """What the sweeps of the registrar's recovery found last, JSON. Only the registrar writes there."""
    return f"{{{namespace}:registrar}}:recovery"


def waiting_spools(namespace: str) -> str:
    """A sorted set: the hosts in whose spool messages wait, and when each said so, in seconds since 1970."""
    return f"{{{namespace}:0}}:spools"


class Addressed(Protocol):
    """What decides about a message's partition."""

    @property
    def account(self) -> str | None:
        """The account that it names."""

    @property
    def subject(self) -> str | None:
        """The upgrade that it is about."""


def partition_number(message: Addressed, partitions: int) -> int:
    """The number of a message's partition: all messages of one account's upgrade share one.

    It is the CRC-32 of `account NUL upgradeId` (absent: empty) modulo the number of partitions.
    """
    return zlib.crc32(f"{message.account or ''}\0{message.subject or ''}".encode()) % partitions


def _key_part(text: str) -> str:
    """A text as a part of a key: without colons, and its digest where it is long."""
    if len(text) > MAX_KEY_PART_CHARS:
        return sha256(text.encode(errors="surrogatepass")).hexdigest()
    return quote(text, safe="", errors="surrogatepass")


def hour_of(seconds: float) -> int:
    """The hour since 1970: each has a key of its own, so that old counts expire."""
    return int(seconds // 3600)


def minute_of(seconds: float) -> int:
    """The minute since 1970."""
    return int(seconds // 60)


def counter_field(minute: int, kind: str) -> str:
    """The field of an hour's hash that counts the messages of a kind in one of its minutes."""
    return f"{minute}:{kind}"
