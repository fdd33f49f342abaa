"""Checks, before the first worker starts, that Redis can keep messages as QUEUE_DURABILITY asks."""

import structlog

from listener.diagnostics.check_settings import TOKEN_ADVICE, unreadable_files
from listener.errors import QueueUnavailableError, SettingsError
from listener.inspection.queue_view import RedisFailedError, translating_redis_errors
from listener.queue import shards
from listener.queue.durability import risks, unsupported_reason
from listener.queue.keys import every_partition
from listener.queue.required_commands import REFUSED
from listener.queue.writer import RedisWriter
from listener.redis_client.client import connect, unless_refused
from listener.redis_client.server_info import ServerInfo, inspect
from listener.settings.settings import Settings

MAX_SHOWN = 3
# How `remedy` names an access right that is missing.
GRANT = "; grant "

log = structlog.get_logger("listener")


def check(settings: Settings) -> None:
    """Logs what may lose messages. The service starts all the same while the server is down.

    Raises:
        SettingsError: the server can never do what QUEUE_DURABILITY asks for, a file that
            REDIS_URL names cannot be read, or a right is missing and there is no spool either.
    """
    if problems := unreadable_files(settings):
        raise SettingsError({"REDIS_URL": problems})
    if max_length := settings.queue_max_length:
        log.warning(
            "QUEUE_MAX_LENGTH is lossy: the oldest messages go, read or not", messages=max_length
        )
    for name, problem in settings.weak_tokens.items():
        log.warning("token is weak", setting=name, problem=problem, advice=TOKEN_ADVICE[name])
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
    shown = problems[:MAX_SHOWN]
    if more := len(problems) - len(shown):
        shown.append(
            f"{more} more {'partition is' if more == 1 else 'partitions are'} refused as well"
        )
    return shown


def _check_server(settings: Settings) -> None:
    try:
        with translating_redis_errors(settings.queue):
            server = _inspect(settings)
    except RedisFailedError as failure:
        log.warning("redis does not answer; it is not checked", detail=str(failure))
        return
    if server:
        _check_durability(settings, server)
    _check_rights(settings)
    log.info(
        "redis checked",
        server=server.description if server else "unknown",
        durability=str(settings.queue.durability),
    )


def _inspect(settings: Settings) -> ServerInfo | None:
    """What the server says of itself; None if it refuses to. Raises redis.RedisError, SettingsError."""
    queue = settings.queue
    client = connect(queue.url, timeout_s=settings.ack_budget_ms / 1000, name="fota-check")

    def inspected() -> ServerInfo:
        shards.warn(client, every_partition(queue.namespace, queue.partitions), queue.durability)
        return inspect(client)

    try:
        server = unless_refused(inspected)
    finally:
        client.close()
    if isinstance(server, ServerInfo):
        return server
    log.warning("redis does not say how it is set; that is not checked", detail=str(server))
    return None


def _check_durability(settings: Settings, server: ServerInfo) -> None:
    durability = settings.queue.durability
    if reason := unsupported_reason(durability, server):
        raise SettingsError({"QUEUE_DURABILITY": [f"`{durability}` {reason}"]})
    for warning in risks(durability, server):
        log.warning("redis may lose messages", detail=warning, server=server.description)


def _check_rights(settings: Settings) -> None:
    problems = refused_partitions(settings)
    for problem in problems:
        log.error("redis cannot keep messages", detail=problem)
    # A passing state is no reason to refuse to start; a missing right stays until it is granted.
    missing = [problem for problem in problems if GRANT in problem]
    if missing and not settings.spool.folder:
        raise SettingsError({"REDIS_URL": missing})
