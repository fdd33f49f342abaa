"""The Redis of a measurement, and whether what it holds is what was answered."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.rig import environment
from testbed import redis_process
from testbed.ports import free_port

# What differs from one run to the next.
OWN = ("time", "requestid")
SAMPLE = 1000
FEWEST_COMMON = 50
SETTLE_TIMEOUT_S = 20.0
QUIET_S = 0.3


class MismatchError(Exception):
    """What is in Redis is not what was answered, or not what the other contenders left there."""


@dataclass(frozen=True)
class Store:
    """A running Redis, or a Cluster: then with a client for the master of each partition."""

    url: str
    clients: "Sequence[redis.Redis]"

    @property
    def client(self) -> "redis.Redis":
        """Of the first partition."""
        return self.clients[0]

    def processes(self) -> list[psutil.Process]:
        """Of its masters. Their children, which rewrite files, are none of the measurement's."""
        pids = {client.info("server")["process_id"] for client in self.clients}
        return [psutil.Process(pid) for pid in sorted(pids)]

    def length(self) -> int:
        """How many messages there are."""
        streams = (stream(number) for number in range(len(self.clients)))
        pairs = zip(self.clients, streams, strict=True)
        return sum(int(client.xlen(name)) for client, name in pairs)

    def settle(self) -> None:
        """Returns once nothing more comes."""
        _settled_length(self, 0)


@contextmanager
def running(fsync: str) -> Iterator[Store]:
    """Runs an empty Redis with an append-only file, on the disk that var/ is on, while the block runs.

    The file is not rewritten meanwhile: that would hit one contender and not the other.

    Args:
        fsync: Redis's `appendfsync`.
    """
    environment.HERE.mkdir(parents=True, exist_ok=True)
    options = {"appendfsync": fsync, "auto-aof-rewrite-percentage": "0"}
    with (
        tempfile.TemporaryDirectory(prefix="redis-", dir=environment.HERE) as folder,
        redis_process.running(Path(folder), port=free_port(), options=options) as url,
        redis.Redis.from_url(url, decode_responses=True, protocol=2) as client,
    ):
        yield Store(url, [client])


def stream(partition: int) -> str:
    """The key of a partition's stream."""
    return f"{{fota:{partition}}}:messages"


def check_count(store: Store, before: int, kept: int, *, under_way: int) -> int:
    """Checks that each answer of 200 is an entry; returns how many entries were added.

    Args:
        store: where.
        before: the stream's length before.
        kept: answers of 200.
        under_way: how many more there may be, since the generator left without their answers.

    Raises:
        MismatchError: there are fewer, or more.
    """
    added = _settled_length(store, before + kept) - before
    if not kept <= added <= kept + under_way:
        raise MismatchError(f"{kept} were answered 200, and {added} entries were added")
    return added


def sample(store: Store) -> dict[str, dict[str, Any]]:
    """The first entries by the message's id, without what differs from run to run."""
    entries: Any = store.client.xrange(stream(0), count=SAMPLE)
    return dict(_comparable(fields) for _, fields in entries)


def check_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Checks that two contenders made the same entries of the same messages.

    Raises:
        MismatchError: they did not, or have too few messages in common.
    """
    common = one.keys() & other.keys()
    if len(common) < FEWEST_COMMON:
        raise MismatchError(f"only {len(common)} messages in common: the fingerprints differ")
    for message_id in common:
        if one[message_id] != other[message_id]:
            raise MismatchError(f"{one[message_id]} is not {other[message_id]}")


def _comparable(fields: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    kept: dict[str, Any] = {name: text for name, text in fields.items() if name not in OWN}
    # The order of members says nothing.
    kept["data"] = json.loads(kept["data"])
    return fields["id"], {**kept, "fields": sorted(fields)}


def _settled_length(store: Store, wanted: int) -> int:
    """The length, once it is what is wanted and nothing more comes."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    last, since = -1, time.monotonic()
    while time.monotonic() < deadline:
        length = store.length()
        if length != last:
            last, since = length, time.monotonic()
        elif length >= wanted and time.monotonic() - since >= QUIET_S:
            break
        time.sleep(0.05)
    return last
