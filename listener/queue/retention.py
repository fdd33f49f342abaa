"""Trims what every consumer group has done with, and warns where nothing can be trimmed."""

import random
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any
from uuid import uuid4

import redis
import structlog
from redis.exceptions import NoScriptError

from listener.queue.keys import Partition, every_partition
from listener.redis_client.client import connect
from listener.settings.settings import Settings

log = structlog.get_logger("listener.retention")

EVERY_S = 60.0
# Workers that start together do not all come at once.
JITTER = 0.25
# A leader comes at least twice in this time; another takes over from one that died.
LEADS_FOR = 3
# Nobody waits for a turn, except who stops the thread.
TIMEOUT_S = 2.0
HOUR_MS = 3600 * 1000
BEGINNING = "-"
# Shares of maxmemory. The second is lower so that memory round the first is told once.
FULL = 0.80
NO_LONGER_FULL = 0.75


@dataclass(frozen=True)
class TrimResult:
    """What one call of the script found in a partition, and did there."""

    entries: int
    groups: int
    trimmed: int
    memory: float
    # Where the next call goes on; empty if nothing is left to do.
    go_on_at: str = ""

    @property
    def unread_by_any_group(self) -> bool:
        """Whether there are messages that no consumer group will ever read."""
        return self.entries > 0 and self.groups == 0


class Retention:
    """A background thread of each worker; one process at a time looks after a partition.

    Guaranteed: an entry is trimmed only if it is older than RETENTION_HOURS and every consumer group
    that the stream has at that moment has read and acknowledged it; without a group none is. Not
    guaranteed: when, and before Redis 8.2.1 whether, if an older entry is open. Nothing but the
    message streams is touched, and QUEUE_MAX_LENGTH is the writer's affair.
    """

    def __init__(self, settings: Settings, *, every_s: float = EVERY_S) -> None:
        """Connects to nothing yet.

        Args:
            settings: the namespace, its partitions, and for how long to keep what is done with.
            every_s: seconds between two turns, roughly.
        """
        self._every_s = every_s
        self._keep_ms = settings.retention_hours * HOUR_MS
        self._redis = connect(settings.queue.url, timeout_s=TIMEOUT_S, name="fota-retention")
        self._script = (
            files("listener.queue").joinpath("scripts", "retention.lua").read_text(encoding="utf-8")
        )
        self._sha = sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._partitions = every_partition(settings.queue.namespace, settings.queue.partitions)
        self._me = uuid4().hex
        self._told: dict[str, set[int]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Starts the thread: in the worker, after its fork."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the step it is at; another process takes its partitions over."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._redis.close()

    def run_once(self) -> None:
        """Trims each partition that this process looks after, and warns of what is new."""
        looks: dict[int, TrimResult] = {}
        failed: dict[int, str] = {}
        for partition in self._partitions:
            if self._stopped.is_set():
                return
            try:
                if look := self._trim(partition):
                    looks[partition.number] = look
            except redis.RedisError as error:
                failed[partition.number] = f"{type(error).__name__}: {error}"[:300]
        self._warn(looks, failed)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s * random.uniform(1 - JITTER, 1 + JITTER)):  # noqa: S311
            try:
                self.run_once()
            except Exception:
                # A thread that ended would let the stream grow until a restart.
                log.exception("retention failed")

    def _trim(self, partition: Partition) -> TrimResult | None:
        """Trims in steps, because Redis serves nobody else during one; None if another does it."""
        look, trimmed = self._step(partition, BEGINNING), 0
        while look:
            trimmed += look.trimmed
            if not look.go_on_at or self._stopped.is_set():
                break
            look = self._step(partition, look.go_on_at)
        if trimmed:
            log.info("messages trimmed", partition=partition.number, messages=trimmed)
        return look

    def _step(self, partition: Partition, go_on_at: str) -> TrimResult | None:
        leads_ms = int(LEADS_FOR * self._every_s * 1000)
        keys = [partition.messages, partition.retention]
        found = self._call(len(keys), *keys, self._me, leads_ms, self._keep_ms, go_on_at)
        if found is None:
            return None
        entries, groups, trimmed, go_on, info = found
        return TrimResult(entries, groups, trimmed, memory_share(info.decode()), go_on.decode())

    def _call(self, *words: Any) -> Any:
        try:
            return self._redis.evalsha(self._sha, *words)
        except NoScriptError:
            # Not SCRIPT LOAD: teaching a server a script that way is a right that few users have.
            return self._redis.eval(self._script, *words)

    def _warn(self, looks: dict[int, TrimResult], failed: dict[int, str]) -> None:
        if new := self._newly("failed", failed):
            log.warning("messages cannot be trimmed", partitions=new, detail=failed[new[0]])
        if new := self._newly(
            "unread_by_any_group", [n for n, look in looks.items() if look.unread_by_any_group]
        ):
            log.warning("no consumer group reads the queue; nothing is trimmed", partitions=new)
        if new := self._newly("full", [n for n, look in looks.items() if self._full(n, look)]):
            percent = round(100 * max(looks[number].memory for number in new))
            log.warning("the memory of redis is filling up", partitions=new, percent=percent)

    def _full(self, partition: int, look: TrimResult) -> bool:
        was = partition in self._told.get("full", ())
        return look.memory > (NO_LONGER_FULL if was else FULL)

    def _newly(self, topic: str, partitions: Iterable[int]) -> list[int]:
        """Those of the partitions that did not have it at the turn before."""
        now = set(partitions)
        new = now - self._told.get(topic, set())
        self._told[topic] = now
        return sorted(new)


def memory_share(info: str) -> float:
    """How much of its maxmemory a server uses, by its INFO; 0 if it has no bound or does not say."""
    found = {name: int(value) for name, value in re.findall(r"(?m)^(\w+):(\d+)\r?$", info)}
    bound = found.get("maxmemory", 0)
    return found.get("used_memory", 0) / bound if bound else 0.0
