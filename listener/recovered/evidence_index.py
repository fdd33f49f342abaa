"""EvidenceIndex: which messages came of each upgrade, read from the streams in the background and kept in Redis."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import redis

from listener.queue.keys import Partition, every_partition
from listener.recovered.facts import normalized_id
from listener.recovered.stored_evidence import (
    GUESS_KEPT_S,
    KEPT_S,
    RECOVERED_PREFIX,
    StoredEvidence,
)
from listener.recovered.waiting_spools import is_any_spool_waiting, lost_spool_s
from listener.redis_client.client import connect
from listener.settings.settings import Settings

# A reply of Redis; nobody waits for the index.
TIMEOUT_S = 5.0
# After a page Redis serves others for as long as the page took, but no longer, in seconds.
MAX_REST_S = 0.05
HOUR_MS = 3_600_000


class EvidenceIndex:
    """The index of a namespace. Any number of replicas may refresh it at a time.

    Guaranteed: what was indexed and where reading continues are stored in one step; memory is bounded by a
    page of a stream and one message. Evidence is kept for `KEPT_S` after the last message of its upgrade.
    Not guaranteed: that a message counts which was trimmed before it was read. `complete_since` says so; a
    Redis before version 7 cannot tell when somebody else than the service trims the whole stream.
    """

    def __init__(
        self,
        client: "redis.Redis",
        partitions: Sequence[Partition],
        *,
        spool_folder: Path | None = None,
        kept_ms: int = 0,
        clock: Callable[[], float] = time.time,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        """Connects to nothing yet.

        Args:
            client: one that decodes responses, also those that are no UTF-8; closed with the index.
            partitions: all of the namespace.
            spool_folder: this host's SPOOL_DIR; None: it has none.
            kept_ms: how long the service keeps every entry of a stream at the least, in milliseconds; 0:
                not known.
            clock: seconds since 1970.
            rest: waits that many seconds, after a page.
        """
        self._client = client
        self._namespace = partitions[0].namespace
        self._stored = [StoredEvidence(client, each, kept_ms) for each in partitions]
        self._spool_folder = spool_folder
        self._clock = clock
        self._rest = rest

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """The index of the settings' namespace, with a client of its own; connects when it is first used."""
        queue = settings.queue
        client = connect(
            queue.url,
            timeout_s=TIMEOUT_S,
            name="fota-evidence",
            decode_responses=True,
            encoding_errors="backslashreplace",
        )
        return cls(
            client,
            every_partition(queue.namespace, queue.partitions),
            spool_folder=settings.spool.folder,
            # A bounded stream may be trimmed at any time.
            kept_ms=0 if settings.queue_max_length else settings.retention_hours * HOUR_MS,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def refresh(self, budget_s: float) -> bool:
        """Reads on in the streams of all partitions, page by page.

        Args:
            budget_s: after so many seconds no further page is read; one of each partition is in any case.

        Returns:
            Whether the end of each was reached: what came until now is indexed.

        Raises:
            redis.RedisError: Redis did not answer. What was read until then is stored.
        """
        deadline = self._clock() + budget_s
        # Each partition gets one page at least, so that none waits for ever behind a busy one.
        reading = [stored for stored in self._stored if not self._read(stored)]
        while reading and self._clock() < deadline:
            reading = [stored for stored in reading if not self._read(stored)]
        return not reading

    def kinds_of(self, account: str, upgrade_id: str) -> frozenset[str]:
        """The kinds of the messages that came about an upgrade; recovered ones do not count.

        A message that names no account counts for every account. `unknown` stands for a message of a kind that
        is not known whose text has the upgrade's id. Raises redis.RedisError.
        """
        names = self._names(account, upgrade_id)
        return frozenset(name for name in names if ":" not in name)

    def recovered_kinds_of(self, account: str, upgrade_id: str) -> frozenset[str]:
        """The kinds that were recovered of an upgrade as a whole. Raises redis.RedisError."""
        names = self._names(account, upgrade_id)
        recovered = {
            name.removeprefix(RECOVERED_PREFIX)
            for name in names
            if name.startswith(RECOVERED_PREFIX)
        }
        return frozenset(name for name in recovered if ":" not in name)

    def devices_of(self, account: str, upgrade_id: str, kind: str) -> frozenset[str]:
        """The devices that the messages of a kind about an upgrade named, each as it was written, in digits.

        `EVERY_DEVICE` is among them if a message came that may be about all: it names none, several, or one in
        a list. Empty: no message came. Raises redis.RedisError.
        """
        upgrade_id = normalized_id(upgrade_id)
        found = (stored.devices(account, upgrade_id, kind) for stored in self._stored)
        return frozenset().union(*found)

    def complete_since(self, account: str, upgrade_id: str) -> datetime | None:
        """Whatever arrived about an upgrade after this time, and was read, is in the index; None: whatever ever arrived.

        What arrived before may have been trimmed before it was read, its evidence may have expired, or it may lie in
        the spool of a host that never came back.
        Raises redis.RedisError.
        """
        del account, upgrade_id  # A message that is of an unknown kind may be in any partition.
        now_ms = int(self._clock() * 1000)
        positions = [stored.position() for stored in self._stored]
        since_ms = max(position.complete_since_ms for position in positions)
        expired_ms = now_ms - KEPT_S * 1000
        if any(0 < position.began_ms < expired_ms for position in positions):
            since_ms = max(since_ms, expired_ms)
        lost_s = lost_spool_s(self._client, self._namespace, now_ms / 1000)
        since_ms = max(since_ms, int(lost_s * 1000))
        # What was found in a text is kept for less long.
        guesses_ms = max(position.guessed_ms for position in positions)
        since_ms = max(since_ms, min(guesses_ms, now_ms - GUESS_KEPT_S * 1000))
        if not since_ms:
            return None
        # An id, and with it the time of a gap, may lie ahead of the clock.
        since_ms = min(since_ms, now_ms)
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=since_ms)

    def spool_is_waiting(self) -> bool:
        """Whether messages wait in a spool: this host's, or one of another host that said so in Redis.

        A spool counts for a week after its host said last that messages wait in it. One that cannot be read counts
        as waiting. Raises redis.RedisError.
        """
        return is_any_spool_waiting(
            self._client, self._namespace, self._spool_folder, self._clock()
        )

    def _names(self, account: str, upgrade_id: str) -> set[str]:
        upgrade_id = normalized_id(upgrade_id)
        return set().union(*(stored.names(account, upgrade_id) for stored in self._stored))

    def _read(self, stored: StoredEvidence) -> bool:
        began = time.monotonic()
        is_at_end = stored.read_page(int(self._clock() * 1000))
        if not is_at_end:
            self._rest(min(time.monotonic() - began, MAX_REST_S))
        return is_at_end
