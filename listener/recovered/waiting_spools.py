"""Whether messages wait in any host's spool, as far as Redis and this host's disk say."""

import sqlite3
from pathlib import Path

import redis

from listener.queue.keys import waiting_spools
from listener.spool.contents import read_status

# A host that does not come back to empty its spool counts for so long.
WAITING_S = 24 * 3600


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


def _waits(folder: Path) -> bool:
    try:
        status = read_status(folder, in_service=False)
    except (OSError, sqlite3.Error):
        return True
    # What Redis refused has come, and is not in the stream.
    return bool(status.messages or status.set_aside)
