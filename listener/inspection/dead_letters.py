"""What consumer groups gave up on: the dead letters, to look at, give back, or drop."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import redis

from listener.inspection.consumer_groups import REQUEUED, names
from listener.inspection.entries import standing
from listener.inspection.pages import WHOLE, Entry, Part
from listener.queue.keys import Partition
from listener.redis_client.client import servers

# What a dead letter has besides the fields of its message.
ADDED = ("reason", "error", "traceback", "deliveries", "entry", "consumer", "failed")
# What a list shows of one: neither the message's data nor the traceback.
SHORT = Part(
    (*(name for name in ADDED if name != "traceback"), "kind", "account", "subject", "id"),
    longest=1000,
)
# Groups that were destroyed are found by their dead letters alone; a larger database is not searched.
MOST_KEYS = 2_000_000

Done = Literal["again", "added", "empty", "gone", "no-group"]


@dataclass(frozen=True)
class DeadLetter:
    """An entry of a stream of dead letters, with the partition and the group that it is of."""

    where: Partition
    group: str
    entry: Entry

    @property
    def entry_id(self) -> str:
        """Its own id; the original entry's is the field `entry`."""
        return self.entry.entry_id

    @property
    def message(self) -> dict[str, str]:
        """The fields of the original entry."""
        return {name: text for name, text in self.entry.fields.items() if name not in ADDED}

    def told(self, name: str) -> str:
        """One of the added fields; empty if it has none."""
        return self.entry.fields.get(name, "")


def letters(
    client: "redis.Redis",
    where: Partition,
    group: str,
    *,
    only: str | None = None,
    part: Part = WHOLE,
) -> Iterator[DeadLetter]:
    """A group's dead letters in a partition, the oldest first. Raises redis.RedisError.

    Those that are added while this runs are left out, so that giving back ends.

    Args:
        client: one that decodes responses.
        where: the partition.
        group: whose dead letters.
        only: the id of the one that is wanted.
        part: how much to read of each.
    """
    stream = where.dead(group)
    for entry in standing(client, stream, only=only, number=where.number, part=part):
        yield DeadLetter(where, group, entry)


def groups_with_letters(client: "redis.Redis", partitions: Sequence[Partition]) -> list[str]:
    """The groups that have dead letters, those that were destroyed included.

    Those that were destroyed are missing where Redis refuses a search, or is too large for one.

    Raises redis.RedisError.
    """
    known = set(names(client, partitions))
    found = {
        group for group in known if any(client.exists(where.dead(group)) for where in partitions)
    }
    # Proxies in front of several servers refuse to search them.
    with suppress(redis.ResponseError):
        if sum(int(server.dbsize()) for server in servers(client)) <= MOST_KEYS:
            found |= set(_searched(client, partitions))
    return sorted(found)


class Requeuer:
    """Gives dead letters back to their group. Doing it twice does it once."""

    def __init__(self, client: "redis.Redis") -> None:
        """Takes a client that decodes responses."""
        self._redis = client
        self._script = (
            files("listener.inspection")
            .joinpath("scripts", "requeue.lua")
            .read_text(encoding="utf-8")
        )

    def requeue(self, letter: DeadLetter) -> tuple[Done, str]:
        """What was done, and the message's entry id; see the script. Raises redis.RedisError."""
        keys = [letter.where.messages, letter.where.dead(letter.group)]
        words = [letter.group, letter.entry_id, REQUEUED, *ADDED]
        # Not by its digest: teaching a server a script is a right that few users have.
        found: Any = self._redis.eval(self._script, len(keys), *keys, *words)
        done, entry_id = found
        return done, entry_id


def drop(client: "redis.Redis", where: Partition, group: str, entry_id: str) -> bool:
    """Deletes a dead letter; false if it was gone. Raises redis.RedisError."""
    return bool(client.xdel(where.dead(group), entry_id))


def _searched(client: "redis.Redis", partitions: Sequence[Partition]) -> Iterator[str]:
    numbers = {where.number for where in partitions}
    namespace = partitions[0].namespace
    form = re.compile(rf"\{{{re.escape(namespace)}:([0-9]+)\}}:dead:(.*)", re.DOTALL)
    for server in servers(client):
        for key in server.scan_iter(match=f"{{{namespace}:*}}:dead:*", count=1000):
            found = form.fullmatch(key)
            if found and int(found[1]) in numbers:
                yield found[2]
