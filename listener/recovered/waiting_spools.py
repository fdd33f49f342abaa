"""Whether messages wait in any host's spool, as far as Redis and this host's disk say."""

import sqlite3
from pathlib import Path
from typing import Any

import redis

from listener.queue.keys import waiting_spools
from listener.spool.contents import read_status

# How long a host counts that does not come back to empty its spool.
WAITING_S = 7 * 24 * 3600
# A host says again within minutes that messages wait; one that stopped may have taken more in between.
UNSAID_S = 3600


def is_any_spool_waiting(
    client: "redis.Redis", namespace: str, folder: Path | None, now_s: float
) -> bool:
    """Asks this host's disk and Redis.

    Args:
        client: any.
        namespace: QUEUE_NAMESPACE.
        folder: this host's SPOOL_DIR; None: it has none.
        now_s: seconds since 1970.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    said_so = client.zcount(waiting_spools(namespace), now_s - WAITING_S, "+inf")
    return bool(said_so) or (folder is not None and _waits(folder))


def lost_spool_s(client: "redis.Redis", namespace: str, now_s: float) -> float:
    """Until when messages arrived at hosts that never came back with them, in seconds since 1970; 0: there is no such host.

    Raises:
        redis.RedisError: Redis did not answer.
    """
    found: Any = client.zrevrangebyscore(
        waiting_spools(namespace),
        f"({now_s - WAITING_S}",
        "-inf",
        start=0,
        num=1,
        withscores=True,
    )
    return float(found[0][1]) + UNSAID_S if found else 0.0


def _waits(folder: Path) -> bool:
    try:
        status = read_status(folder, in_service=False)
    except (OSError, sqlite3.Error):
        return True
    # What Redis refused has come, and is not in the stream.
    return bool(status.messages or status.set_aside)
