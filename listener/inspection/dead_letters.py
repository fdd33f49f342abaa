"""Reads, requeues and deletes dead letters; `requeue.lua` decides how a letter gets back to its group."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import redis

from listener.inspection.consumer_groups import CLAIMABLE_AT_ONCE_MS, REQUEUED, group_names
from listener.inspection.entries import snapshot
from listener.inspection.pages import ALL_FIELDS, Projection
from listener.inspection.stream_entry import StreamEntry
from listener.queue.keys import Partition
from listener.redis_client.client import servers
from listener.redis_client.script import Script
from listener.text import clean

# The fields that a dead letter has besides those of its message.
ADDED_FIELDS = ("reason", "error", "traceback", "deliveries", "entry", "consumer", "failed")
# What a list shows of a dead letter: neither the message's data nor the traceback.
SUMMARY = Projection(
    (*(name for name in ADDED_FIELDS if name != "traceback"), "kind", "account", "subject", "id"),
    max_value_bytes=1000,
)
# Dead letters of destroyed groups are found by a search of all keys; a larger database is not searched.
MAX_SEARCHED_KEYS = 2_000_000

# Numbers and ids differ from message to message where the error is the same.
VARYING = re.compile(r"\b(?:0x)?[0-9a-f]*[0-9][0-9a-f-]*\b", re.IGNORECASE)
MAX_KEY_CHARS = 200

RequeueResult = Literal["again", "added", "empty", "gone", "no-group"]

_REQUEUE = Script.load("listener.inspection", "requeue.lua").text


@dataclass(frozen=True)
class DeadLetter:
    """An entry of a group's stream of dead letters."""

    partition: Partition
    group: str
    entry: StreamEntry

    @property
    def entry_id(self) -> str:
        """Its own id; the id of the original entry is the field `entry`."""
        return self.entry.entry_id

    @property
    def message(self) -> dict[str, str]:
        """The fields of the original entry."""
        fields = self.entry.fields
        return {name: text for name, text in fields.items() if name not in ADDED_FIELDS}

    def field(self, name: str) -> str:
        """One of the added fields; empty if it is missing."""
        return self.entry.fields.get(name, "")


@dataclass(frozen=True)
class LetterFilter:
    """Which dead letters are wanted; what is not set lets every letter pass.

    Attributes:
        kinds: of the message.
        error: a part of the error or of its `error_key`, in any letter case, or the whole reason.
        first: the id from which on letters are wanted. `matches` does not look at it.
    """

    kinds: tuple[str, ...] = ()
    error: str = ""
    first: str = "-"

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter has the kind and the error; it needs the fields of `SUMMARY`."""
        if self.kinds and letter.entry.fields.get("kind") not in self.kinds:
            return False
        error, wanted = letter.field("error"), self.error.casefold()
        if not wanted or letter.field("reason").casefold() == wanted:
            return True
        return any(wanted in clean(text).casefold() for text in (error, error_key(error)))

    def __bool__(self) -> bool:
        """Whether `matches` needs any field."""
        return bool(self.kinds or self.error)


ALL = LetterFilter()


def error_key(error: str) -> str:
    """An error with # in place of what varies from message to message: numbers and ids."""
    return VARYING.sub("#", error[:MAX_KEY_CHARS])


def read_dead_letters(
    client: "redis.Redis",
    partition: Partition,
    group: str,
    *,
    only: str | None = None,
    first: str = "-",
    projection: Projection = ALL_FIELDS,
) -> Iterator[DeadLetter]:
    """A group's dead letters in a partition, the oldest first. Raises redis.RedisError.

    Leaves out letters that are added meanwhile, so that requeuing all of them ends.

    Args:
        client: one that decodes responses.
        partition: where to read.
        group: whose dead letters.
        only: the id of the only letter that is wanted.
        first: the id from which on letters are wanted.
        projection: what to read of each.
    """
    entries = snapshot(
        client,
        partition.dead(group),
        only=only,
        first=first,
        partition=partition.number,
        projection=projection,
    )
    for entry in entries:
        yield DeadLetter(partition, group, entry)


def groups_with_dead_letters(client: "redis.Redis", partitions: Sequence[Partition]) -> list[str]:
    """The groups that have dead letters, including destroyed groups.

    Destroyed groups are missing if Redis refuses SCAN, or has more than `MAX_SEARCHED_KEYS` keys.

    Raises redis.RedisError.
    """
    groups = {
        group
        for group in group_names(client, partitions)
        if any(client.exists(partition.dead(group)) for partition in partitions)
    }
    # Proxies in front of several servers refuse SCAN.
    with suppress(redis.ResponseError):
        if sum(int(server.dbsize()) for server in servers(client)) <= MAX_SEARCHED_KEYS:
            groups |= set(_search(client, partitions))
    return sorted(groups)


def requeue(
    client: "redis.Redis",
    partition: Partition,
    group: str,
    entry_id: str,
    *,
    dry_run: bool = False,
) -> tuple[RequeueResult, str]:
    """Gives a dead letter back to its group; a second call does nothing. Raises redis.RedisError.

    Args:
        client: one that decodes responses.
        partition: where the letter is.
        group: whose it is.
        entry_id: the letter's own id.
        dry_run: only say what would be done.

    Returns:
        What was done and the message's entry id, as `requeue.lua` describes them.
    """
    keys = (partition.messages, partition.dead(group))
    settings = (REQUEUED, CLAIMABLE_AT_ONCE_MS, int(dry_run))
    arguments = (group, entry_id, *settings, *ADDED_FIELDS)
    # EVAL and not EVALSHA: few users have the right to SCRIPT LOAD.
    reply: Any = client.eval(_REQUEUE, len(keys), *keys, *arguments)
    result, original = reply
    return result, original


def delete_dead_letter(
    client: "redis.Redis", partition: Partition, group: str, entry_id: str
) -> bool:
    """Deletes a dead letter; False if it was gone. Raises redis.RedisError."""
    return bool(client.xdel(partition.dead(group), entry_id))


def _search(client: "redis.Redis", partitions: Sequence[Partition]) -> Iterator[str]:
    """The groups of all streams of dead letters among the keys of all servers."""
    numbers = {partition.number for partition in partitions}
    namespace = partitions[0].namespace
    form = re.compile(rf"\{{{re.escape(namespace)}:([0-9]+)\}}:dead:(.*)", re.DOTALL)
    for server in servers(client):
        for key in server.scan_iter(match=f"{{{namespace}:*}}:dead:*", count=1000):
            match = form.fullmatch(key)
            if match and int(match[1]) in numbers:
                yield match[2]
