"""What Redis must have done before a message counts as kept: QUEUE_DURABILITY. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from listener.errors import QueueUnavailableError
from listener.redis_client.server_info import ServerInfo
from listener.settings.queue_settings import Durability

# Of the acknowledgement budget; the rest is for the way there and back.
WAIT_SHARE = 0.8


class Wait(Protocol):
    """What waits for the durability of a write.

    WAIT and WAITAOF speak of the connection they are sent on: they go out behind the write, in the
    same round trip.
    """

    @property
    def commands(self) -> tuple[tuple[Any, ...], ...]:
        """Sent behind the write."""

    def check(self, replies: Sequence[Any]) -> bool:
        """Checks their replies; false if the write has to be sent again to know.

        Raises:
            QueueUnavailableError: it is not durable.
        """


@dataclass(frozen=True)
class AofWait:
    """Waits until the server that wrote has synced its append-only file."""

    milliseconds: int

    @property
    def commands(self) -> tuple[tuple[Any, ...], ...]:
        """See `Wait`."""
        return (("WAITAOF", 1, 0, self.milliseconds),)

    def check(self, replies: Sequence[Any]) -> bool:
        """Checks the reply: how many files, the server's own and its replicas'.

        Raises:
            QueueUnavailableError: not in time.
        """
        [[own, _]] = replies
        if not own:
            raise QueueUnavailableError("WAITAOF: 0 of 1 copies confirmed in time")
        return True


class AofAlwaysCheck:
    """Asks the server that wrote whether it had synced its file before it replied.

    Sent behind each write: after a failover the server may be another one than was asked at first.
    """

    commands = (("CONFIG", "GET", "*append*"),)
    wanted: ClassVar = {
        b"appendonly": b"yes",
        b"appendfsync": b"always",
        b"no-appendfsync-on-rewrite": b"no",
    }

    def check(self, replies: Sequence[Any]) -> bool:
        """Checks the command's reply: names and values in turn.

        Raises:
            QueueUnavailableError: it had not, or not for certain.
        """
        [reply] = replies
        told = dict(zip(reply[::2], reply[1::2], strict=True))
        for name, value in self.wanted.items():
            if told.get(name) != value:
                raise QueueUnavailableError(f"{name.decode()} is not {value.decode()}")
        return True


def wait_ms(budget_s: float) -> int:
    """What Redis may take for the copies, of what an acknowledgement may take in all."""
    return max(int(budget_s * WAIT_SHARE * 1000), 1)


def unsupported_reason(durability: Durability, server: ServerInfo) -> str | None:
    """Why a server can never keep the promise of a durability; None if it can."""
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
    """What an operator must know about a server that may lose messages after all."""
    found = []
    if not server.appendonly:
        found.append("no append-only file: a restart of Redis loses what was acknowledged")
    if server.maxmemory_policy != "noeviction":
        found.append(
            f"maxmemory-policy {server.maxmemory_policy} can delete the queue: set noeviction"
        )
    if durability.replicas > server.replicas:
        found.append(f"only {server.replicas} of {durability.replicas} replicas are connected")
    elif 0 < durability.replicas < server.replicas:
        found.append(
            f"a replica that is away for longer than ten seconds is no more waited for, and if that one "
            f"is promoted, what came meanwhile is lost: set replicas:{server.replicas} to rule it out"
        )
    return found
