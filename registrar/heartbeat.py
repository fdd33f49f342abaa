"""Renews the lease, in a thread of its own, so that a slow ThingSpace costs no membership."""

import random
import threading
from collections.abc import Callable

import redis
import structlog

from registrar.lease import Lease, Roll

log = structlog.get_logger("registrar")


class Heartbeat:
    """Joins, renews at a third of the lease's life with jitter, and tells when it is time to look.

    That is when deployments came or went, and when our own lease had lapsed.

    A Redis that cannot be reached is asked again at the same pace; whether it can is told once.
    """

    def __init__(self, lease: Lease, *, ttl_s: float, changed: Callable[[], None]) -> None:
        """Takes what to call when it is time to look at the registrations."""
        self._lease = lease
        self._period_s = ttl_s / 3
        self._changed = changed
        self._stopping = threading.Event()
        self._deployments: frozenset[str] | None = None
        self._failing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Joins, if Redis can be reached, before it returns. It may be started anew after `stop`."""
        self._stopping.clear()
        self._beat(self._lease.join)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Renews no more; the lease itself is left to the caller."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause()):
            self._beat(self._lease.renew)

    def _pause(self) -> float:
        return self._period_s * random.uniform(0.8, 1.0)  # noqa: S311 (spreads replicas)

    def _beat(self, touch: Callable[[], Roll]) -> None:
        try:
            roll = touch()
        except Exception as error:
            # Also a mistake of ours, which is told in full: without a lease others take us for gone.
            if not self._failing:
                mistake = not isinstance(error, redis.RedisError)
                log.warning("lease not renewed", why=type(error).__name__, exc_info=mistake)
            self._failing = True
            return
        self._compare(roll)
        self._failing = False
        self._deployments = roll.deployments

    def _compare(self, roll: Roll) -> None:
        members = len(roll.members)
        if self._failing or roll.rejoined or self._deployments is None:
            log.info("member", name=self._lease.card.name, members=members)
        if self._deployments not in {None, roll.deployments}:
            log.info("deployments changed", deployments=len(roll.deployments))
            self._changed()
        elif roll.rejoined:
            # While we did not count, the last one to leave may have taken the registration along.
            self._changed()
