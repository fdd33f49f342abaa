"""The speed of one consumer process, and whether its memory stays flat, on a queue filled before."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import redis

from bench.errors import BenchError
from bench.load.messages import SAMPLE_DIR
from bench.rig.environment import ROOT
from bench.rig.store import stream_key
from listener.messages.message import Message
from listener.messages.payload import parse
from testbed.redis_servers import redis_process

STREAM = stream_key(0)
GROUP = "bench"
PIPELINE = 2000
MIN_PER_S = 10_000
# From the first tenth of the messages to the end; the interpreter's own memory varies by a few per cent.
MAX_MEMORY_GROWTH = 1.1


@dataclass(frozen=True)
class Options:
    """The number of messages, and two of the consumer's options."""

    messages: int
    batch: int
    concurrency: int


def run(options: Options) -> None:
    """Fills a real Redis (append-only file, fsync always), consumes everything, prints the figures.

    Raises:
        BenchError: a message is missing or out of order, or the consumer was slow or its memory grew.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)) as url,
        redis.Redis.from_url(url) as client,
    ):
        began = time.monotonic()
        size = _fill(client, options.messages)
        took_s = time.monotonic() - began
        click.echo(f"{options.messages} messages of {size} bytes, in {took_s:.0f} s")
        reports = _consume(url, options)
        _check_group(client)
    _check(reports)


def _fill(client: "redis.Redis", count: int) -> int:
    """Fills the stream; returns the size of one entry's fields in bytes."""
    entries = _entries()
    entry: dict[Any, Any] = {}
    for start in range(0, count, PIPELINE):
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(start, min(start + PIPELINE, count)):
                entry = next(entries)
                pipeline.xadd(STREAM, entry)
            pipeline.execute()
    return sum(len(name) + len(value) for name, value in entry.items())


def _entries() -> Iterator[dict[Any, Any]]:
    """The fields of message after message; a message's number is its request id."""
    payload = parse((SAMPLE_DIR / "upgrade-finished.json").read_bytes())
    sample = Message.from_payload(payload, arrived=datetime.now(UTC), request_id="0").fields()
    upgrade = str(sample["subject"])
    data = bytes(sample["data"]) if isinstance(sample["data"], bytes) else b""
    number = 0
    while True:
        subject = f"{number:08x}{upgrade[8:]}"
        yield {
            **sample,
            "id": f"{number:032x}",
            "subject": subject,
            "data": data.replace(upgrade.encode(), subject.encode()),
            "requestid": str(number),
        }
        number += 1


def _consume(url: str, options: Options) -> list[dict[str, Any]]:
    """Runs the consumer; returns its reports at a tenth, at half and at the end."""
    arguments = (url, options.messages, options.batch, options.concurrency, GROUP)
    words = [sys.executable, "-m", "bench.consumer_child", *map(str, arguments)]
    reports = []
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            report = json.loads(line)
            reports.append(report)
            click.echo(
                f"{report['handled']:>9} handled  {report['per_s']:>7.0f} /s  "
                f"{report['rss'] / 2**20:6.1f} MiB  out of order: {report['disorder']}"
            )
    if process.returncode or not reports:
        raise BenchError("the consumer failed")
    return reports


def _check(reports: list[dict[str, Any]]) -> None:
    last = reports[-1]
    rate, growth = last["per_s"], last["rss"] / reports[0]["rss"]
    click.echo(f"{rate:.0f} messages a second; at least {MIN_PER_S}")
    click.echo(f"{growth:.2f} times the memory of the first tenth; at most {MAX_MEMORY_GROWTH}")
    if last["disorder"] or rate < MIN_PER_S or growth > MAX_MEMORY_GROWTH:
        raise BenchError("the consumer is out of order, slow, or its memory grew")


def _check_group(client: "redis.Redis") -> None:
    pending: Any = client.xpending(STREAM, GROUP)
    groups: Any = client.xinfo_groups(STREAM)
    unread: Any = client.xrange(STREAM, f"({groups[0]['last-delivered-id'].decode()}", count=1)
    click.echo(f"pending: {pending['pending']}, unread: {len(unread)}")
    if pending["pending"] or unread:
        raise BenchError("messages are pending or unread")
