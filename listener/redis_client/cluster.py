"""The client of a Redis Cluster: sends each command, script and pipeline to the master of its key, with redirects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from redis.client import Pipeline
from redis.cluster import RedisCluster
from redis.exceptions import AskError, ClusterDownError, MovedError

from listener.redis_client.script import EvalScript
from listener.redis_client.topology import Connect, Topology
from listener.settings.redis_url import Address

Send = Callable[["redis.Redis", bool], Any]
"""Sends to a node, each command behind ASKING if the flag is set, and returns what it replied."""

# redis-py's own table of the commands that it does not send by their key.
KEYLESS: Mapping[str, str] = RedisCluster.COMMAND_FLAGS
KEY_AFTER_COUNT = frozenset(("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"))
KEY_AFTER_STREAMS = frozenset(("XREAD", "XREADGROUP"))


class ClusterClient(redis.Redis):
    """Sends each command to the master of its key, as the methods of `redis.Redis` form it.

    A command without a key goes to one of the masters. All keys of a command or a
    pipeline must share a slot; a pipeline goes to one node in one round trip, on one connection.
    What a node does not serve (any more) is sent once more, to the node that does; during a
    failover and while a slot is being moved that can fail. There is no publish/subscribe.

    Every error is a redis.RedisError. Why redis-py's `RedisCluster` does not do: docs/adr/0016.
    """

    def __init__(self, seeds: Sequence[Address], connect: Connect, *, timeout_s: float) -> None:
        """Connects to nothing yet; see `Topology`."""
        self._topology = Topology(seeds, connect, timeout_s)
        super().__init__(connection_pool=connect(*seeds[0]).connection_pool)

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
        return [node.redis_connection for node in self._topology.masters()]

    def reset_topology(self) -> None:
        """Has the Cluster asked anew which node serves what, before the next command."""
        self._topology.forget()

    def close(self) -> None:
        """Closes every connection."""
        self._topology.close()

    def send(self, key: Any, send: Send) -> Any:
        """Sends to the master of a key, and once more where that shows to be another.

        What timed out is not sent again: its time is spent. Raises redis.RedisError.
        """
        node = self._topology.master(key)
        try:
            return send(node.redis_connection, False)
        except AskError as redirect:
            asking = not isinstance(redirect, MovedError)
            target = self._topology.redirected(redirect, node)
        except redis.ConnectionError:
            self._topology.forget(node)
            target, asking = self._topology.master(key), False
            if target == node:
                raise
        except (redis.TimeoutError, ClusterDownError):
            self._topology.forget(node)
            raise
        return self._send_again(target.redis_connection, asking, send)

    def _send_again(self, node: "redis.Redis", asking: bool, send: Send) -> Any:
        try:
            return send(node, asking)
        except redis.RedisError:
            self._topology.forget()
            raise


class ClusterPipeline(Pipeline):
    """Commands that go to the master of the first one's key."""

    def __init__(self, cluster: ClusterClient, transaction: bool, shard_hint: Any) -> None:
        """Holds nothing yet."""
        super().__init__(
            cluster.connection_pool, cluster.response_callbacks, transaction, shard_hint
        )
        self._cluster = cluster
        # Positions of the commands that the node before answered with ASK.
        self._redirected: set[int] = set()

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
        """Sends ASKING only for what was redirected: a key that the other node has must not be made here too."""
        positions: list[int] = []
        with node.pipeline(transaction=self.transaction) as pipeline:
            for position, (words, options) in enumerate(self.command_stack):
                if asking and position in self._redirected:
                    pipeline.execute_command("ASKING")  # type: ignore[no-untyped-call]
                positions.append(len(pipeline))
                pipeline.execute_command(*words, **options)  # type: ignore[no-untyped-call]
            sent = pipeline.execute(raise_on_error=False)
        replies = [sent[position] for position in positions]
        self._redirected = {at for at, reply in enumerate(replies) if isinstance(reply, AskError)}
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
    name = str(words[0]).upper()
    if len(words) == 1 or name in KEYLESS or f"{name} {words[1]}".upper() in KEYLESS:
        return None
    if name in KEY_AFTER_COUNT:
        return words[3]
    if name in KEY_AFTER_STREAMS:
        plain = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
        return words[plain.index("STREAMS") + 1]
    return words[1]
