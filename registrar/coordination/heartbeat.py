"""Renews the lease, in a thread of its own, so that a slow ThingSpace costs no membership."""

import random
import threading
from collections.abc import Callable

import redis
import structlog

from registrar.coordination.membership import Lease, Members

log = structlog.get_logger("registrar")

# How often a process that could not join yet tries again, in seconds.
JOIN_S = 1.0


class Heartbeat:
    """Joins, and renews the lease at a third of its TTL, with jitter.

    It calls back when it is time to look at the registrations: when deployments came or went, and when our own lease
    had lapsed. A Redis that cannot be reached is asked again at the same pace; the log says so once.
    """

    def __init__(self, lease: Lease, *, ttl_s: float) -> None:
        self._lease = lease
        self._period_s = ttl_s / 3
        self._changed: Callable[[], None] = _nothing
        self._stopping = threading.Event()
        self._deployments: frozenset[str] | None = None
        self._failing = False
        self._thread: threading.Thread | None = None

    def join(self) -> bool:
        """Joins as one that starts; False: Redis cannot be reached, and `start` goes on trying.

        Called before COMMAND starts. As soon as COMMAND reports ready, an orchestrator may end the other replicas,
        and the last of those must see by then that a member remains.
        """
        return self._beat(self._lease.join_as_candidate)

    def promote(self) -> None:
        """Joins as one that reconciles, and so may supersede other deployments."""
        self._beat(self._lease.join)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Has `changed` called when it is time to look at the registrations."""
        self._changed = changed

    def start(self) -> None:
        """Begins to renew, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Renews no more; the lease itself is left to the caller."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause()):
            self.beat()

    def beat(self) -> bool:
        """Renews once; whether Redis answered."""
        return self._beat(self._lease.renew)

    def _pause(self) -> float:
        # A process that never joined is not counted by leaving members, so it must not wait for a third of a lease.
        longest_s = self._period_s if self._deployments is not None else min(self._period_s, JOIN_S)
        return longest_s * random.uniform(0.8, 1.0)  # noqa: S311 (spreads replicas)

    def _beat(self, renew: Callable[[], Members]) -> bool:
        """Whether Redis answered."""
        try:
            members = renew()
        except Exception as error:
            # Also a mistake of ours, logged in full: without a lease the others count this process as gone.
            if not self._failing:
                mistake = not isinstance(error, redis.RedisError)
                log.warning("lease not renewed", why=type(error).__name__, exc_info=mistake)
            self._failing = True
            return False
        self._compare(members)
        self._failing = False
        self._deployments = members.deployments
        return True

    def _compare(self, members: Members) -> None:
        if self._failing or members.rejoined or self._deployments is None:
            log.info("member", name=self._lease.identity.name, members=len(members.live))
        if self._deployments not in {None, members.deployments}:
            log.info("deployments changed", deployments=len(members.deployments))
            self._changed()
        elif members.rejoined:
            # While this process did not count, the last member to leave may have deregistered.
            self._changed()


def _nothing() -> None:
    """Before `subscribe` nothing waits for changes."""
