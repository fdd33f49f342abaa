"""Writes that Redis confirms as QUEUE_DURABILITY asks."""

from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoScriptError

from listener.errors import QueueUnavailableError
from listener.queue.durability import (
    AofAlwaysCheck,
    AofWait,
    Wait,
    unsupported_reason,
    wait_ms,
)
from listener.queue.keys import Partition
from listener.queue.redis_errors import Blame, blame
from listener.queue.replicas import ReplicaTracker
from listener.redis_client.client import reset_connections
from listener.redis_client.server_info import WAITAOF_SINCE, ServerInfo, inspect
from listener.settings.queue_settings import Durability

UNKNOWN = ServerInfo(
    version=WAITAOF_SINCE,
    name="a server that hides its INFO",
    appendonly=True,
    appendfsync=None,
    maxmemory_policy="noeviction",
    replicas=0,
)


class DurableWriter:
    """Sends writes, each with what waits for its durability. Threads share it."""

    def __init__(
        self,
        client: "redis.Redis",
        durability: Durability,
        budget_s: float,
        partitions: Sequence[Partition],
    ) -> None:
        """Takes what to send with, what to wait for, and how long a write may take in all."""
        self._redis = client
        self._durability = durability
        self._wait_ms = wait_ms(budget_s)
        self._server: ServerInfo | None = None
        self._copies = {
            where: ReplicaTracker(where.replicas, durability.replicas, self._wait_ms)
            for where in partitions
        }

    def send(self, where: Partition, *command: Any) -> Any:
        """Sends a write to a partition; its reply, once it is durable.

        The command must bear being sent twice.

        Raises:
            redis.RedisError, QueueUnavailableError: that was not confirmed; it may have been
                carried out all the same.
        """
        try:
            return self._send(where, *command)
        except NoScriptError:
            raise
        except (redis.RedisError, QueueUnavailableError):
            # There may be another master by now, which may be another kind of server.
            self._server = None
            self._copies[where].forget()
            reset_connections(self._redis)
            raise

    def _send(self, where: Partition, *command: Any) -> Any:
        """Sends a write and, in the same round trip and on the same connection, what waits for it."""
        wait = self._wait(where)
        if wait is None:
            return self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        with self._redis.pipeline(transaction=False) as pipeline:
            for words in (command, *wait.commands):
                pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
            reply, *told = pipeline.execute()
        if not wait.check(told):
            # Nothing is added twice, and the first reply is the one that counts.
            self._send(where, *command)
        return reply

    def _wait(self, where: Partition) -> Wait | None:
        if self._durability.mode == "replicas":
            return self._copies[where].wait(self._redis.execute_command)
        if self._durability.mode == "server":
            return None
        if self._server is None:
            server = self._ask()
            if reason := unsupported_reason(self._durability, server):
                raise QueueUnavailableError(f"QUEUE_DURABILITY={self._durability} {reason}")
            self._server = server
        return AofWait(self._wait_ms) if self._server.supports_waitaof else AofAlwaysCheck()

    def _ask(self) -> ServerInfo:
        try:
            return inspect(self._redis)
        except redis.ResponseError as refusal:
            if blame(refusal) is not Blame.SERVER:
                raise
            # INFO is not allowed. A server that does not know WAITAOF will say so.
            return UNKNOWN
