"""Looks at the Redis server before the first worker starts: can it keep the promise asked for?"""

import os

import redis
import structlog

from listener.errors import SettingsError
from listener.queue import shards
from listener.queue.connection import connect
from listener.queue.durability import refusal, warnings
from listener.queue.keys import every_partition
from listener.queue.server import ask
from listener.redis_url import parse
from listener.settings import Settings

log = structlog.get_logger("listener")


def check(settings: Settings) -> None:
    """Warns of what may lose messages. A server that is down is no reason not to start.

    Raises:
        SettingsError: the server can never do what QUEUE_DURABILITY asks for, or a file that
            REDIS_URL names cannot be read.
    """
    _check_files(settings)
    if bound := settings.queue_max_length:
        log.warning(
            "QUEUE_MAX_LENGTH is lossy: the oldest messages go, read or not", messages=bound
        )
    client = connect(settings.redis_url, timeout_s=settings.ack_budget_ms / 1000, name="fota-check")
    durability = settings.queue_durability
    try:
        server = ask(client)
        shards.warn(client, every_partition(settings.queue_namespace, settings.queue_partitions))
    except redis.RedisError as error:
        log.warning("redis does not answer; it is not checked", detail=str(error))
        return
    finally:
        client.close()
    if reason := refusal(durability, server):
        raise SettingsError({"QUEUE_DURABILITY": [f"`{durability}` {reason}"]})
    for warning in warnings(durability, server):
        log.warning("redis may lose messages", detail=warning, server=server.described)
    log.info("redis checked", server=server.described, durability=str(durability))


def _check_files(settings: Settings) -> None:
    files = parse(settings.redis_url.reveal()).files
    if missing := [name for name, path in files.items() if not os.access(path, os.R_OK)]:
        problems = [f"the file of {name} cannot be read" for name in missing]
        raise SettingsError({"REDIS_URL": problems})
