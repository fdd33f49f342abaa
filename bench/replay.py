"""How fast a consumer group that was set back to the beginning reads, in a short queue and in a long one."""

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import click

from bench import consumer
from bench.errors import BenchError
from bench.rig import full_queue, store
from bench.rig.environment import ROOT
from bench.rig.store import Store, stream_key

GROUP = "replayed"
# Messages a second in the long queue over those in the short one.
MIN_RATIO = 0.9
# `fota replay` looks at the queue, and may not take longer the longer it is.
MAX_COMMAND_S = 2.0


@dataclass(frozen=True)
class Options:
    """The entries of the long queue, and its other groups; how many messages are read again, and how often."""

    entries: int
    groups: int
    messages: int
    rounds: int


def run(options: Options) -> None:
    """Fills two queues on a real Redis each, sets a group back in turn, and prints the figures.

    Raises:
        BenchError: a figure misses its bound, or the group did not get the messages again.
    """
    rates: dict[str, list[float]] = {"short": [], "long": []}
    with store.running("everysec") as short, store.running("everysec") as long:
        for queue, entries in ((short, options.messages), (long, options.entries)):
            full_queue.fill(queue, entries, options.groups)
            queue.client.xgroup_create(stream_key(0), GROUP, id="$")
        for _ in range(options.rounds):
            for name, queue in (("short", short), ("long", long)):
                rates[name].append(_replay(name, queue, options.messages))
    median = {name: statistics.median(each) for name, each in rates.items()}
    ratio = median["long"] / median["short"]
    for name, rate in median.items():
        click.echo(f"{name} queue: {rate:,.0f} messages a second, median")
    click.echo(f"long over short: {ratio:.2f}; at least {MIN_RATIO}")
    if ratio < MIN_RATIO:
        raise BenchError("replaying a long queue is slower than replaying a short one")


def _replay(name: str, queue: Store, messages: int) -> float:
    """Sets the group back, and has a consumer read; returns the messages a second."""
    began = time.monotonic()
    words = ("-m", "listener", "replay", "--group", GROUP, "--from", "start", "--yes")
    environ = {**os.environ, "REDIS_URL": queue.url}
    subprocess.run(
        [sys.executable, *words], env=environ, cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    took_s = time.monotonic() - began
    click.echo(f"{name} queue: the command took {took_s:.2f} s; at most {MAX_COMMAND_S}")
    if took_s > MAX_COMMAND_S:
        raise BenchError("the command replay takes long")
    options = consumer.Options(messages, 100, 1, observer=False, against=None, rounds=1)
    contender = consumer.Contender(name, ROOT, observer=False)
    report = consumer.consume(queue.url, options, contender, GROUP)[-1]
    if report["disorder"]:
        raise BenchError("the group did not get the messages in order from the first one on")
    return float(report["per_s"])
