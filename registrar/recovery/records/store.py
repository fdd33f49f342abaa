"""Keeps what recovery knows in Redis: records of upgrades and slots, signs of life, and the result for the page.

Every write of a sweep is fenced: what a process writes that has lost the mutex is not stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import redis

from listener.recovered.recovery_state import RecoveryState
from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script
from registrar.errors import NotExclusiveError
from registrar.model import Slot
from registrar.recovery.records.slot_record import SlotRecord
from registrar.recovery.records.upgrade_record import UpgradeRecord

# Records are read and written in parts of this size, so that no reply grows with the account.
PART = 500
# A sign of life and a gap matter for as long as no sweep came after them.
NOTE_TTL_MS = 30 * 24 * 3600 * 1000


class RecoveryStore(Protocol):
    """What a sweep reads and writes. Every method may raise redis.RedisError."""

    def slot(self, slot: Slot) -> SlotRecord:
        """The record of a slot; an empty one if there is none."""

    def upgrades(self, slot: Slot, ids: Sequence[str]) -> dict[str, UpgradeRecord]:
        """The records of some upgrades; those without one are left out."""

    def all_upgrades(self, slot: Slot) -> Iterator[tuple[str, UpgradeRecord]]:
        """Every record of a slot, in no order; one that changes meanwhile may come twice."""

    def save(
        self,
        slot: Slot,
        record: SlotRecord,
        upgrades: Mapping[str, UpgradeRecord | None],
        fencing_token: int,
    ) -> None:
        """Stores all of it or nothing; None deletes a record. Raises NotExclusiveError: a later holder has written."""


class RedisRecoveryStore:
    """The store in Redis; shared by all replicas of a namespace."""

    def __init__(self, client: "redis.Redis", keys: Keys) -> None:
        self._redis: Any = client
        self._keys = keys.recovery
        self._save = script(client, "store_recovery")

    def slot(self, slot: Slot) -> SlotRecord:
        """See `RecoveryStore`."""
        return SlotRecord.from_json(self._redis.hget(self._keys.slots, str(slot)))

    def slots(self, slots: Sequence[Slot]) -> dict[Slot, SlotRecord]:
        """The records of several slots, in one round trip."""
        if not slots:
            return {}
        texts = self._redis.hmget(self._keys.slots, [str(slot) for slot in slots])
        return {slot: SlotRecord.from_json(text) for slot, text in zip(slots, texts, strict=True)}

    def upgrades(self, slot: Slot, ids: Sequence[str]) -> dict[str, UpgradeRecord]:
        """See `RecoveryStore`. A record that another version wrote in another form is as good as none."""
        found: dict[str, UpgradeRecord] = {}
        for begin in range(0, len(ids), PART):
            part = ids[begin : begin + PART]
            texts = self._redis.hmget(self._keys.upgrades(slot), part)
            for upgrade_id, text in zip(part, texts, strict=True):
                record = UpgradeRecord.from_json(text) if text else None
                if record:
                    found[upgrade_id] = record
        return found

    def all_upgrades(self, slot: Slot) -> Iterator[tuple[str, UpgradeRecord]]:
        """See `RecoveryStore`."""
        for name, text in self._redis.hscan_iter(self._keys.upgrades(slot), count=PART):
            record = UpgradeRecord.from_json(text)
            if record:
                yield _text(name), record

    def save(
        self,
        slot: Slot,
        record: SlotRecord,
        upgrades: Mapping[str, UpgradeRecord | None],
        fencing_token: int,
    ) -> None:
        """See `RecoveryStore`. More than `PART` records are stored part by part, each as a whole."""
        items = [(name, each.to_json() if each else "") for name, each in upgrades.items()]
        for begin in range(0, max(len(items), 1), PART):
            part = items[begin : begin + PART]
            stored = self._save(
                keys=[self._keys.written, self._keys.slots, self._keys.upgrades(slot)],
                args=[
                    fencing_token,
                    str(slot),
                    record.to_json(),
                    *(w for item in part for w in item),
                ],
            )
            if not stored:
                raise NotExclusiveError("mutex-lost", "another process sweeps")

    def publish(self, state: RecoveryState) -> None:
        """Stores the result for the status page, `check` and the metrics."""
        self._redis.set(self._keys.state, state.to_json())

    def unpublish(self) -> None:
        """Deletes the result: what nobody renews any more must not look late."""
        self._redis.delete(self._keys.state)

    def published(self) -> RecoveryState | None:
        """What was published last."""
        text = self._redis.get(self._keys.state)
        return RecoveryState.from_json(text) if text else None

    def note_alive(self, now_ms: int) -> int:
        """Notes that a replica runs; returns when one did so last, 0: never."""
        before = self._redis.set(self._keys.alive, now_ms, px=NOTE_TTL_MS, get=True)
        return int(before or 0)

    def note_gap(self, now_ms: int) -> None:
        """Notes that messages may be lost now."""
        self._redis.set(self._keys.gap, now_ms, px=NOTE_TTL_MS)

    def gap_ms(self) -> int:
        """When messages may have been lost last; 0: never."""
        return int(self._redis.get(self._keys.gap) or 0)


class DryRunStore:
    """A store that keeps what a dry run would write, in memory, over what is stored."""

    def __init__(self, store: RecoveryStore) -> None:
        self._store = store
        self._slots: dict[Slot, SlotRecord] = {}
        self._upgrades: dict[Slot, dict[str, UpgradeRecord | None]] = {}

    def slot(self, slot: Slot) -> SlotRecord:
        """See `RecoveryStore`."""
        return self._slots.get(slot) or self._store.slot(slot)

    def upgrades(self, slot: Slot, ids: Sequence[str]) -> dict[str, UpgradeRecord]:
        """See `RecoveryStore`."""
        kept = self._upgrades.get(slot, {})
        stored = self._store.upgrades(slot, [each for each in ids if each not in kept])
        return stored | {each: record for each in ids if (record := kept.get(each))}

    def all_upgrades(self, slot: Slot) -> Iterator[tuple[str, UpgradeRecord]]:
        """See `RecoveryStore`."""
        kept = self._upgrades.get(slot, {})
        for upgrade_id, record in self._store.all_upgrades(slot):
            if upgrade_id not in kept:
                yield upgrade_id, record
        yield from ((each, record) for each, record in kept.items() if record)

    def save(
        self,
        slot: Slot,
        record: SlotRecord,
        upgrades: Mapping[str, UpgradeRecord | None],
        fencing_token: int,
    ) -> None:
        """See `RecoveryStore`; nothing is written."""
        del fencing_token
        self._slots[slot] = record
        self._upgrades.setdefault(slot, {}).update(upgrades)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
