"""Checks that Redis allows each command that storing a message needs, without storing anything."""

from collections.abc import Iterator
from typing import Any

import redis
from redis.exceptions import NoScriptError

from listener.errors import QueueUnavailableError
from listener.queue.keys import ARRIVALS_TTL_S, Partition
from listener.queue.redis_errors import remedy, split_reply
from listener.redis_client.script import Script

REFUSED = "is refused in partition"
# How long a key of the check lasts, in ms.
SCRATCH_MS = 1000

Command = tuple[Any, ...]


def check(client: "redis.Redis", partition: Partition, script: Script) -> None:
    """Returns if the commands are allowed for the keys of a partition. One round trip.

    Not checked: the commands that QUEUE_DURABILITY needs, and whether a value can be written.

    Raises:
        QueueUnavailableError: one is refused; the detail names it, and the right to grant.
        redis.RedisError: there is no reply.
    """
    commands = tuple(_commands(partition, script))
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        replies = pipeline.execute(raise_on_error=False)
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, redis.RedisError) and not isinstance(reply, NoScriptError):
            raise QueueUnavailableError(describe_refusal(command[0], partition, reply))


def describe_refusal(command: str, partition: Partition, error: Exception) -> str:
    """One line about a refused command, or about the command of its pipeline that was refused."""
    in_pipeline, reply = split_reply(error)
    command = in_pipeline or command
    advice = remedy(command, error)
    return f"{command} {REFUSED} {partition.number}: {type(error).__name__}: {reply}"[:300] + (
        f"; {advice}" if advice else ""
    )


def _commands(partition: Partition, script: Script) -> Iterator[Command]:
    """The commands of the script and those that call it.

    First the single commands: where one is refused in the script, the reply may not say which.
    """
    # Adds nothing for a key that never exists, and is refused all the same if it is not allowed.
    yield ("XADD", partition.absent, "NOMKSTREAM", "*", "data", "")
    yield ("GET", partition.ready)
    # Fingerprints are fields of hashes. This one does not outlive its field.
    scratch = partition.ready_hash
    yield from (("HSET", scratch, "", 1), ("HMGET", scratch, ""), ("HGETALL", scratch))
    yield from (("PEXPIRE", scratch, SCRATCH_MS), ("HDEL", scratch, ""))
    # Also checks whether the key holds a stream. The drainer reads there.
    yield ("XRANGE", partition.messages, "0-1", "0-1", "COUNT", 1)
    keys = (partition.messages, partition.arrival_counts(0), partition.fingerprint_hash("0" * 32))
    call = (len(keys), *keys, 1, 0, ARRIVALS_TTL_S, 0, 1)
    # EVAL teaches the server the script.
    yield ("EVAL", script.text, *call)
    yield ("EVALSHA", script.sha, *call)
