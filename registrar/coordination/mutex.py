"""The mutex round everything that writes to ThingSpace, with a fencing token."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from redis.commands.core import Script

from registrar.coordination.keys import Keys
from registrar.coordination.scripts import script
from registrar.errors import NotExclusiveError

# How often one who waits for the mutex looks again, in seconds.
POLL_S = 0.1


@dataclass(frozen=True)
class Hold:
    """The mutex while it is held; `token` is greater than that of whoever held it before.

    ThingSpace knows no fencing tokens. So every call is preceded by `confirm`, which lets the mutex
    last anew, and its time limits are shorter than the mutex lasts; and the token decides in Redis
    whose observation is the later.
    """

    token: int
    confirm: Callable[[], None]


class Mutex:
    """One holder at a time in a namespace; a holder that dies holds it for `ttl_s` more."""

    def __init__(
        self,
        client: "redis.Redis",
        keys: Keys,
        name: str,
        *,
        ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes the name of who will hold it; the clock counts monotonic seconds."""
        self._clock = clock
        self._keys = keys
        self._name = name
        self._ttl_ms = round(ttl_s * 1000)
        self._lock = script(client, "lock")
        self._extend = script(client, "extend")
        self._release = script(client, "release")

    @contextmanager
    def held(self, wait: Callable[[float], bool], *, for_at_most_s: float) -> Iterator[Hold]:
        """Holds the mutex while the block runs.

        Args:
            wait: sleeps so many seconds, and returns True early if the process is to stop.
            for_at_most_s: how long to wait for it, however long Redis takes over each reply.

        Raises:
            NotExclusiveError: another process held it all the time.
            redis.RedisError: Redis cannot say.
        """
        token = self._take(wait, for_at_most_s)
        value = f"{token} {self._name}"
        try:
            yield Hold(token, lambda: _confirm(self._extend, self._keys.mutex, value, self._ttl_ms))
        finally:
            _give_back(self._release, self._keys.mutex, value)

    def _take(self, wait: Callable[[float], bool], for_at_most_s: float) -> int:
        until = self._clock() + for_at_most_s
        while True:
            taken = self._lock(
                keys=[self._keys.mutex, self._keys.fence], args=[self._name, self._ttl_ms]
            )
            if taken:
                return int(taken)
            left_s = until - self._clock()
            if left_s <= 0 or wait(min(POLL_S, left_s)):
                raise NotExclusiveError("mutex-busy", "another process is at work")


def _confirm(extend: Script, key: str, value: str, ttl_ms: int) -> None:
    try:
        kept = extend(keys=[key], args=[value, ttl_ms])
    except redis.RedisError as error:
        raise NotExclusiveError("mutex-unknown", type(error).__name__) from error
    if not kept:
        raise NotExclusiveError("mutex-lost", "this process was too slow")


def _give_back(release: Script, key: str, value: str) -> None:
    try:
        release(keys=[key], args=[value])
    except redis.RedisError:
        # It expires by itself; what was done under it is done.
        pass
