"""Fingerprints as string keys, as release 0.1 has them, used besides the hashes for a while after an upgrade."""

from typing import Any

import redis

from listener.queue.keys import Partition

# How long replicas of release 0.1 may run beside this one, in seconds.
DEPLOYMENT_S = 24 * 3600
# An operator may begin the transition again.
REFRESH_S = 60


class StringFingerprints:
    """Whether a partition's fingerprints are string keys as well. Threads share it.

    Release 0.1 knows only string keys. A replica that reads and writes them, too, may run beside it, whatever the
    other replicas do. The end of that time stands in Redis, in ms since 1970, as of the first replica that asks: a
    day and a window later, or 0 if the stream never had an entry.
    """

    def __init__(self, client: "redis.Redis", partition: Partition, window_s: int) -> None:
        """Asks nothing yet."""
        self._client = client
        self._partition = partition
        self._window_s = window_s
        self._until_ms = 0
        self._asked_at: float | None = None

    def are_used(self, now: float) -> bool:
        """Whether they are, at a time in seconds since 1970. Asks Redis at the first call, and once a minute.

        They are used as well if Redis does not say it: that is right at any time, and the write reports the cause.
        """
        if self._asked_at is None or abs(now - self._asked_at) >= REFRESH_S:
            try:
                self._until_ms = self._ask(now)
            except (redis.RedisError, TypeError, ValueError):
                return True
            self._asked_at = now
        return now * 1000 < self._until_ms

    def _ask(self, now: float) -> int:
        key = self._partition.fingerprint_strings
        stored: Any = self._client.get(key)
        if stored is None:
            until_s = now + DEPLOYMENT_S + self._window_s if self._had_entries() else 0
            until_ms = int(until_s * 1000)
            if self._client.set(key, until_ms, nx=True):
                return until_ms
            # Another process was first.
            stored = self._client.get(key)
        return int(stored)

    def _had_entries(self) -> bool:
        try:
            info: Any = self._client.xinfo_stream(self._partition.messages)
        except redis.ResponseError as error:
            # Other errors do not say that there is no stream.
            return "no such key" not in str(error)
        return bool(info["last-generated-id"] != b"0-0")
