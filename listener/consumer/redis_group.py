"""The Redis commands for what is pending for one consumer of a group, and the dead-letter fields."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import redis

from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.inspection.consumer_groups import CLAIMABLE_AT_ONCE_MS, HANDED_BACK
from listener.queue.keys import Partition
from listener.redis_client.script import EvalScript, Script
from listener.times import timestamp

UNUSED_MS = 24 * 3600 * 1000
# Redis serves nobody else while a script runs, so one call renews this many entries at most.
MAX_RENEWED_AT_ONCE = 500
MAX_ERROR_BYTES = 1024
MAX_TRACEBACK_BYTES = 16 * 1024


def load_script(client: "redis.Redis", name: str) -> EvalScript:
    """A script of `consumer/scripts`; sends nothing yet."""
    return EvalScript(client, Script.load("listener.consumer", name).text)


class RedisGroup:
    """One consumer of a group in one partition.

    Every method may raise redis.RedisError; its effect is then unknown, and the call may be repeated.
    If the stream or the group was deleted, the error is one that `is_missing` recognises.
    """

    def __init__(
        self, client: "redis.Redis", partition: Partition, group: str, consumer: str
    ) -> None:
        """Sends nothing yet."""
        self.partition = partition.number
        self.stream = partition.messages
        self._dead = partition.dead(group)
        self._client = client
        self._group = group
        self._consumer = consumer
        self._renew_or_release = load_script(client, "renew_or_release.lua")
        self._dead_letter = load_script(client, "dead_letter.lua")
        self._delete_consumers = load_script(client, "delete_consumers.lua")

    def create(self) -> bool:
        """Creates the group, at the beginning of the stream, and the stream; whether it was missing."""
        try:
            self._client.xgroup_create(self.stream, self._group, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
            return False
        return True

    def new_deliveries(
        self, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]
    ) -> list[Delivery]:
        """Deliveries of the entries that XREADGROUP has just returned of the stream."""
        now = time.monotonic()
        return [
            Delivery(
                partition=self.partition,
                entry_id=entry_id,
                fields=fields,
                recorded_deliveries=1,
                is_next_recorded=True,
                confirmed_at=now,
            )
            for entry_id, fields in entries
        ]

    def acknowledge(self, entry_ids: Sequence[bytes]) -> None:
        """Acknowledges entries, whichever consumer holds them."""
        self._client.xack(self.stream, self._group, *entry_ids)

    def renew(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Resets the idle time of what is ours, so that it is not taken over; returns what is not ours."""
        return self._renew([(delivery, None) for delivery in deliveries])

    def record_delivery(self, delivery: Delivery) -> bool:
        """Counts the next delivery in Redis; returns whether the entry is still ours."""
        if self._renew([(delivery, delivery.next_delivery)]):
            return False
        delivery.recorded_deliveries, delivery.is_next_recorded = delivery.next_delivery, True
        return True

    def hand_back(
        self, deliveries: Sequence[Delivery], overdue: Collection[tuple[int, str]] = ()
    ) -> None:
        """Releases deliveries to be taken over at once; one whose handler has not returned is not counted.

        Args:
            deliveries: of this partition.
            overdue: partition and entry of those whose handlers are beyond their time. They are counted,
                or else a handler that always hangs would get its message for ever.
        """
        counted = [
            (each, each.next_delivery - ((each.partition, each.entry_id.decode()) not in overdue))
            for each in deliveries
        ]
        self._renew(counted, new_owner=HANDED_BACK, idle_ms=CLAIMABLE_AT_ONCE_MS)

    def dead_letter(self, delivery: Delivery, reason: DeadReason) -> int:
        """Moves an entry to the dead stream; 1: done, 0: it was not ours, -1: its data is deleted."""
        added = dead_letter_fields(delivery, reason, self._consumer, datetime.now(UTC))
        result: int = self._dead_letter(
            keys=[self.stream, self._dead],
            args=[
                self._group,
                self._consumer,
                delivery.entry_id,
                *(text for field in added.items() for text in field),
            ],
        )
        return result

    def delete_consumer(self) -> None:
        """Deletes this consumer's name, if nothing is pending for it."""
        self._delete_consumers(keys=[self.stream], args=[self._group, self._consumer, 10**15])

    def delete_unused_consumers(self) -> list[str]:
        """Deletes the names that hold nothing and were not used for a day; returns them."""
        names: Any = self._delete_consumers(keys=[self.stream], args=[self._group, "", UNUSED_MS])
        return [name.decode(errors="replace") for name in names]

    def _renew(
        self,
        counted: Sequence[tuple[Delivery, int | None]],
        *,
        new_owner: str | None = None,
        idle_ms: int = 0,
    ) -> list[Delivery]:
        """Each delivery comes with its new count, None: unchanged. Returns those that are not ours."""
        for start in range(0, len(counted), MAX_RENEWED_AT_ONCE):
            now = time.monotonic()
            part = counted[start : start + MAX_RENEWED_AT_ONCE]
            args: list[Any] = [self._group, self._consumer, new_owner or self._consumer, idle_ms]
            for delivery, count in part:
                args += [delivery.entry_id, "" if count is None else count]
            lost = set(self._renew_or_release(keys=[self.stream], args=args))
            for delivery, _ in part:
                delivery.is_lost = delivery.entry_id in lost
                delivery.confirmed_at = now
        return [delivery for delivery, _ in counted if delivery.is_lost]


def is_missing(error: "redis.RedisError") -> bool:
    """Whether an error says that the stream or the group does not exist (any more)."""
    text = str(error)
    return "NOGROUP" in text or "UNBLOCKED" in text or "no such key" in text


def dead_letter_fields(
    delivery: Delivery, reason: DeadReason, consumer: str, now: datetime
) -> dict[str, str | bytes]:
    """The fields that a dead letter has beside those of its message: a contract, see `docs/queue.md`."""
    error = " ".join(reason.error.splitlines())
    return {
        "reason": reason.reason,
        "error": _trimmed(_encoded(error)[:MAX_ERROR_BYTES]),
        # The end of a traceback says where it happened.
        "traceback": _trimmed(_encoded(reason.traceback)[-MAX_TRACEBACK_BYTES:]),
        "deliveries": str(delivery.recorded_deliveries),
        "entry": delivery.entry_id,
        "consumer": consumer,
        "failed": timestamp(now),
    }


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


def _trimmed(data: bytes) -> bytes:
    """Removes the half letters that cutting has left at either end."""
    return data.decode(errors="ignore").encode()
