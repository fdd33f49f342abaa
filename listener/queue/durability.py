"""What Redis must have done before a message counts as kept: QUEUE_DURABILITY. Pure."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from listener.errors import QueueUnavailableError

# Of the acknowledgement budget; the rest is for the way there and back.
WAIT_SHARE = 0.8
WAITAOF_SINCE = (7, 2)


@dataclass(frozen=True)
class Durability:
    """`server`: Redis confirmed the write. `fsync`: it is in the file on disk. `replicas`: on N replicas."""

    mode: str = "server"
    replicas: int = 0

    @classmethod
    def parse(cls, text: str) -> "Durability":
        """Reads the setting.

        Raises:
            ValueError: it is none of the three.
        """
        if text in ("server", "fsync"):
            return cls(text)
        if found := re.fullmatch(r"replicas:([1-9][0-9]?)", text):
            return cls("replicas", int(found[1]))
        raise ValueError("must be `server`, `fsync` or `replicas:N` with N from 1 to 99")

    def __str__(self) -> str:
        """As the setting has it."""
        return f"replicas:{self.replicas}" if self.replicas else self.mode


@dataclass(frozen=True)
class Wait:
    """The command that waits for the durability of what its connection wrote before, if one is needed.

    WAIT and WAITAOF speak of the connection they are sent on: they go out behind the write, in the
    same round trip.
    """

    command: tuple[Any, ...]
    least: int

    def check(self, reply: Any) -> None:
        """Checks the command's reply.

        Raises:
            QueueUnavailableError: too few copies confirmed in time.
        """
        copies = reply[0] if isinstance(reply, list) else reply
        if copies < self.least:
            raise QueueUnavailableError(
                f"{self.command[0]}: {copies} of {self.least} copies confirmed in time"
            )


class Synced:
    """Asks the server that wrote whether it had synced its file before it replied.

    Sent behind each write: after a failover the server may be another one than was asked at first.
    """

    command = ("CONFIG", "GET", "*append*")
    wanted: ClassVar = {
        b"appendonly": b"yes",
        b"appendfsync": b"always",
        b"no-appendfsync-on-rewrite": b"no",
    }

    def check(self, reply: Any) -> None:
        """Checks the command's reply: names and values in turn.

        Raises:
            QueueUnavailableError: it had not, or not for certain.
        """
        told = dict(zip(reply[::2], reply[1::2], strict=True))
        for name, value in self.wanted.items():
            if told.get(name) != value:
                raise QueueUnavailableError(f"{name.decode()} is not {value.decode()}")


def wait_for(durability: Durability, budget_s: float, *, waitaof: bool) -> Wait | Synced | None:
    """How to wait for a durability; None where the reply to the write says it all.

    Args:
        durability: the one asked for.
        budget_s: what an acknowledgement may take, in seconds.
        waitaof: whether the server knows WAITAOF; one that does not must sync its file before each
            reply.
    """
    milliseconds = max(int(budget_s * WAIT_SHARE * 1000), 1)
    if durability.mode == "replicas":
        return Wait(("WAIT", durability.replicas, milliseconds), durability.replicas)
    if durability.mode == "fsync":
        return Wait(("WAITAOF", 1, 0, milliseconds), 1) if waitaof else Synced()
    return None


@dataclass(frozen=True)
class Server:
    """What a Redis server says about itself; None where it does not let us ask."""

    version: tuple[int, ...]
    name: str
    appendonly: bool
    appendfsync: str | None
    maxmemory_policy: str
    replicas: int

    @property
    def knows_waitaof(self) -> bool:
        """Redis 7.2 and Valkey 7.2 brought it."""
        return self.version >= WAITAOF_SINCE

    @property
    def described(self) -> str:
        """Name and version."""
        return f"{self.name} {'.'.join(map(str, self.version))}"


def refusal(durability: Durability, server: Server) -> str | None:
    """Why a server can never keep the promise of a durability; None if it can."""
    if durability.mode != "fsync":
        return None
    if not server.appendonly:
        return f"needs an append-only file, and {server.described} has none: set appendonly yes"
    if server.knows_waitaof or server.appendfsync == "always":
        return None
    return (
        f"needs WAITAOF (Redis or Valkey 7.2 or later) or appendfsync always, and "
        f"{server.described} has appendfsync {server.appendfsync or 'hidden'}"
    )


def warnings(durability: Durability, server: Server) -> list[str]:
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
    return found
