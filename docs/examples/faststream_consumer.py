"""Consumes one partition of the queue with FastStream (0.7).

    REDIS_URL=redis://localhost:6379/0 GROUP=billing python faststream_consumer.py

Each message is handled at least once: it is acknowledged after the work, and what a crashed process
left is taken over. A message whose id was handled before is not handled again. FastStream ends if
the stream is deleted while it runs: let a supervisor start it again.
"""

import asyncio
import json
import logging
import os
import socket
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.annotations import Redis, RedisStreamMessage
from redis.exceptions import ResponseError

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
NAMESPACE = os.environ.get("QUEUE_NAMESPACE", "fota")
PARTITION = int(os.environ.get("PARTITION", "0"))
GROUP = os.environ.get("GROUP", "faststream")
# One name for each process that runs at a time, and the same one after a restart.
CONSUMER = os.environ.get("CONSUMER", socket.gethostname())
# Longer than the slowest handler takes: after that others may take its message over.
TAKE_OVER_AFTER_MS = int(os.environ.get("TAKE_OVER_AFTER_MS", "60000"))
BLOCK_MS = 1000
HANDLED_FOR_S = 7 * 24 * 3600

STREAM = f"{{{NAMESPACE}:{PARTITION}}}:messages"
NEW = StreamSub(STREAM, group=GROUP, consumer=CONSUMER, max_records=10, polling_interval=BLOCK_MS)
LEFT = StreamSub(
    STREAM,
    group=GROUP,
    consumer=CONSUMER,
    min_idle_time=TAKE_OVER_AFTER_MS,
    polling_interval=BLOCK_MS,
)

# To standard error; at the level INFO FastStream writes two lines for each message.
logging.basicConfig(level=logging.WARNING)
broker = RedisBroker(URL, logger=logging.getLogger("consumer"))
app = FastStream(broker)


async def handle(fields: dict[str, str], data: dict[str, Any]) -> None:
    """Your work. If it raises, the message comes again after TAKE_OVER_AFTER_MS."""
    print(fields["id"], fields["kind"], f"{len(data)} members", flush=True)


# FastStream acknowledges after this has returned; what raised stays pending.
@broker.subscriber(stream=NEW, ack_policy=AckPolicy.NACK_ON_ERROR)
@broker.subscriber(stream=LEFT, ack_policy=AckPolicy.NACK_ON_ERROR)
async def work(message: RedisStreamMessage, redis: Redis) -> None:
    """Handles a message once."""
    # FastStream's own reading of a body expects its own envelope: take the entry's fields as they are.
    raw = message.raw_message["data"]
    fields = {name.decode(): value.decode() for name, value in raw.items()}
    handled = f"{GROUP}:handled:{fields['id']}"
    if not await redis.exists(handled):
        await handle(fields, json.loads(fields["data"]))
        # After the work: a crash between the two does the work twice rather than never.
        await redis.set(handled, "1", ex=HANDLED_FOR_S)


@app.on_startup
async def create_group() -> None:
    """Makes the group at the oldest entry there is: FastStream itself would begin at the newest."""
    client = await broker.connect()
    try:
        await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        # Only this one is harmless: the group exists.
        if "BUSYGROUP" not in str(error):
            raise


if __name__ == "__main__":
    asyncio.run(app.run())
