"""The Redis commands that claim pending messages: idle ones, or those of one consumer. `maintenance.py` decides when.

`scripts/claim.lua` decides which of them may be claimed.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from listener.consumer.deliveries.delivery import Delivery, Key
from listener.consumer.outages import AdaptiveSize
from listener.consumer.redis_group import load_script
from listener.queue.keys import Partition

# Bytes of entries in one reply: Redis has several copies of a reply in memory.
MAX_REPLY_BYTES = 8 * 2**20
# Redis keeps the first 16 KiB of a reply outside of what client-output-buffer-limit bounds.
MIN_REPLY_BYTES = 8 * 2**10
# The oldest pending entries of a partition; what was left long ago is among them.
MAX_CHECKED = 500
# A renewal at the moment of a check shows an idle time of zero as well, but not this often in a row.
CHECKS = 4


@dataclass(frozen=True)
class Claimed:
    """The result of one claim.

    Args:
        deliveries: the messages that are ours now.
        holders: the consumers that had them.
        gone: the ids that were acknowledged, because their entries were deleted from the stream.
        is_all: whether there was nothing else to claim.
        is_cut: whether further messages would have exceeded the bytes of one reply.
    """

    deliveries: list[Delivery]
    holders: list[str]
    gone: list[str]
    is_all: bool
    is_cut: bool = False


NOTHING = Claimed([], [], [], is_all=True)


class Claims:
    """Claims messages of one partition for one consumer. Threads share it.

    Redis carries out a claim, or a read, before it sends the reply. If the connection breaks on that
    reply, the messages are pending for this consumer, which does not know them, and have just become
    active: nobody would take them over before `takeover_idle_s` has passed once more. The partition is
    then unsettled until the consumer has reclaimed what is pending for it; at first it is unsettled too.
    """

    def __init__(
        self,
        client: "redis.Redis",
        read_client: "redis.Redis",
        partition: Partition,
        group: str,
        consumer: str,
        *,
        stuck_s: float,
        reply_bytes: AdaptiveSize,
    ) -> None:
        """Sends nothing yet.

        Args:
            client: for commands that may be repeated.
            read_client: for claims; it must not repeat one, which would find the messages active.
            partition: where to claim.
            group: the name of the consumer group.
            consumer: the name of this consumer.
            stuck_s: for how many seconds an idle time must stay zero to count as stuck.
            reply_bytes: the bytes of entries in one reply; a larger message is read in pieces.
        """
        self.partition = partition.number
        self.is_settled = False
        self._stream = partition.messages
        self._client = client
        self._group = group
        self._consumer = consumer
        self._zero_idle = ZeroIdle(stuck_s)
        self._reply_bytes = reply_bytes
        self._claim_script = load_script(read_client, "claim.lua")
        self._read_piece = load_script(read_client, "read_piece.lua")
        self._lock = threading.Lock()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Surrounds claims and the processing of their replies; a redis.RedisError unsettles the partition.

        The second of two simultaneous claims could return what the first has returned and what is done
        by now: it would be handled twice.
        """
        with self._lock:
            try:
                yield
            except redis.RedisError as error:
                self.is_settled = False
                if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                    self._reply_bytes.shrink()
                raise

    def claim_idle(
        self, idle_s: float, limit: int, in_flight: Collection[Key], holder: str = ""
    ) -> Claimed:
        """Claims the messages that were idle for `idle_s` seconds, except those in flight.

        Args:
            idle_s: seconds.
            limit: how many at most.
            in_flight: the keys of what this consumer knows that it holds.
            holder: the consumer to claim from, which may be this one; empty: all.

        Raises:
            redis.RedisError: messages may be pending for this consumer all the same.
        """
        idle_ms = int(idle_s * 1000)
        # Those in flight may be among the rows: they must not hide the others.
        rows = self._pending(
            limit + len(in_flight), consumername=holder or None, idle=idle_ms or None
        )
        ids = [row["message_id"] for row in rows]
        ids = [entry_id for entry_id in ids if (self.partition, entry_id) not in in_flight]
        return self._claim(ids[:limit], idle_ms, holder, is_all=len(ids) < limit)

    def claim_stuck(self, limit: int) -> Iterator[Claimed]:
        """Claims messages whose idle time is stuck at zero: see `ZeroIdle`. Yields a result for each holder.

        Raises:
            redis.RedisError: messages may be pending for this consumer all the same.
        """
        holders = {
            row["message_id"]: row["consumer"]
            for row in self._pending(MAX_CHECKED)
            if not row["time_since_delivered"] and row["consumer"] != self._consumer.encode()
        }
        by_holder: dict[bytes, list[bytes]] = {}
        for entry_id in self._zero_idle.check(holders)[:limit]:
            by_holder.setdefault(holders[entry_id], []).append(entry_id)
        for holder, ids in by_holder.items():
            yield self._claim(ids, 0, holder, is_all=True)

    def _pending(self, count: int, **only: Any) -> Any:
        return self._client.xpending_range(
            self._stream, self._group, min="-", max="+", count=count, **only
        )

    def _claim(
        self, ids: Sequence[bytes], idle_ms: int, holder: str | bytes, *, is_all: bool
    ) -> Claimed:
        if not ids:
            return NOTHING
        now = time.monotonic()
        rows, gone, left = self._claim_script(
            keys=[self._stream],
            args=[self._group, self._consumer, idle_ms, holder, self._reply_bytes.size, *ids],
        )
        deliveries = [self._delivery(now, *row) for row in rows]
        if left:
            self._reply_bytes.grow()
        return Claimed(
            # An entry that was deleted while it was read in pieces is reported by the next claim.
            [delivery for delivery in deliveries if delivery],
            sorted({row[1].decode(errors="replace") for row in rows}),
            [entry_id.decode() for entry_id in gone],
            is_all=is_all and not left and all(deliveries),
            is_cut=left > 0,
        )

    def _delivery(
        self, now: float, entry_id: bytes, _: bytes, recorded: int, parts: Sequence[Any]
    ) -> Delivery | None:
        fields: Sequence[bytes] | None = parts
        if isinstance(parts[0], int):
            fields = self._read_in_pieces(entry_id, parts)
        if fields is None:
            return None
        return Delivery(
            partition=self.partition,
            entry_id=entry_id,
            fields=dict(zip(fields[::2], fields[1::2], strict=True)),
            recorded_deliveries=recorded,
            is_next_recorded=False,
            confirmed_at=now,
            # Without a delivery it was handed back or requeued, and has crashed nothing.
            is_crash_suspect=recorded > 0,
        )

    def _read_in_pieces(self, entry_id: bytes, lengths: Sequence[int]) -> list[bytes] | None:
        """The names and values of an entry's fields, of these lengths; None if it was deleted."""
        data = bytearray()
        while len(data) < sum(lengths):
            piece = self._read_piece(
                keys=[self._stream], args=[entry_id, len(data), self._reply_bytes.size]
            )
            if piece is None:
                return None
            data += piece
        ends = [sum(lengths[: part + 1]) for part in range(len(lengths))]
        return [bytes(data[end - length : end]) for end, length in zip(ends, lengths, strict=True)]


class ZeroIdle:
    """Finds entries whose idle time is stuck at zero, because they were delivered in the future.

    Redis's clock was ahead then, or is another host's since a failover. Until the clock gets there
    Redis reports an idle time of zero, and nobody would take over what a dead consumer has left.
    """

    def __init__(self, stuck_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`stuck_s`: how many seconds the idle time must have been zero; the clock is monotonic."""
        self._stuck_s = stuck_s
        self._clock = clock
        self._history: dict[bytes, tuple[float, int]] = {}

    def check(self, entry_ids: Iterable[bytes]) -> list[bytes]:
        """Checks the entries that are idle for zero now; returns those that are stuck."""
        now = self._clock()
        history = {}
        for entry_id in entry_ids:
            since, checks = self._history.get(entry_id, (now, 0))
            history[entry_id] = since, checks + 1
        self._history = history
        return [
            entry_id
            for entry_id, (since, checks) in history.items()
            if checks >= CHECKS and now - since >= self._stuck_s
        ]
