"""Connections to Redis, with time limits and retries set on purpose."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from listener.secret import Secret


def connect(url: Secret, *, timeout_s: float, name: str, **options: Any) -> redis.Redis:
    """A client of its own for this process; connects when first used.

    Each single reply is waited for `timeout_s` at most, and so is a connection; a new connection
    and the first script call of a server take several replies. A connection
    that turns out to be broken (Redis was restarted) is replaced and the command is sent once more;
    a command that timed out is not sent again, as redis-py would do by default. Either may have been
    carried out although it failed here: what is sent must bear being sent twice.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: seconds.
        name: how the connections show in CLIENT LIST.
        options: more options of `redis.Redis`.
    """
    return redis.Redis.from_url(
        url.reveal(),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), retries=1, supported_errors=(redis.ConnectionError,)),
        client_name=name,
        # One command on a new connection, not six: each may take its own time limit. RESP2 says all
        # that the queue needs, and notices of a managed server's maintenance are not asked for.
        protocol=2,
        driver_info=None,
        **options,
    )
