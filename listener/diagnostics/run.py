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

REDIS_DOWN = "start Redis, or correct REDIS_URL"


def findings(look: View, *, search: bool = True) -> Iterator[Finding]:
    """Looks at one thing after the other. Without Redis the rest is looked at all the same.

    Args:
        look: the queue.
        search: look for what destroyed groups left behind, at every key of the database, and try how
            fast the spool's disk is; not in the service itself, which does this again and again.
    """
    yield from environment.findings(look.settings, os.environ)
    try:
        yield from _in_redis(look, search=search)
    except redis.RedisError as failure:
        yield unreachable(look, failure)
    yield from spool.findings(look.settings, datetime.now(UTC), in_service=not search)


def unreachable(look: View, failure: redis.RedisError) -> Finding:
    """Redis could not be asked, or refused something."""
    advice = f"{REDIS_DOWN}; {spool.meanwhile(look.settings)}"
    return error("redis", problem(failure, look.settings), advice)


def _in_redis(look: View, *, search: bool) -> Iterator[Finding]:
    settings, client = look.settings, look.client
    yield from redis_server.findings(settings, client)
    yield from shards.findings(look)
    now = look.now()
    yield from clock.findings(look, now)
    yield from queue.findings(look, now, search=search)
    yield from registration.findings(client, settings.queue_namespace, now)
