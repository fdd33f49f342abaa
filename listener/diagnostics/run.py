"""The whole examination: one thing after the other."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import redis

from listener.diagnostics import (
    clock,
    environment,
    queue,
    redis_server,
    registration,
    shards,
    spool,
)
from listener.diagnostics.finding import Finding, error
from listener.inspection.view import View, problem
from listener.settings.settings import Settings

REDIS_DOWN = "start Redis, or correct REDIS_URL"


def findings(settings: Settings, view: View, *, search: bool = True) -> Iterator[Finding]:
    """Looks at one thing after the other. Without Redis the rest is looked at all the same.

    Args:
        settings: of the listener.
        view: its queue.
        search: look for what destroyed groups left behind, at every key of the database, and try how
            fast the spool's disk is; not in the service itself, which does this again and again.
    """
    yield from environment.findings(settings, os.environ)
    try:
        yield from _in_redis(settings, view, search=search)
    except redis.RedisError as failure:
        yield unreachable(settings, failure)
    yield from spool.findings(settings, datetime.now(UTC), in_service=not search)


def unreachable(settings: Settings, failure: redis.RedisError) -> Finding:
    """Redis could not be asked, or refused something."""
    advice = f"{REDIS_DOWN}; {spool.meanwhile(settings)}"
    return error("redis", problem(failure, settings.queue), advice)


def _in_redis(settings: Settings, view: View, *, search: bool) -> Iterator[Finding]:
    yield from redis_server.findings(settings, view.client)
    yield from shards.findings(view)
    now = view.now()
    yield from clock.findings(view, now)
    yield from queue.findings(view, now, search=search)
    yield from registration.findings(view.client, view.settings.namespace, now)
