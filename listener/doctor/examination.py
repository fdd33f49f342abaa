"""The whole examination: one thing after the other."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import redis

from listener.doctor import environment, queue, registration, server, spool
from listener.doctor.findings import Finding, error
from listener.queue.view import View, connected, problem
from listener.settings import Settings

REDIS_DOWN = "start Redis, or correct REDIS_URL; messages go to the spool meanwhile"


def findings(settings: Settings, timeout_s: float) -> Iterator[Finding]:
    """Looks at one thing after the other. Without Redis the rest is looked at all the same.

    Each reply of Redis is waited for `timeout_s` seconds at most.
    """
    yield from environment.findings(settings, os.environ)
    with connected(settings, timeout_s=timeout_s, name="fota-check") as client:
        try:
            yield from _in_redis(View(settings, client))
        except redis.RedisError as failure:
            yield error("redis", problem(failure, settings), REDIS_DOWN)
    yield from spool.findings(settings, datetime.now(UTC))


def _in_redis(looked_at: View) -> Iterator[Finding]:
    settings, client = looked_at.settings, looked_at.client
    yield from server.findings(settings, client)
    now = looked_at.now()
    yield from queue.findings(client, looked_at.partitions, now)
    yield from registration.findings(client, settings.queue_namespace, now)
