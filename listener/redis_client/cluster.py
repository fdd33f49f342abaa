"""A client of a Redis Cluster that keeps to time limits and sends together what belongs together.

redis-py's own one connects when it is made, waits and tries again by rules of its own, raises errors
that are no RedisError, and sends no WAIT behind a write on the same connection. This one uses
redis-py's client of a single server for each node, and only chooses the node.
"""

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.client import Pipeline
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError

from listener.redis_client.nodes import Nodes
from listener.redis_client.script import EvalScript
from listener.settings.redis_url import Address

Send = Callable[["redis.Redis", bool], Any]
"""Sends to a node, each command behind ASKING if so told, and returns what it replied."""

# Their first argument is no key.
KEYLESS = frozenset(
    (
        "ACL",
        "CLIENT",
        "CLUSTER",
        "COMMAND",
        "CONFIG",
        "DBSIZE",
        "INFO",
        "PING",
        "SCRIPT",
        "TIME",
        "WAIT",
    )
)
KEY_BEHIND_COUNT = frozenset(("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"))
KEY_BEHIND_STREAMS = frozenset(("XREAD", "XREADGROUP"))


class ClusterClient(redis.Redis):
    """Sends each command to the master of its key, as the methods of `redis.Redis` form it.

    A command without a key goes to one of the masters. All keys of a command or a
    pipeline must share a slot; a pipeline goes to one node in one round trip, on one connection.
    What a node does not serve (any more) is sent once more, to the node that does; during a
    failover and while a slot is being moved that can fail. There is no publish/subscribe.

    Every error is a redis.RedisError.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        connect: Callable[[str, int], "redis.Redis"],
        *,
        timeout_s: float,
    ) -> None:
        """Connects to nothing yet; see `Nodes`."""
        self._nodes = Nodes(seeds, connect, timeout_s)
        super().__init__(connection_pool=self._nodes.client(seeds[0]).connection_pool)

    def execute_command(self, *words: Any, **options: Any) -> Any:
        """Sends one command. Raises redis.RedisError."""

        def send(node: "redis.Redis", asking: bool) -> Any:
            if not asking:
                return node.execute_command(*words, **options)  # type: ignore[no-untyped-call]
            with node.pipeline(transaction=False) as pipeline:
                pipeline.execute_command("ASKING")  # type: ignore[no-untyped-call]
                pipeline.execute_command(*words, **options)  # type: ignore[no-untyped-call]
                return pipeline.execute()[1]

        key = key_of(words)
        return send(self.masters()[0], False) if key is None else self.send(key, send)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> "ClusterPipeline":
        """A pipeline for keys of one slot. With a transaction it fails while the slot is moved."""
        return ClusterPipeline(self, transaction, shard_hint)

    def register_script(self, script: Any) -> EvalScript:
        """A script that each node learns when it is first called there."""
        return EvalScript(self, script)

    def masters(self) -> "list[redis.Redis]":
        """A client for each master alone. Raises redis.RedisError."""
        return [self._nodes.client(address) for address in self._nodes.masters()]

    def reset_topology(self) -> None:
        """Has the Cluster asked anew who serves what, before the next command."""
        self._nodes.forget()

    def close(self) -> None:
        """Closes every connection."""
        self._nodes.close()

    def send(self, key: Any, send: Send) -> Any:
        """Sends to the master of a key, and once more where that shows to be another.

        What timed out is not sent again: its time is spent. Raises redis.RedisError.
        """
        slot = key_slot(key if isinstance(key, bytes) else str(key).encode())
        address = self._nodes.master(slot)
        try:
            return send(self._nodes.client(address), False)
        except AskError as told:
            target, asking = (told.host or address[0], told.port), not isinstance(told, MovedError)
            if not asking:
                self._nodes.moved(slot, target)
        except redis.ConnectionError:
            self._nodes.forget(address)
            target, asking = self._nodes.master(slot), False
            if target == address:
                raise
        except (redis.TimeoutError, ClusterDownError):
            self._nodes.forget(address)
            raise
        return self._send_again(target, asking, send)

    def _send_again(self, target: Address, asking: bool, send: Send) -> Any:
        try:
            return send(self._nodes.client(target), asking)
        except redis.RedisError:
            self._nodes.forget()
            raise


class ClusterPipeline(Pipeline):
    """Commands that go to the master of the first one's key."""

    def __init__(self, cluster: ClusterClient, transaction: bool, shard_hint: Any) -> None:
        """Holds nothing yet."""
        super().__init__(
            cluster.connection_pool, cluster.response_callbacks, transaction, shard_hint
        )
        self._cluster = cluster
        self._sent_on: set[int] = set()

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Sends all commands; their replies. Raises redis.RedisError."""
        if not self.command_stack:
            return []
        try:
            replies: list[Any] = self._cluster.send(key_of(self.command_stack[0][0]), self._send)
            if raise_on_error:
                self.raise_first_error(self.command_stack, replies)  # type: ignore[no-untyped-call]
            return replies
        finally:
            self.reset()

    def _send(self, node: "redis.Redis", asking: bool) -> list[Any]:
        """Asks only for what the node before sent here: a key that it still has must not be made here too."""
        places: list[int] = []
        with node.pipeline(transaction=self.transaction) as pipeline:
            for at, (words, options) in enumerate(self.command_stack):
                if asking and at in self._sent_on:
                    pipeline.execute_command("ASKING")  # type: ignore[no-untyped-call]
                places.append(len(pipeline))
                pipeline.execute_command(*words, **options)  # type: ignore[no-untyped-call]
            found = pipeline.execute(raise_on_error=False)
        replies = [found[at] for at in places]
        self._sent_on = {at for at, reply in enumerate(replies) if isinstance(reply, AskError)}
        for reply in replies:
            if isinstance(reply, AskError | ClusterDownError):
                raise reply
        return replies


def key_of(words: Sequence[Any]) -> Any:
    """The first key of a command; None if it has none.

    Args:
        words: name and arguments as the methods of `redis.Redis` send them: `XINFO STREAM` is one
            word.
    """
    name = _name(words)
    if name in KEYLESS or len(words) == 1:
        return None
    if name in KEY_BEHIND_COUNT:
        return words[3]
    if name in KEY_BEHIND_STREAMS:
        marks = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
        return words[marks.index("STREAMS") + 1]
    return words[1]


def _name(words: Sequence[Any]) -> str:
    return str(words[0]).upper().partition(" ")[0]
