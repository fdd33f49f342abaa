"""Looks at the Redis server before the first worker starts: can it keep the promise asked for?"""

import os

import redis
import structlog

from listener.errors import QueueUnavailableError, SettingsError
from listener.queue import shards
from listener.queue.durability import refusal, warnings
from listener.queue.keys import every_partition
from listener.queue.required_commands import REFUSED
from listener.queue.writer import RedisWriter
from listener.redis_client.client import connect
from listener.redis_client.server_info import inspect
from listener.settings.redis_url import RedisUrl
from listener.settings.settings import Settings

MOST_SHOWN = 3
# As `remedy` says it.
RIGHT = "; grant "

log = structlog.get_logger("listener")


def check(settings: Settings) -> None:
    """Warns of what may lose messages. A server that is down is no reason not to start.

    Raises:
        SettingsError: the server can never do what QUEUE_DURABILITY asks for, a file that
            REDIS_URL names cannot be read, or a right is missing and there is no spool either.
    """
    _check_files(settings)
    if bound := settings.queue_max_length:
        log.warning(
            "QUEUE_MAX_LENGTH is lossy: the oldest messages go, read or not", messages=bound
        )
    _check_server(settings)


def refused_partitions(settings: Settings) -> list[str]:
    """Why messages cannot be written now, a line for each of the first partitions; empty if they can."""
    writer = RedisWriter(settings)
    problems: list[str] = []
    try:
        for number in range(settings.queue.partitions):
            try:
                writer.check(number)
            except QueueUnavailableError as problem:
                problems.append(problem.detail)
                if REFUSED not in problem.detail:
                    # Not an answer about this partition: the next one would have to wait as long.
                    break
    finally:
        writer.close()
    shown = problems[:MOST_SHOWN]
    if more := len(problems) - len(shown):
        shown.append(f"{more} more partitions are refused as well")
    return shown


def _check_server(settings: Settings) -> None:
    client = connect(settings.queue.url, timeout_s=settings.ack_budget_ms / 1000, name="fota-check")
    durability = settings.queue.durability
    described = "unknown"
    try:
        partitions = every_partition(settings.queue.namespace, settings.queue.partitions)
        shards.warn(client, partitions, durability)
        server = inspect(client)
    except redis.ResponseError as error:
        log.warning("redis does not say how it is set; that is not checked", detail=str(error))
    except redis.RedisError as error:
        log.warning("redis does not answer; it is not checked", detail=str(error))
        return
    else:
        described = server.description
        if reason := refusal(durability, server):
            raise SettingsError({"QUEUE_DURABILITY": [f"`{durability}` {reason}"]})
        for warning in warnings(durability, server):
            log.warning("redis may lose messages", detail=warning, server=described)
    finally:
        client.close()
    _check_rights(settings)
    log.info("redis checked", server=described, durability=str(durability))


def _check_rights(settings: Settings) -> None:
    problems = refused_partitions(settings)
    for problem in problems:
        log.error("redis cannot keep messages", detail=problem)
    # A state passes, and a right has to be granted.
    if not settings.spool.folder and (missing := [each for each in problems if RIGHT in each]):
        raise SettingsError({"REDIS_URL": missing})


def _check_files(settings: Settings) -> None:
    files = RedisUrl.parse(settings.queue.url.reveal()).files
    if missing := [name for name, path in files.items() if not os.access(path, os.R_OK)]:
        problems = [f"the file of {name} cannot be read" for name in missing]
        raise SettingsError({"REDIS_URL": problems})
