"""Consumes the queue with redis-py (5.0 or later) and nothing else.

    REDIS_URL=redis://localhost:6379/0 GROUP=billing python plain_redis.py

Each message is handled at least once: it is acknowledged after the work, and what a crashed process
left is taken over. A message whose id was handled before is not handled again. What fails, or ends
the process, too often goes to the dead stream. For a standalone Redis; docs/queue.md tells what
differs on a Cluster.
"""

import json
import os
import signal
import socket
import time
import traceback
from datetime import UTC, datetime
from typing import Any

import redis

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
NAMESPACE = os.environ.get("QUEUE_NAMESPACE", "fota")
PARTITIONS = int(os.environ.get("QUEUE_PARTITIONS", "1"))
GROUP = os.environ.get("GROUP", "plain-redis")
# One name for each process that runs at a time, and the same one after a restart.
CONSUMER = os.environ.get("CONSUMER", socket.gethostname())
# Longer than the slowest handler takes: after that others may take its message over.
TAKE_OVER_AFTER_MS = int(os.environ.get("TAKE_OVER_AFTER_MS", "60000"))
MAX_DELIVERIES = int(os.environ.get("MAX_DELIVERIES", "5"))
BATCH = 10
POLL_S = 0.1
BLOCK_MS = 1000
HANDLED_FOR_S = 7 * 24 * 3600

STREAMS = {n: f"{{{NAMESPACE}:{n}}}:messages" for n in range(PARTITIONS)}
DEAD = {stream: f"{{{NAMESPACE}:{n}}}:dead:{GROUP}" for n, stream in STREAMS.items()}

Fields = dict[str, str]
stopping = False


def handle(fields: Fields, data: dict[str, Any]) -> None:
    """Your work. If it raises, the message comes again after TAKE_OVER_AFTER_MS."""
    print(fields["id"], fields["kind"], f"{len(data)} members", flush=True)


def work(client: Any, stream: str, entry: str, fields: Fields, deliveries: int) -> None:
    """Handles a message once, and acknowledges it; leaves it pending if the handler fails."""
    # Anybody may add an entry that is no message, without an id of its own.
    handled = f"{GROUP}:handled:{fields.get('id', entry)}"
    try:
        if not client.exists(handled):
            handle(fields, json.loads(fields["data"]))
            # After the work: a crash between the two does the work twice rather than never.
            client.set(handled, entry, ex=HANDLED_FOR_S)
    except redis.RedisError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other messages must flow
        print(f"{entry} failed: {error!r}", flush=True)
        if deliveries >= MAX_DELIVERIES:
            why = {"error": repr(error), "traceback": traceback.format_exc()}
            bury(client, stream, entry, fields, deliveries, reason="handler-failed", **why)
        return
    client.xack(stream, GROUP, entry)


def bury(client: Any, stream: str, entry: str, fields: Fields, deliveries: int, **why: str) -> None:
    """Moves a message to the dead stream, in one step."""
    about = {
        "deliveries": deliveries,
        "entry": entry,
        "consumer": CONSUMER,
        "failed": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    with client.pipeline(transaction=True) as both:
        both.xadd(DEAD[stream], {**fields, **why, **about})
        both.xack(stream, GROUP, entry)
        both.execute()


def read_new(client: Any) -> None:
    """Handles what no consumer of the group has read yet; waits a moment for it.

    Each partition is read by a command of its own: a Cluster, and shards behind one address, refuse one
    that names several. So with several partitions the waiting is done here, not in Redis.
    """
    block_ms, found = BLOCK_MS if len(STREAMS) == 1 else None, False
    for stream in STREAMS.values():
        for _, entries in client.xreadgroup(GROUP, CONSUMER, {stream: ">"}, BATCH, block_ms):
            for entry, fields in entries:
                found = True
                work(client, stream, entry, fields, 1)
    if not found and block_ms is None:
        time.sleep(POLL_S)


def take_over(client: Any) -> None:
    """Handles what was read long ago and never acknowledged, by whomever.

    One at a time: of several that are claimed together all count as delivered if one ends the process.
    """
    for stream in STREAMS.values():
        start = "0-0"
        while not stopping:
            start, found, *_ = client.xautoclaim(
                stream, GROUP, CONSUMER, TAKE_OVER_AFTER_MS, start, count=1
            )
            for entry, fields in found:
                # Redis 6.2 also lists entries that are gone.
                if fields:
                    work_again(client, stream, entry, fields)
            # Each call looks at a part of what is pending, and says where the next has to go on.
            if start == "0-0":
                break


def work_again(client: Any, stream: str, entry: str, fields: Fields) -> None:
    """Handles what was taken over, unless it was delivered too often."""
    # None if the one that had it was only slow, and has acknowledged it now.
    for pending in client.xpending_range(stream, GROUP, entry, entry, 1):
        deliveries = pending["times_delivered"]
        if deliveries > MAX_DELIVERIES:
            why = {"reason": "crashed", "error": "", "traceback": ""}
            bury(client, stream, entry, fields, deliveries, **why)
        else:
            work(client, stream, entry, fields, deliveries)


def create_groups(client: Any) -> None:
    """Makes the group where it does not exist: from the oldest entry there is."""
    for stream in STREAMS.values():
        try:
            client.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            # Only this one is harmless: the group exists.
            if "BUSYGROUP" not in str(error):
                raise


def stop(*_: object) -> None:
    """Lets the message at hand be finished."""
    global stopping  # noqa: PLW0603
    stopping = True


def main() -> None:
    """Consumes until SIGTERM or SIGINT; waits while Redis is away."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    # Without a socket timeout a lost connection would be waited on for ever.
    client = redis.Redis.from_url(URL, decode_responses=True, socket_timeout=BLOCK_MS / 1000 + 5)
    create, look_at = True, 0.0
    while not stopping:
        try:
            if create:
                create_groups(client)
                create = False
            if time.monotonic() >= look_at:
                take_over(client)
                look_at = time.monotonic() + TAKE_OVER_AFTER_MS / 4000
            read_new(client)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            print(f"Redis does not answer: {error}", flush=True)
            time.sleep(0.5)
        except redis.ResponseError as error:
            # The stream was deleted, and the group with it; perhaps while it was waited for.
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            create = True
    client.close()


if __name__ == "__main__":
    main()
