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

# The fields that a dead letter has besides those of its message.
ADDED_FIELDS = ("reason", "error", "traceback", "deliveries", "entry", "consumer", "failed")
# What a list shows of a dead letter: neither the message's data nor the traceback.
SUMMARY = Projection(
    (*(name for name in ADDED_FIELDS if name != "traceback"), "kind", "account", "subject", "id"),
    max_value_bytes=1000,
)
# Dead letters of destroyed groups are found by a search of all keys; a larger database is not searched.
MAX_SEARCHED_KEYS = 2_000_000

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


def read_dead_letters(
    client: "redis.Redis",
    partition: Partition,
    group: str,
    *,
    only: str | None = None,
    projection: Projection = ALL_FIELDS,
) -> Iterator[DeadLetter]:
    """A group's dead letters in a partition, the oldest first. Raises redis.RedisError.

    Leaves out letters that are added meanwhile, so that requeuing all of them ends.

    Args:
        client: one that decodes responses.
        partition: where to read.
        group: whose dead letters.
        only: the id of the only letter that is wanted.
        projection: what to read of each.
    """
    stream, number = partition.dead(group), partition.number
    for entry in snapshot(client, stream, only=only, partition=number, projection=projection):
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


def requeue(client: "redis.Redis", letter: DeadLetter) -> tuple[RequeueResult, str]:
    """Gives a dead letter back to its group; a second call does nothing. Raises redis.RedisError.

    Returns what was done and the message's entry id, as `requeue.lua` describes them.
    """
    keys = (letter.partition.messages, letter.partition.dead(letter.group))
    arguments = (letter.group, letter.entry_id, REQUEUED, CLAIMABLE_AT_ONCE_MS, *ADDED_FIELDS)
    # EVAL and not EVALSHA: few users have the right to SCRIPT LOAD.
    reply: Any = client.eval(_REQUEUE, len(keys), *keys, *arguments)
    result, entry_id = reply
    return result, entry_id


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
