"""How many messages a second one consumer process handles, and whether its memory stays flat.

    .venv/bin/python -m bench.consumer [--messages 1000000]

A real Redis (append-only file, fsync always) is filled with messages like the sample, and then one
process with a handler that does nothing but count reads them all: each becomes a typed message and
is acknowledged. Order and number are verified.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import redis

from listener.messages.message import Message
from listener.messages.payload import parse
from listener.queue.keys import Partition
from testbed import redis_process

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "tests" / "data" / "messages" / "upgrade-finished.json"
STREAM = Partition("fota", 0).messages
GROUP = "bench"
WANTED_PER_S = 10_000
# From the first tenth to the end; the interpreter's own memory moves by a few per cent.
MOST_GROWTH = 1.1


def main() -> None:
    """Measures and prints; exits with 1 if a message was missing or out of order, or it was slow or grew."""
    parser = argparse.ArgumentParser(prog="python -m bench.consumer")
    parser.add_argument("--messages", type=int, default=1_000_000, help="how many to handle")
    parser.add_argument("--batch", type=int, default=100, help="see the consumer's options")
    parser.add_argument("--concurrency", type=int, default=1, help="see the consumer's options")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)) as url,
        redis.Redis.from_url(url) as client,
    ):
        began = time.monotonic()
        size = fill(client, options.messages)
        click.echo(
            f"{options.messages} messages of {size} bytes, in {time.monotonic() - began:.0f} s"
        )
        consume(url, options)
        sys.exit(verify(client))


def fill(client: "redis.Redis", count: int, step: int = 2000) -> int:
    """Fills the stream; the size of one entry's fields in bytes."""
    entries = fields()
    entry: dict[Any, Any] = {}
    for start in range(0, count, step):
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(start, min(start + step, count)):
                entry = next(entries)
                pipeline.xadd(STREAM, entry)
            pipeline.execute()
    return sum(len(name) + len(value) for name, value in entry.items())


def fields() -> Iterator[dict[Any, Any]]:
    """The fields of message after message; each has its number as its request's id."""
    payload = parse(SAMPLE.read_bytes())
    sample = Message.from_payload(payload, arrived=datetime.now(UTC), request_id="0").fields()
    upgrade = str(sample["subject"])
    data = bytes(sample["data"]) if isinstance(sample["data"], bytes) else b""
    number = 0
    while True:
        own = f"{number:08x}{upgrade[8:]}"
        yield {
            **sample,
            "id": f"{number:032x}",
            "subject": own,
            "data": data.replace(upgrade.encode(), own.encode()),
            "requestid": str(number),
        }
        number += 1


def consume(url: str, options: argparse.Namespace) -> None:
    """Runs the consumer and prints what it says of itself."""
    arguments = [options.messages, options.batch, options.concurrency, GROUP]
    words = [sys.executable, "-m", "bench.consumer_child", url, *map(str, arguments)]
    found = []
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            told = json.loads(line)
            found.append(told)
            click.echo(
                f"{told['handled']:>9} handled  {told['per_s']:>7.0f} /s  "
                f"{told['rss'] / 2**20:6.1f} MiB  out of order: {told['disorder']}"
            )
    if process.returncode or not found:
        sys.exit("the consumer failed")
    rate, growth = found[-1]["per_s"], found[-1]["rss"] / found[0]["rss"]
    click.echo(f"{rate:.0f} messages a second; wanted: {WANTED_PER_S}")
    click.echo(f"{growth:.2f} times the memory that it had after a tenth; at most {MOST_GROWTH}")
    if found[-1]["disorder"] or rate < WANTED_PER_S or growth > MOST_GROWTH:
        sys.exit(1)


def verify(client: "redis.Redis") -> int:
    """What Redis says about the group afterwards."""
    pending: Any = client.xpending(STREAM, GROUP)
    groups: Any = client.xinfo_groups(STREAM)
    unread: Any = client.xrange(STREAM, f"({groups[0]['last-delivered-id'].decode()}", count=1)
    click.echo(f"pending: {pending['pending']}, unread: {len(unread)}")
    return int(bool(pending["pending"] or unread))


if __name__ == "__main__":
    main()
