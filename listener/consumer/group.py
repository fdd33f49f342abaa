"""One consumer of a group in one partition: everything that it says to Redis."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from listener.consumer import burial, pieces
from listener.consumer.delivery import Delivery, Verdict
from listener.consumer.lua_scripts import Scripts
from listener.inspection.consumer_groups import HANDED_BACK, LONG_AGO_MS
from listener.queue.keys import Partition

DAY_MS = 24 * 3600 * 1000
# Redis serves nobody else while a script runs: so many entries at once.
STEP = 500
# Of entries in one reply to a claim. What Redis returns at once it holds several times in memory.
MOST_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Taken:
    """What a look for messages to take over brought; `is_cut`: more would have been too many bytes."""

    deliveries: list[Delivery]
    holders: list[str]
    gone: list[str]
    is_all: bool
    is_cut: bool = False


NOTHING = Taken([], [], [], is_all=True)


class Group:
    """Every method may raise redis.RedisError; what it did then is not known, and it bears repeating.

    If the stream or the group was deleted, the error is one that `is_missing` recognises.
    """

    def __init__(
        self,
        client: "redis.Redis",
        scripts: Scripts,
        partition: Partition,
        group: str,
        consumer: str,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Sends nothing yet. The clock is the one that the desk has."""
        self.partition = partition.number
        self.stream = partition.messages
        self._dead = partition.dead(group)
        self._client = client
        self._scripts = scripts
        self._group = group
        self._consumer = consumer
        self._clock = clock

    def create(self) -> bool:
        """Makes the group, at the beginning of the stream, and the stream; whether it was missing."""
        try:
            self._client.xgroup_create(self.stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            return False
        return True

    def fresh(self, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> list[Delivery]:
        """Deliveries of what XREADGROUP has just returned of the stream."""
        now = self._clock()
        return [
            Delivery(
                partition=self.partition,
                entry_id=entry_id,
                fields=fields,
                recorded=1,
                is_next_recorded=True,
                held_at=now,
            )
            for entry_id, fields in entries
        ]

    def acknowledge(self, entry_ids: Sequence[bytes]) -> None:
        """They are done with, whoever holds them."""
        self._client.xack(self.stream, self._group, *entry_ids)

    def hold(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Renews what is ours, so that nobody takes it over; those that are not ours any more."""
        return self._keep([(delivery, None) for delivery in deliveries])

    def count(self, delivery: Delivery) -> bool:
        """Records the delivery that comes next; whether it is still ours."""
        if self._keep([(delivery, delivery.number)]):
            return False
        delivery.recorded, delivery.is_next_recorded = delivery.number, True
        return True

    def hand_back(self, deliveries: Sequence[Delivery]) -> None:
        """Gives them away, to be taken over at once; what did not come back does not count."""
        counted = [(delivery, delivery.completed) for delivery in deliveries]
        self._keep(counted, to=HANDED_BACK, idle_ms=LONG_AGO_MS)

    def bury(self, delivery: Delivery, verdict: Verdict) -> int:
        """Moves it to the dead stream; 1: it is there, 0: it was not ours, -1: its data is deleted."""
        added = burial.fields(delivery, verdict, self._consumer, datetime.now(UTC))
        words: list[str | bytes] = [word for pair in added.items() for word in pair]
        result: int = self._scripts.bury(
            keys=[self.stream, self._dead],
            args=[self._group, self._consumer, delivery.entry_id, *words],
        )
        return result

    def take(
        self,
        idle_s: float,
        limit: int,
        in_hand: Collection[Any],
        holder: str = "",
        most_bytes: int = MOST_BYTES,
    ) -> Taken:
        """Makes pending for this consumer what was idle for so long and is not in its hand.

        Args:
            idle_s: seconds.
            limit: how many at most.
            in_hand: the keys of what is in hand.
            holder: only what this consumer holds, which may be this one itself; empty: whoever.
            most_bytes: in one reply. A message that alone has more is read in pieces.
        """
        idle_ms = int(idle_s * 1000)
        # Those in hand may be among the found: they must not hide the others.
        pending: Any = self._client.xpending_range(
            self.stream,
            self._group,
            min="-",
            max="+",
            count=limit + len(in_hand),
            consumername=holder or None,
            idle=idle_ms or None,
        )
        ids = [row["message_id"] for row in pending]
        ids = [entry_id for entry_id in ids if (self.partition, entry_id) not in in_hand]
        chosen = ids[:limit]
        is_all = len(ids) < limit
        return self._claim(chosen, idle_ms, holder, most_bytes, is_all) if chosen else NOTHING

    def just_touched(self, limit: int) -> dict[bytes, bytes]:
        """What others hold with an idle time of zero, among the oldest: ids, and who holds them."""
        pending: Any = self._client.xpending_range(
            self.stream, self._group, min="-", max="+", count=limit
        )
        return {
            row["message_id"]: row["consumer"]
            for row in pending
            if not row["time_since_delivered"] and row["consumer"] != self._consumer.encode()
        }

    def seize(self, entry_ids: Sequence[bytes], holder: bytes, most_bytes: int) -> Taken:
        """Makes pending for this consumer what another one holds, however short its idle time is."""
        return self._claim(entry_ids, 0, holder, most_bytes, is_all=True)

    def leave(self) -> None:
        """Deletes the consumer's name, if nothing is pending for it."""
        self._scripts.dismiss(keys=[self.stream], args=[self._group, self._consumer, 10**15])

    def sweep(self) -> list[str]:
        """Deletes the names that hold nothing and were not used for a day; returns them."""
        found: Any = self._scripts.dismiss(keys=[self.stream], args=[self._group, "", DAY_MS])
        return [name.decode(errors="replace") for name in found]

    def _keep(
        self,
        counted: Sequence[tuple[Delivery, int | None]],
        *,
        to: str | None = None,
        idle_ms: int = 0,
    ) -> list[Delivery]:
        for start in range(0, len(counted), STEP):
            now = self._clock()
            words: list[Any] = [self._group, self._consumer, to or self._consumer, idle_ms]
            for delivery, count in counted[start : start + STEP]:
                words += [delivery.entry_id, "" if count is None else count]
            lost = set(self._scripts.keep(keys=[self.stream], args=words))
            for delivery, _ in counted[start : start + STEP]:
                delivery.is_lost = delivery.entry_id in lost
                delivery.held_at = now
        return [delivery for delivery, _ in counted if delivery.is_lost]

    def _claim(
        self,
        ids: Sequence[bytes],
        idle_ms: int,
        holder: str | bytes,
        most_bytes: int,
        is_all: bool,
    ) -> Taken:
        now = self._clock()
        taken, gone, left = self._scripts.claim(
            keys=[self.stream],
            args=[self._group, self._consumer, idle_ms, holder, most_bytes, *ids],
        )
        found = [self._taken(now, most_bytes, *row) for row in taken]
        return Taken(
            # One that was deleted while it was read in pieces is found to be gone by the next look.
            [delivery for delivery in found if delivery],
            sorted({row[1].decode(errors="replace") for row in taken}),
            [entry_id.decode() for entry_id in gone],
            is_all=is_all and not left and all(found),
            is_cut=left > 0,
        )

    def _taken(
        self,
        now: float,
        most_bytes: int,
        entry_id: bytes,
        _: bytes,
        recorded: int,
        parts: Sequence[Any],
    ) -> Delivery | None:
        fields: Sequence[bytes] | None = parts
        if isinstance(parts[0], int):
            fields = pieces.read(self._scripts.piece, self.stream, entry_id, parts, most_bytes)
        if fields is None:
            return None
        return Delivery(
            partition=self.partition,
            entry_id=entry_id,
            fields=dict(zip(fields[::2], fields[1::2], strict=True)),
            recorded=recorded,
            is_next_recorded=False,
            held_at=now,
            # Without a delivery it was handed back or requeued, and has harmed nobody.
            is_suspect=recorded > 0,
        )


def is_missing(error: "redis.RedisError") -> bool:
    """Whether an error says that the stream or the group is not there (any more)."""
    text = str(error)
    return "NOGROUP" in text or "UNBLOCKED" in text or "no such key" in text
