"""The speed of one consumer process, and whether its memory stays flat, on a queue filled before."""

import json
import os
import statistics
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
PIPELINE = 2000
MIN_PER_S = 10_000
# From the first tenth of the messages to the end; the interpreter's own memory varies by a few per cent.
MAX_MEMORY_GROWTH = 1.1
# Processor time a message, against another version without an observer.
MAX_SLOWDOWN = 1.1

Report = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        messages: how many.
        batch: the consumer's option.
        concurrency: the consumer's option.
        observer: whether the consumer counts for Prometheus, in files as `fota consume` has it do.
        against: another checkout, measured in turn with this one, without an observer; None: none.
        rounds: how often each is measured.
    """

    messages: int
    batch: int
    concurrency: int
    observer: bool
    against: Path | None
    rounds: int


@dataclass(frozen=True)
class Contender:
    """A version of the consumer library: its name, its checkout, and whether it counts for Prometheus."""

    name: str
    checkout: Path
    observer: bool


def run(options: Options) -> None:
    """Fills a real Redis (append-only file, fsync always), consumes everything, prints the figures.

    Raises:
        BenchError: a message is missing or out of order, the consumer was slow or its memory grew, or it
            takes more processor time than the other version.
    """
    contenders = [Contender("ours", ROOT, options.observer)]
    if options.against:
        contenders.append(Contender("against", options.against.resolve(), observer=False))
    found: dict[str, list[Report]] = {contender.name: [] for contender in contenders}
    with (
        tempfile.TemporaryDirectory(prefix="fota-") as folder,
        redis_process.running(Path(folder)) as url,
        redis.Redis.from_url(url) as client,
    ):
        began = time.monotonic()
        size = _fill(client, options.messages)
        took_s = time.monotonic() - began
        click.echo(f"{options.messages} messages of {size} bytes, in {took_s:.0f} s")
        for number in range(options.rounds):
            # Neither is always the first of a round.
            for contender in contenders[:: 1 if number % 2 else -1]:
                group = f"{contender.name}-{number}"
                reports = consume(url, options, contender, group)
                _check_group(client, group)
                _check(reports)
                found[contender.name].append(reports[-1])
    _compare(found)


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


def consume(url: str, options: Options, contender: Contender, group: str) -> list[Report]:
    """Runs the consumer; returns its reports at a tenth, at half and at the end."""
    click.echo(f"{contender.name}{', counting for Prometheus' if contender.observer else ''}:")
    numbers = (options.messages, options.batch, options.concurrency)
    observer = "prometheus" if contender.observer else "none"
    child = ROOT / "bench" / "consumer_child.py"
    # -P: the modules beside the child stand in nobody's way.
    words = [sys.executable, "-P", str(child), url, *map(str, numbers), group, observer]
    reports = []
    with tempfile.TemporaryDirectory(prefix="fota-") as counts:
        environ = {**os.environ, "PYTHONPATH": str(contender.checkout)}
        if contender.observer:
            environ["PROMETHEUS_MULTIPROC_DIR"] = counts
        with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                report = json.loads(line)
                reports.append(report)
                click.echo(
                    f"{report['handled']:>9} handled  {report['per_s']:>7.0f} /s  {report['cpu_us']:5.1f} µs of CPU each  "
                    f"{report['rss'] / 2**20:6.1f} MiB  out of order: {report['disorder']}"
                )
    if process.returncode or not reports:
        raise BenchError("the consumer failed")
    return reports


def _check(reports: list[Report]) -> None:
    growth = reports[-1]["rss"] / reports[0]["rss"]
    click.echo(f"{growth:.2f} times the memory of the first tenth; at most {MAX_MEMORY_GROWTH}")
    if reports[-1]["disorder"] or growth > MAX_MEMORY_GROWTH:
        raise BenchError("the consumer is out of order, or its memory grew")


def _check_group(client: "redis.Redis", group: str) -> None:
    pending: Any = client.xpending(STREAM, group)
    groups: Any = client.xinfo_groups(STREAM)
    [cursor] = [
        one["last-delivered-id"].decode() for one in groups if one["name"] == group.encode()
    ]
    unread: Any = client.xrange(STREAM, f"({cursor}", count=1)
    click.echo(f"pending: {pending['pending']}, unread: {len(unread)}")
    if pending["pending"] or unread:
        raise BenchError("messages are pending or unread")


def _compare(found: dict[str, list[Report]]) -> None:
    """Prints the medians, and compares the two versions by processor time, which other processes disturb least."""
    cpu_us, per_s = {}, {}
    for name, reports in found.items():
        cpu_us[name] = statistics.median(report["cpu_us"] for report in reports)
        per_s[name] = statistics.median(report["per_s"] for report in reports)
        click.echo(f"{name}: median {per_s[name]:.0f} /s, {cpu_us[name]:.1f} µs of CPU each")
    if "against" in cpu_us:
        slowdown = cpu_us["ours"] / cpu_us["against"]
        click.echo(f"{slowdown:.2f} times the processor time; at most {MAX_SLOWDOWN}")
        if slowdown > MAX_SLOWDOWN:
            raise BenchError("the consumer takes more processor time than the other version")
    if per_s["ours"] < MIN_PER_S:
        raise BenchError(f"the consumer is slow: at least {MIN_PER_S} /s are expected")
