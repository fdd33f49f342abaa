"""The evidence of one partition, in Redis: reads a page of its stream, stores what it says, and returns it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis

from listener import entry_ids
from listener.queue.keys import Partition
from listener.recovered.devices import EVERY_DEVICE
from listener.recovered.facts import Fact, TooManyUpgradesError, facts_of
from listener.recovered.stream_position import StreamPosition, StreamState
from listener.redis_client.script import EvalScript, Script

# Redis serves no other client while it reads or stores a page.
PAGE_ENTRIES = 500
PAGE_BYTES = 2**18
# ThingSpace keeps the upgrades of v1 for six months [doc].
KEPT_S = 200 * 24 * 3600
# Ids that may be none of an upgrade, such as a transaction's, may be as many as messages.
GUESS_KEPT_S = 30 * 24 * 3600
RECOVERED_PREFIX = "recovered:"

_NEXT_PAGE = Script.load("listener.recovered", "next_page.lua").text
_STORE = Script.load("listener.recovered", "store.lua").text


class StoredEvidence:
    """What is stored of one partition. Every method raises redis.RedisError if Redis does not answer."""

    def __init__(self, client: "redis.Redis", partition: Partition, kept_ms: int) -> None:
        """Takes a client that decodes responses, and the least age of what is trimmed, in milliseconds."""
        self._client = client
        self._partition = partition
        self._kept_ms = kept_ms
        self._next_page = EvalScript(client, _NEXT_PAGE)
        self._store = EvalScript(client, _STORE)

    def position(self) -> StreamPosition:
        """How far the stream was read."""
        fields: Any = self._client.hgetall(self._partition.evidence_position)
        return StreamPosition.from_fields(fields)

    def read_page(self, now_ms: int) -> bool:
        """Reads the next page into the index; returns whether the end is reached.

        Where another replica stored the page meanwhile, nothing is stored.
        """
        before = self.position()
        limits = (before.cursor, PAGE_ENTRIES, PAGE_BYTES)
        reply: Any = self._next_page([self._partition.messages], limits)
        state = StreamState.from_reply(reply[:-1]) if reply else None
        entries = dict(map(_entry, reply[-1])) if reply else {}
        after = before.advance(state, list(entries), now_ms=now_ms, kept_ms=self._kept_ms)
        facts, unread_ms = _facts(entries)
        if unread_ms:
            after = after.incomplete_until(unread_ms)
        guesses = [fact.entry_id for fact in facts if fact.is_guess]
        if guesses:
            after = after.guessed_at(entry_ids.parse(guesses[-1])[0])
        keys, words = self._words(facts)
        fields = [word for pair in after.fields().items() for word in pair]
        keys = [self._partition.evidence_position, *keys]
        is_stored = self._store(keys, [before.cursor, len(fields), *fields, *words])
        return bool(is_stored) and after.is_at_end_of(state)

    def names(self, account: str, upgrade_id: str) -> set[str]:
        """The fields of an upgrade's evidence, of messages that name the account and of those that name none."""
        with self._client.pipeline(transaction=False) as pipeline:
            for named in {account, ""}:
                pipeline.hkeys(self._partition.evidence(named, upgrade_id))
            replies: Sequence[Any] = pipeline.execute()
        return set().union(*replies)

    def devices(self, account: str, upgrade_id: str, kind: str) -> set[str]:
        """The devices that messages of a kind named, and `EVERY_DEVICE` if one may be about all."""
        with self._client.pipeline(transaction=False) as pipeline:
            for named in {account, ""}:
                pipeline.smembers(self._partition.evidence_devices(named, upgrade_id, kind))
            replies: Sequence[Any] = pipeline.execute()
        is_of_all = _every_device_field(kind) in self.names(account, upgrade_id)
        return set().union(*replies, {EVERY_DEVICE} if is_of_all else ())

    def _words(self, facts: Iterable[Fact]) -> tuple[list[str], list[Any]]:
        """The keys that change, and for each what `store.lua` takes."""
        hashes: dict[str, dict[str, str]] = {}
        sets: dict[str, set[str]] = {}
        kept_s: dict[str, int] = defaultdict(int)
        for fact in facts:
            about = (fact.account, fact.upgrade_id)
            key = self._partition.evidence(*about)
            hashes.setdefault(key, {}).update(dict.fromkeys(_fields(fact), fact.entry_id))
            _extend(kept_s, key, fact)
            if fact.device != EVERY_DEVICE:
                key = self._partition.evidence_devices(*about, fact.kind)
                sets.setdefault(key, set()).add(fact.device)
                _extend(kept_s, key, fact)
        words: list[Any] = []
        for key, names in hashes.items():
            pairs = [word for pair in names.items() for word in pair]
            words += (kept_s[key], "HSET", len(pairs), *pairs)
        for key, devices in sets.items():
            words += (kept_s[key], "SADD", len(devices), *devices)
        return [*hashes, *sets], words


def _fields(fact: Fact) -> list[str]:
    """The fields of an upgrade's evidence that a fact adds."""
    if fact.recovered_device is not None:
        return [recovered_field(fact.kind, fact.recovered_device)]
    of_all = [_every_device_field(fact.kind)] if fact.device == EVERY_DEVICE else []
    return [fact.kind, *of_all]


def _extend(kept_s: dict[str, int], key: str, fact: Fact) -> None:
    kept_s[key] = max(kept_s[key], GUESS_KEPT_S if fact.is_guess else KEPT_S)


def _every_device_field(kind: str) -> str:
    """The field that says that a message of a kind came that may be about every device."""
    return f"{kind}:{EVERY_DEVICE}"


def recovered_field(kind: str, device: str) -> str:
    """The field that says that a kind was recovered, of an upgrade or of one of its devices."""
    return f"{RECOVERED_PREFIX}{kind}{f':{device}' if device else ''}"


def _entry(row: Sequence[Any]) -> tuple[str, dict[str, str]]:
    entry_id, flat = row
    return entry_id, dict(zip(flat[::2], flat[1::2], strict=True))


def _facts(entries: Mapping[str, Mapping[str, str]]) -> tuple[list[Fact], int]:
    """What the entries say, and when the last of those arrived that cannot be read, in ms; 0: there is none."""
    facts: list[Fact] = []
    unread_ms = 0
    for entry_id, fields in entries.items():
        try:
            facts += facts_of(entry_id, fields)
        except TooManyUpgradesError:
            unread_ms = entry_ids.parse(entry_id)[0]
    return facts, unread_ms
