"""A mutex with a fencing token: that around everything that writes to ThingSpace (docs/adr/0017), and that of the sweep."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import redis

from registrar.coordination.scripts import script
from registrar.errors import NotExclusiveError
from registrar.turn import Turn

# How often a waiting process tries again, in seconds.
POLL_S = 0.1


class MutexKeys(Protocol):
    """Where a mutex lies; both keys share a hash tag."""

    @property
    def mutex(self) -> str:
        """The holder."""

    @property
    def fence(self) -> str:
        """The last fencing token."""


class Mutex:
    """One holder at a time in a namespace; the mutex of a holder that dies expires after `ttl_s`.

    Args:
        client: of Redis.
        keys: where it lies.
        name: of the process that will hold it, and of no other.
        ttl_s: how long it lasts without being renewed, in seconds.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        client: "redis.Redis",
        keys: MutexKeys,
        name: str,
        *,
        ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ttl_s = ttl_s
        self._clock = clock
        self._keys = keys
        self._name = name
        self._ttl_ms = round(ttl_s * 1000)
        self._acquire_script = script(client, "mutex_acquire")
        self._renew_script = script(client, "mutex_renew")
        self._release_script = script(client, "mutex_release")

    @contextmanager
    def hold(self, turn: Turn, *, timeout_s: float) -> Iterator["HeldMutex"]:
        """Holds the mutex while the block runs.

        Args:
            turn: what waits until the mutex is free.
            timeout_s: how long to wait for it, however long Redis takes over each reply.

        Raises:
            NotExclusiveError: another process held it all the time.
            redis.RedisError: Redis cannot say.
        """
        held = HeldMutex(self, self._acquire(turn, timeout_s))
        try:
            yield held
        finally:
            self._release(held.fencing_token)

    def renew(self, fencing_token: int) -> None:
        """Renews the mutex of this token's holder. Raises NotExclusiveError if it is lost, or Redis cannot say."""
        try:
            kept = self._renew_script(
                keys=[self._keys.mutex], args=[self._value(fencing_token), self._ttl_ms]
            )
        except redis.RedisError as error:
            raise NotExclusiveError("mutex-unknown", type(error).__name__) from error
        if not kept:
            raise NotExclusiveError("mutex-lost", "this process was too slow")

    def _acquire(self, turn: Turn, timeout_s: float) -> int:
        until = self._clock() + timeout_s
        while True:
            taken = self._acquire_script(
                keys=[self._keys.mutex, self._keys.fence], args=[self._name, self._ttl_ms]
            )
            if taken:
                return int(taken)
            left_s = until - self._clock()
            if left_s <= 0 or turn.sleep(min(POLL_S, left_s)):
                raise NotExclusiveError("mutex-busy", "another process is at work")

    def _release(self, fencing_token: int) -> None:
        try:
            self._release_script(keys=[self._keys.mutex], args=[self._value(fencing_token)])
        except redis.RedisError:
            # It expires by itself.
            pass

    def _value(self, fencing_token: int) -> str:
        return f"{fencing_token} {self._name}"


class HeldMutex:
    """The mutex while it is held.

    ThingSpace knows no fencing tokens. So `renew` is called before every request, and a request's time limit is
    shorter than the mutex's TTL; the fencing token decides in Redis which observation is the later one.

    Attributes:
        fencing_token: greater than that of every holder before.
    """

    def __init__(self, mutex: Mutex, fencing_token: int) -> None:
        self.fencing_token = fencing_token
        self._mutex = mutex

    def renew(self) -> None:
        """Renews the mutex. Raises NotExclusiveError if it is lost."""
        self._mutex.renew(self.fencing_token)
