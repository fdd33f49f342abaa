"""Classifies errors of Redis: does an error concern the server, or only the one message that was written?"""

import re
from enum import Enum

import redis
from redis.exceptions import MovedError, NoPermissionError

from listener.errors import QueueUnavailableError


class Blame(Enum):
    """The cause of a write that failed."""

    SERVER = "server"
    """Every write would fail now."""
    WRITE = "write"
    """This write was refused, if Redis takes others meanwhile."""
    UNKNOWN = "unknown"
    """No reply, or one that names no cause: this write, or a coincidence."""


# The first word of an error reply. Redis: src/server.c (`shared`, processCommand), src/cluster.c; Valkey has
# the same, and REDIRECT. Inside a script Redis 6.2 puts them behind a dash into a text that begins with ERR.
SERVER_CODES = frozenset(
    (
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "CROSSSLOT",
        "DENIED",
        "EXECABORT",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOAUTH",
        "NOPERM",
        "NOREPLICAS",
        "NOSCRIPT",
        "OOM",
        "READONLY",
        "REDIRECT",
        "TRYAGAIN",
        "WRONGPASS",
    )
)
# Parts of texts that begin with ERR, or have no code.
SERVER_TEXTS = (
    # Redis: maxclients, and a command that was renamed or does not exist, also in a script.
    "max number of clients",
    "unknown command",
    "unknown subcommand",
    "unknown redis command",
    "not allowed from script",
    "the user executing the script",
    "no permissions",
    "operation not permitted",
    "protected mode",
    "stream has exhausted",
    # Envoy and twemproxy do not forward every command.
    "unsupported command",
    "no upstream host",
    # Upstash (https://upstash.com/docs/redis/troubleshooting) and similar services: the quota is used up,
    # or the stream is full.
    "max single record size",
    "max concurrent connections",
    "max daily request",
    "max requests limit",
    "max commands per second",
    "rate limit",
    "quota",
    "bandwidth",
    "throttl",
    "suspended",
)
# Envoy ("upstream failure") and twemproxy (the text of errno) reply so when the server behind them cut the
# connection, perhaps because of this very write.
UNKNOWN_TEXTS = ("upstream", "timed out", "connection re", "host is down", "broken pipe")

# redis-py (`Pipeline.annotate_exception`) puts the command, shortened, before the reply to one of several.
# Its keys begin with QUEUE_NAMESPACE, which may contain any word that a reply may contain.
_IN_PIPELINE = re.compile(r"Command # \d+ \((.*?)\) of pipeline caused error: ", re.DOTALL)


def split_reply(error: Exception) -> tuple[str, str]:
    """Splits the text of an error of redis-py.

    Returns:
        The name of the command of a pipeline that was refused, empty if it was not a pipeline; and Redis's
        reply, without the text that redis-py puts before it.
    """
    text = str(error)
    if match := _IN_PIPELINE.match(text):
        return match[1].partition(" ")[0], text[match.end() :]
    return "", text


def blame(error: Exception) -> Blame:
    """The cause of an error of redis-py, as far as it names one."""
    if isinstance(error, redis.TimeoutError):
        return Blame.UNKNOWN
    if isinstance(error, redis.AuthenticationError | redis.BusyLoadingError):
        return Blame.SERVER
    _, reply = split_reply(error)
    text = reply.lower()
    if isinstance(error, MovedError | NoPermissionError) or _has_server_code(error, reply):
        return Blame.SERVER
    if any(part in text for part in SERVER_TEXTS):
        return Blame.SERVER
    if isinstance(error, redis.ConnectionError) or any(part in text for part in UNKNOWN_TEXTS):
        return Blame.UNKNOWN
    return Blame.WRITE


def _has_server_code(error: Exception, reply: str) -> bool:
    # redis-py removes the code from the text where it has a class for it.
    codes = [getattr(error, "status_code", None), *re.findall(r"(?:^|: ?-)([A-Z]+)\b", reply)]
    return not SERVER_CODES.isdisjoint(codes)


def describe_error(error: Exception) -> str:
    """The class and the text of an error, for a line of the log."""
    return f"{type(error).__name__}: {error}"[:300]


def unavailable(error: Exception) -> QueueUnavailableError:
    """The queue's error for an error of Redis."""
    return QueueUnavailableError(describe_error(error))


def remedy(command: str, error: Exception) -> str:
    """What an operator can do about a command that is refused; empty if the reply says it all."""
    text = split_reply(error)[1].lower()
    if "access a key" in text or "access one of the keys" in text:
        return "grant the keys: ~{NAMESPACE:*"
    if isinstance(error, NoPermissionError) or "no permissions" in text:
        return f"grant +{command.lower().replace(' ', '|')}"
    if "unknown" in text or "unsupported" in text:
        return "it was renamed or disabled, or what stands before Redis does not pass it on"
    return ""
