"""Asks Redis for each command that keeping a message needs, without keeping anything."""

from collections.abc import Iterator
from typing import Any

import redis
from redis.exceptions import NoScriptError

from listener.errors import QueueUnavailableError
from listener.queue.keys import ARRIVALS_TTL_S, Partition
from listener.queue.redis_errors import remedy, split_reply
from listener.redis_client.script import Script

REFUSED = "is refused in partition"

Words = tuple[Any, ...]


def check(client: "redis.Redis", where: Partition, script: Script) -> None:
    """Returns if the commands are allowed for the keys of a partition. One round trip.

    Not asked here: what QUEUE_DURABILITY needs, and whether a value can be written.

    Raises:
        QueueUnavailableError: one is refused; the detail names it, and what to grant.
        redis.RedisError: there is no answer.
    """
    commands = tuple(_commands(where, script))
    with client.pipeline(transaction=False) as pipeline:
        for words in commands:
            pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
        replies = pipeline.execute(raise_on_error=False)
    for words, reply in zip(commands, replies, strict=True):
        if isinstance(reply, redis.RedisError) and not isinstance(reply, NoScriptError):
            raise QueueUnavailableError(describe_refusal(words[0], where, reply))


def describe_refusal(command: str, where: Partition, error: Exception) -> str:
    """One line about a refused command, or about one that was sent behind it."""
    behind, said = split_reply(error)
    command = behind or command
    advice = remedy(command, error)
    return f"{command} is refused in partition {where.number}: {type(error).__name__}: {said}"[
        :300
    ] + (f"; {advice}" if advice else "")


def _commands(where: Partition, script: Script) -> Iterator[Words]:
    """What the script does it must be allowed to do, and its callers to call it.

    First the single commands: where one is refused from the script, the answer may not say which.
    """
    # Of a key that never exists it adds nothing, and says all the same whether it would be allowed.
    yield ("XADD", where.absent, "NOMKSTREAM", "*", "data", "")
    yield ("GET", where.ready)
    # Also whether the key holds a stream. The drainer reads there.
    yield ("XRANGE", where.messages, "0-1", "0-1", "COUNT", 1)
    keys = (where.messages, where.arrival_counts(0), where.fingerprint("nothing"))
    call = (len(keys), *keys, 1, 0, ARRIVALS_TTL_S)
    # The text teaches the server the script.
    yield ("EVAL", script.text, *call)
    yield ("EVALSHA", script.sha, *call)
