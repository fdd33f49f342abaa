"""Detects that a plain REDIS_URL leads to several servers: a Cluster, or shards behind a proxy.

There a command with keys of several partitions is refused, and a node of a Cluster refuses the keys of
other nodes. The detection does not depend on a server's INFO alone: proxies hide it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
import structlog
from redis.exceptions import AskError, ClusterCrossSlotError, MovedError

from listener import entry_ids
from listener.errors import SettingsError
from listener.queue.keys import Partition, observations
from listener.redis_client.cluster import ClusterClient
from listener.settings.queue_settings import Durability

log = structlog.get_logger("listener")

ADVICE = "use redis+cluster://HOST:PORT (rediss+cluster:// with TLS) as REDIS_URL"
# The errors that only servers of a Cluster, and proxies in front of one, reply with.
OF_A_CLUSTER = (AskError, ClusterCrossSlotError, MovedError)
# A group that does not exist: reading for it shows whether the command is allowed, and changes nothing.
NO_GROUP = "fota-check:no-such-group"
# No entry is delivered, and no delivery is counted. After the very greatest id, Redis begins anew.
BEHIND_ALL = f"{entry_ids.MAX_PART}-{entry_ids.MAX_PART - 1}"
# A message is read of at most this many partitions; each may have megabytes.
MAX_STREAMS_READ = 4


@dataclass(frozen=True)
class Shards:
    """What was detected behind a plain address.

    Attributes:
        is_cluster: whether the server says that it is a node of a Cluster, or answers as one.
        together: why one command may not read several partitions; empty if it may.
        elsewhere: why a key is not served at this address, by the number of its partition; -1 is
            the registrar's.
        is_hidden: whether a proxy chooses the server of each command, so that another server than the
            one that took a write may answer WAIT and WAITAOF, which have no key.
    """

    is_cluster: bool = False
    together: str = ""
    elsewhere: dict[int, str] = field(default_factory=dict)
    is_hidden: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to report."""
        return self.is_cluster or bool(self.together or self.elsewhere)

    def unsupported_reason(self, durability: Durability) -> str:
        """Why a durability cannot be confirmed here; empty if it can."""
        if self.is_hidden and durability.mode != "server":
            return (
                "cannot be confirmed: several servers stand behind REDIS_URL, and the one that answers "
                f"WAIT or CONFIG may not be the one that was written to; {ADVICE}, or `server`"
            )
        return ""

    def log_fields(self) -> dict[str, str | list[int]]:
        """The fields of a line of the log."""
        if self.elsewhere:
            numbers = [number for number in self.elsewhere if number >= 0]
            return {"detail": next(iter(self.elsewhere.values())), "partitions": numbers}
        return {"detail": self.together or "the server is a node of a Redis Cluster"}


def detect(client: "redis.Redis", partitions: Sequence[Partition]) -> Shards:
    """Sends commands that change nothing. Behind a client of a Cluster there is nothing to detect.

    Raises:
        redis.RedisError: the server did not answer.
    """
    if isinstance(client, ClusterClient):
        return Shards()
    elsewhere = dict(_elsewhere(client, partitions))
    together = _together(client, partitions) if len(partitions) > 1 else ""
    is_cluster = bool(elsewhere) or "CROSSSLOT" in together or _says_cluster(client)
    is_hidden = bool(together) and not elsewhere and _masters(client) != 1
    return Shards(is_cluster, together, elsewhere, is_hidden)


def warn(client: "redis.Redis", partitions: Sequence[Partition], durability: Durability) -> None:
    """Warns in the log where a plain REDIS_URL leads to several servers.

    Raises:
        redis.RedisError: the server did not answer.
        SettingsError: the durability cannot be confirmed there.
    """
    result = detect(client, partitions)
    if result:
        log.warning(
            "redis is several servers behind one address", **result.log_fields(), advice=ADVICE
        )
    if reason := result.unsupported_reason(durability):
        raise SettingsError({"QUEUE_DURABILITY": [f"`{durability}` {reason}"]})


def try_read(
    client: "redis.Redis", streams: Sequence[str], *, group: str, consumer: str
) -> "redis.ResponseError | None":
    """Sends the command that reads for a group, where there can be nothing to read.

    Returns:
        The error that it is refused with, which may be that there is no such group; None if it is not.

    Raises:
        redis.RedisError: the server did not answer.
    """
    try:
        client.xreadgroup(group, consumer, dict.fromkeys(streams, BEHIND_ALL), count=1)
    except redis.ResponseError as error:
        return error
    return None


def _elsewhere(client: "redis.Redis", partitions: Sequence[Partition]) -> Iterator[tuple[int, str]]:
    keys = {partition.number: partition.messages for partition in partitions}
    keys[-1] = observations(partitions[0].namespace)
    for number, key in keys.items():
        try:
            client.exists(key)
        except (MovedError, AskError) as error:
            yield number, f"it names {error.node_addr[0]}:{error.node_addr[1]} instead"
        except redis.ResponseError:
            # No right to ask: the module that needs the key reports that.
            continue


def _together(client: "redis.Redis", partitions: Sequence[Partition]) -> str:
    streams = [partition.messages for partition in partitions]
    if error := _refusal(client, streams):
        # If each is refused alone as well, the number of partitions is not the reason.
        is_allowed_alone = any(not _refusal(client, [stream]) for stream in streams)
        return f"{_code(error)}{error}" if is_allowed_alone else ""
    return _incomplete(client, streams)


def _refusal(client: "redis.Redis", streams: Sequence[str]) -> "redis.ResponseError | None":
    error = try_read(client, streams, group=NO_GROUP, consumer="fota-check")
    return None if error and "NOGROUP" in str(error) else error


def _incomplete(client: "redis.Redis", streams: Sequence[str]) -> str:
    """Detects a proxy that sends a command to the server of its first key, which lacks the other keys."""
    try:
        filled = [stream for stream in streams if client.xlen(stream)][:MAX_STREAMS_READ]
        reply: Any = (
            client.xread(dict.fromkeys(filled, "0-0"), count=1) if len(filled) > 1 else filled
        )
    except redis.ResponseError:
        # A key that is no stream, or no right to ask.
        return ""
    # A stream that was trimmed empty meanwhile looks the same, but that is rare, and passes.
    return "" if len(reply) == len(filled) else "it finds the messages of only some of them"


def _says_cluster(client: "redis.Redis") -> bool:
    try:
        info: Any = client.info("cluster")
    except redis.ResponseError:
        # Proxies and managed servers may refuse it.
        return False
    return bool(info.get("cluster_enabled"))


def _masters(client: "redis.Redis") -> int:
    """How many masters the Cluster has; 0 if the server does not say."""
    try:
        rows: Any = client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return 0
    return len({tuple(master[:2]) for _, _, master, *_ in rows}) if isinstance(rows, list) else 0


def _code(error: Exception) -> str:
    # redis-py removes the first word of the reply.
    return "CROSSSLOT " if isinstance(error, ClusterCrossSlotError) else ""
