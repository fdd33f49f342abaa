"""Runs every check, one after the other, and yields what each found."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

from listener.diagnostics import (
    check_clock,
    check_queue,
    check_recovery,
    check_redis,
    check_registration,
    check_settings,
    check_shards,
    check_spool,
)
from listener.diagnostics.finding import Finding, error
from listener.inspection.queue_view import QueueView, RedisFailedError, translating_redis_errors
from listener.settings.settings import Settings

REDIS_DOWN = "start Redis, or correct REDIS_URL"


def findings(settings: Settings, view: QueueView, *, in_service: bool = False) -> Iterator[Finding]:
    """What every check found. While Redis is down, the checks that do without it run all the same.

    Args:
        settings: of the listener.
        view: its queue.
        in_service: whether the service itself runs the checks, again and again: they then neither search
            every key of the database for what destroyed groups left behind, nor measure the spool's disk.
    """
    yield from check_settings.findings(settings, os.environ)
    try:
        with translating_redis_errors(settings.queue):
            yield from _in_redis(settings, view, search=not in_service)
    except RedisFailedError as failure:
        yield redis_failed(settings, failure)
    yield from check_spool.findings(settings, datetime.now(UTC), in_service=in_service)


def redis_failed(settings: Settings, failure: RedisFailedError) -> Finding:
    """Redis did not answer, or refused what every check needs."""
    return error("redis", str(failure), f"{REDIS_DOWN}; {check_spool.meanwhile(settings)}")


def _in_redis(settings: Settings, view: QueueView, *, search: bool) -> Iterator[Finding]:
    yield from check_redis.findings(settings, view)
    yield from check_shards.findings(view)
    now = view.now()
    yield from check_clock.findings(view, now)
    yield from check_queue.findings(view, now, search=search)
    yield from check_registration.findings(view, now)
    yield from check_recovery.findings(view, now)
