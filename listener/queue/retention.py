"""Trims old entries that every consumer group has acknowledged; retention.lua decides which entries go."""

import random
import re
import threading
from collections.abc import Iterable
from typing import NamedTuple
from uuid import uuid4

import redis
import structlog

from listener.queue.keys import Partition, every_partition
from listener.queue.redis_errors import describe_error
from listener.redis_client.client import connect
from listener.redis_client.script import EvalScript, Script
from listener.settings.settings import Settings

log = structlog.get_logger("listener.retention")

EVERY_S = 60.0
# Spreads the workers that start together.
JITTER = 0.25
# A process leads for this many periods, and renews at least twice meanwhile; another takes over if it died.
LEADS_FOR = 3
# Of one command. No request waits for it, only a worker that stops.
TIMEOUT_S = 2.0
HOUR_MS = 3600 * 1000
BEGINNING = "-"
# Shares of maxmemory. The second is lower so that memory that varies around the first is logged once.
FULL = 0.80
NO_LONGER_FULL = 0.75


class TrimResult(NamedTuple):
    """What one call of the script did in a partition, and the state it met.

    Attributes:
        entries: how many the stream had.
        groups: how many consumer groups it has.
        trimmed: how many entries were trimmed.
        memory: the used share of the server's maxmemory.
        continue_at: where the next call continues; empty if nothing is left to do.
    """

    entries: int
    groups: int
    trimmed: int
    memory: float
    continue_at: str = ""

    @property
    def unread_by_any_group(self) -> bool:
        """Whether there are messages that no consumer group will ever read."""
        return self.entries > 0 and self.groups == 0


class Retention:
    """A background thread of each worker; one process at a time trims a partition.

    Guaranteed: an entry is trimmed only if it is older than RETENTION_HOURS and every consumer group
    that the stream has at that moment has read and acknowledged it; without a group none is. Not
    guaranteed: when, and before Redis 8.2.1 whether, if an older entry is pending. Only the message
    streams are trimmed, and QUEUE_MAX_LENGTH is left to the writer.
    """

    def __init__(self, settings: Settings, *, every_s: float = EVERY_S) -> None:
        """Connects to nothing yet; `every_s` is the time between two runs, roughly, in seconds."""
        self._every_s = every_s
        self._keep_ms = settings.retention_hours * HOUR_MS
        self._redis = connect(settings.queue.url, timeout_s=TIMEOUT_S, name="fota-retention")
        text = Script.load("listener.queue", "retention.lua").text
        self._script = EvalScript(self._redis, text)
        self._partitions = every_partition(settings.queue.namespace, settings.queue.partitions)
        self._own_id = uuid4().hex
        # The partitions about which a warning was logged, by its topic.
        self._warned: dict[str, set[int]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Starts the thread: in the worker, after its fork."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the call that is under way, and closes the connections."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._redis.close()

    def run_once(self) -> None:
        """Trims each partition that this process leads, and logs new warnings."""
        results: dict[int, TrimResult] = {}
        failed: dict[int, str] = {}
        for partition in self._partitions:
            if self._stopped.is_set():
                return
            try:
                if result := self._trim(partition):
                    results[partition.number] = result
            except redis.RedisError as error:
                failed[partition.number] = describe_error(error)
        self._warn(results, failed)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s * random.uniform(1 - JITTER, 1 + JITTER)):  # noqa: S311
            try:
                self.run_once()
            except Exception:
                # A thread that ended would let the stream grow until a restart.
                log.exception("retention failed")

    def _trim(self, partition: Partition) -> TrimResult | None:
        """Trims by several calls, because Redis serves no other client during one; None if another process leads."""
        result, trimmed = self._call(partition, BEGINNING), 0
        while result:
            trimmed += result.trimmed
            if not result.continue_at or self._stopped.is_set():
                break
            result = self._call(partition, result.continue_at)
        if trimmed:
            log.info("messages trimmed", partition=partition.number, messages=trimmed)
        return result

    def _call(self, partition: Partition, continue_at: str) -> TrimResult | None:
        leads_ms = int(LEADS_FOR * self._every_s * 1000)
        keys = [partition.messages, partition.retention]
        reply = self._script(keys, [self._own_id, leads_ms, self._keep_ms, continue_at])
        if reply is None:
            return None
        entries, groups, trimmed, next_at, info = reply
        return TrimResult(entries, groups, trimmed, memory_share(info.decode()), next_at.decode())

    def _warn(self, results: dict[int, TrimResult], failed: dict[int, str]) -> None:
        if new := self._newly("failed", failed):
            log.warning("messages cannot be trimmed", partitions=new, detail=failed[new[0]])
        unread = [number for number, result in results.items() if result.unread_by_any_group]
        if new := self._newly("unread", unread):
            log.warning("no consumer group reads the queue; nothing is trimmed", partitions=new)
        full = [number for number, result in results.items() if self._is_full(number, result)]
        if new := self._newly("full", full):
            percent = round(100 * max(results[number].memory for number in new))
            log.warning("the memory of redis is filling up", partitions=new, percent=percent)

    def _is_full(self, partition: int, result: TrimResult) -> bool:
        was_full = partition in self._warned.get("full", ())
        return result.memory > (NO_LONGER_FULL if was_full else FULL)

    def _newly(self, topic: str, partitions: Iterable[int]) -> list[int]:
        """The partitions that were not among a topic's in the run before."""
        current = set(partitions)
        new = current - self._warned.get(topic, set())
        self._warned[topic] = current
        return sorted(new)


def memory_share(info: str) -> float:
    """How much of its maxmemory a server uses, by its INFO; 0 if it has no bound or does not say."""
    numbers = {name: int(value) for name, value in re.findall(r"(?m)^(\w+):(\d+)\r?$", info)}
    bound = numbers.get("maxmemory", 0)
    return numbers.get("used_memory", 0) / bound if bound else 0.0
