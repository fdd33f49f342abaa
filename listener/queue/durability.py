"""Sends a write and waits until it is durable as QUEUE_DURABILITY asks: `server`, `fsync` or `replicas:N`."""

from collections.abc import Sequence
from typing import Any, Protocol

import redis
from redis.exceptions import NoScriptError

from listener.errors import QueueUnavailableError
from listener.queue.keys import Partition
from listener.queue.redis_errors import Blame, blame
from listener.queue.replica_tracking import ReplicaTracker
from listener.redis_client.client import reset_connections
from listener.redis_client.server_info import WAITAOF_SINCE, ServerInfo, inspect
from listener.settings.queue_settings import Durability

# The part of the acknowledgement budget for which Redis waits; the rest is for the round trip.
WAIT_SHARE = 0.8
# From this version on CONFIG GET takes several names.
CONFIG_NAMES_SINCE = (7, 0)
# With these settings Redis syncs its file before it replies.
AOF_ALWAYS = {
    b"appendonly": b"yes",
    b"appendfsync": b"always",
    b"no-appendfsync-on-rewrite": b"no",
}
# Assumed of a server that hides its INFO: one that does not know WAITAOF will refuse it.
HIDDEN = ServerInfo(
    version=WAITAOF_SINCE,
    name="a server that hides its INFO",
    appendonly=True,
    appendfsync=None,
    maxmemory_policy="noeviction",
    replicas=0,
)


class Wait(Protocol):
    """The commands that wait for the durability of a write.

    They are sent behind the write, in the same round trip: WAIT and WAITAOF are about the writes of the
    connection that they are sent on.
    """

    @property
    def commands(self) -> tuple[tuple[Any, ...], ...]:
        """Each with its arguments."""

    def check(self, replies: Sequence[Any]) -> bool:
        """Checks the replies; false if only another write can show whether this one is durable.

        Raises:
            QueueUnavailableError: the write is not durable.
        """


class AofWait:
    """Waits until the server that took the write has synced its append-only file."""

    def __init__(self, milliseconds: int) -> None:
        self.commands = (("WAITAOF", 1, 0, milliseconds),)

    def check(self, replies: Sequence[Any]) -> bool:
        """Checks the reply: how many files are synced, the server's own and its replicas'. See `Wait`."""
        [[own, _]] = replies
        if not own:
            raise QueueUnavailableError("WAITAOF: 0 of 1 copies confirmed in time")
        return True


class AofAlwaysCheck:
    """Asks the server that took the write whether it syncs its append-only file before each reply.

    Asked with each write: after a failover another server may answer.
    """

    def __init__(self, server: ServerInfo) -> None:
        # A pattern is compared with the name of every setting: that takes Redis 40 µs, and names 10 µs.
        takes_names = server.version >= CONFIG_NAMES_SINCE
        self.commands = (("CONFIG", "GET", *(AOF_ALWAYS if takes_names else ("*append*",))),)

    def check(self, replies: Sequence[Any]) -> bool:
        """Checks the reply: names and values in turn. See `Wait`."""
        [reply] = replies
        settings = dict(zip(reply[::2], reply[1::2], strict=True))
        for name, value in AOF_ALWAYS.items():
            if settings.get(name) != value:
                raise QueueUnavailableError(f"{name.decode()} is not {value.decode()}")
        return True


class DurableWriter:
    """Sends writes, each with the commands that wait for its durability. Threads share it."""

    def __init__(
        self,
        client: "redis.Redis",
        durability: Durability,
        budget_s: float,
        partitions: Sequence[Partition],
    ) -> None:
        """Sends nothing yet; `budget_s` is what a write may take in all, in seconds."""
        self._redis = client
        self._durability = durability
        self._wait_ms = max(int(budget_s * WAIT_SHARE * 1000), 1)
        # Depends on the server, so it is chosen with the first write, and again after a failed one.
        self._aof: Wait | None = None
        self._replicas = [
            ReplicaTracker(partition.replicas, durability.replicas, self._wait_ms)
            for partition in partitions
        ]

    def send(self, partition: Partition, *command: Any) -> Any:
        """Sends an idempotent write to a partition, perhaps twice; returns its reply once it is durable.

        Raises:
            redis.RedisError, QueueUnavailableError: that was not confirmed; the write may have been
                carried out all the same.
        """
        try:
            return self._send(partition, command)
        except NoScriptError:
            raise
        except (redis.RedisError, QueueUnavailableError):
            # There may be another master by now, which may be another kind of server.
            self._aof = None
            self._replicas[partition.number].forget()
            reset_connections(self._redis)
            raise

    def _send(self, partition: Partition, command: tuple[Any, ...]) -> Any:
        wait = self._wait(partition)
        if wait is None:
            return self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
            for waiting in wait.commands:
                pipeline.execute_command(*waiting)  # type: ignore[no-untyped-call]
            reply, *replies = pipeline.execute()
        if not wait.check(replies):
            # The second write adds nothing, and the reply to the first one counts.
            self._send(partition, command)
        return reply

    def _wait(self, partition: Partition) -> Wait | None:
        if self._durability.mode == "server":
            return None
        if self._durability.mode == "replicas":
            return self._replicas[partition.number].wait(self._redis.execute_command)
        self._aof = wait = self._aof or self._choose_aof_wait()
        return wait

    def _choose_aof_wait(self) -> Wait:
        server = self._inspect()
        if reason := unsupported_reason(self._durability, server):
            raise QueueUnavailableError(f"QUEUE_DURABILITY={self._durability} {reason}")
        return AofWait(self._wait_ms) if server.supports_waitaof else AofAlwaysCheck(server)

    def _inspect(self) -> ServerInfo:
        try:
            return inspect(self._redis)
        except redis.ResponseError as error:
            if blame(error) is not Blame.SERVER:
                raise
            return HIDDEN


def unsupported_reason(durability: Durability, server: ServerInfo) -> str | None:
    """Why a server can never provide a durability; None if it can."""
    if durability.mode != "fsync":
        return None
    if not server.appendonly:
        return f"needs an append-only file, and {server.description} has none: set appendonly yes"
    if server.supports_waitaof or server.appendfsync == "always":
        return None
    return (
        f"needs WAITAOF (Redis or Valkey 7.2 or later) or appendfsync always, and "
        f"{server.description} has appendfsync {server.appendfsync or 'hidden'}"
    )


def risks(durability: Durability, server: ServerInfo) -> list[str]:
    """Why a server may lose acknowledged messages, a line for each reason."""
    lines = []
    if not server.appendonly:
        lines.append("no append-only file: a restart of Redis loses what was acknowledged")
    if server.maxmemory_policy != "noeviction":
        lines.append(
            f"maxmemory-policy {server.maxmemory_policy} can delete the queue: set noeviction"
        )
    if durability.replicas > server.replicas:
        lines.append(f"only {server.replicas} of {durability.replicas} replicas are connected")
    elif 0 < durability.replicas < server.replicas:
        lines.append(
            f"a replica that is away for longer than ten seconds is no more waited for, and if that one "
            f"is promoted, what came meanwhile is lost: set replicas:{server.replicas} to rule it out"
        )
    return lines
