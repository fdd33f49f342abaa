"""`stats`: how full the queue is, how fast it grows, and how far its consumer groups are."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click
from rich.console import Group as Together
from rich.live import Live
from rich.table import Table

from listener import text, times
from listener.cli import common, options
from listener.cli.render import tables
from listener.cli.render.tables import Screen
from listener.inspection import consumer_groups, streams
from listener.inspection.consumer_groups import Group
from listener.inspection.streams import Rate, Stream
from listener.inspection.view import View
from listener.times import entry_age_s, format_duration

WINDOWS_S = (300, 3600)
DAY_S = 86_400


@dataclass(frozen=True)
class Look:
    """The queue at one moment, by Redis's clock."""

    now: datetime
    streams: Sequence[tuple[Stream, list[Rate]]]
    groups: Sequence[Group]


@click.command(
    short_help="How full the queue is; how far groups are.",
    epilog="Example: python -m listener stats --watch 5",
)
@click.option(
    "--watch", type=click.FloatRange(0.1, DAY_S), metavar="SECONDS", help="Look again and again."
)
@options.as_json
def stats(*, watch: float | None, as_json: bool) -> None:
    """Show what each partition keeps, and what each consumer group has still to do.

    The rates are counted from the times in the entry ids of what is kept, at most the newest 5,000
    entries of a partition; where more arrived within the window, the rate is that of the time that
    those took, marked ~. Lag is what was not delivered yet: Redis's own figure or, where it gives
    none, counted up to 10,000. Oldest is the age of the oldest pending message, untouched for how
    long nobody was given it, seen how long ago the last consumer was.
    """
    if watch is not None and math.isnan(watch):
        raise click.BadParameter("must be a number", param_hint="--watch")
    with common.opened() as queue:
        try:
            if as_json:
                _print_json(queue, watch)
            else:
                _print_tables(queue, watch)
        except KeyboardInterrupt:
            # Ctrl-C is how one ends --watch, not a failure, also while nobody reads what it prints.
            common.discard_output()


def look(queue: View) -> Look:
    """Looks once. Raises redis.RedisError."""
    now = queue.now()
    now_ms = int(now.timestamp() * 1000)
    found = [
        (stream, streams.rates(queue.client, where, now_ms, WINDOWS_S))
        for where in queue.partitions
        if (stream := streams.look(queue.client, where))
    ]
    held = [
        one for where in queue.partitions for one in consumer_groups.groups(queue.client, where)
    ]
    return Look(now, found, sorted(held, key=lambda one: (one.name, one.partition)))


def _print_json(queue: View, watch: float | None) -> None:
    while True:
        seen = look(queue)
        for stream, rates in seen.streams:
            click.echo(text.json_line(stream_data(stream, rates, seen.now)))
        for group in seen.groups:
            click.echo(text.json_line(group_data(group, seen.now)))
        if watch is None:
            return
        time.sleep(watch)


def _print_tables(queue: View, watch: float | None) -> None:
    console = Screen()
    if watch is None or not console.is_terminal:
        while True:
            console.print(_tables(look(queue)))
            if watch is None:
                return
            time.sleep(watch)
    with Live(_tables(look(queue)), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(watch)
            live.update(_tables(look(queue)), refresh=True)


def stream_data(stream: Stream, rates: Sequence[Rate], now: datetime) -> dict[str, Any]:
    """One line of --json for a partition."""
    return {
        "what": "stream",
        "partition": stream.partition,
        "entries": stream.entries,
        "oldest": stream.oldest,
        "oldest_age_s": round(entry_age_s(stream.oldest, now), 3) if stream.oldest else None,
        "newest": stream.newest,
        "newest_age_s": round(entry_age_s(stream.newest, now), 3) if stream.newest else None,
        "rates": [
            {
                "window_s": window_s,
                "entries": rate.entries,
                "counted_s": round(rate.seconds, 3),
                "per_minute": round(rate.per_minute, 2),
            }
            for window_s, rate in zip(WINDOWS_S, rates, strict=True)
        ],
    }


def group_data(group: Group, now: datetime) -> dict[str, Any]:
    """One line of --json for a group in a partition."""
    oldest = group.oldest_pending
    return {
        "what": "group",
        "group": group.name,
        "partition": group.partition,
        "lag": group.lag.entries,
        "lag_exact": group.lag.exact,
        "pending": group.pending,
        "oldest_pending": oldest,
        "oldest_pending_age_s": round(entry_age_s(oldest, now), 3) if oldest else None,
        "oldest_pending_idle_s": _seconds(group.oldest_pending_idle_ms),
        "consumers": group.consumers,
        "last_active_s": _seconds(group.idle_ms),
        "dead": group.dead,
        "cursor": group.cursor,
    }


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _tables(seen: Look) -> Together | str:
    if not seen.streams:
        return "There is no stream yet: nothing was received, and no consumer group was made."
    nobody = "There is no consumer group: nobody reads the queue."
    return Together(_streams(seen), "", _groups(seen) if seen.groups else nobody)


def _streams(seen: Look) -> Table:
    made = tables.table(
        "partition", "messages", "oldest", "newest", "per min, 5 min", "per min, 1 h",
        right=("partition", "messages", "per min, 5 min", "per min, 1 h"),
    )  # fmt: skip
    for stream, rates in seen.streams:
        ages = (_ago(entry_id, seen.now) for entry_id in (stream.oldest, stream.newest))
        shown = (_rate(one, window) for one, window in zip(rates, WINDOWS_S, strict=True))
        tables.row(made, stream.partition, stream.entries, *ages, *shown)
    return made


def _groups(seen: Look) -> Table:
    made = tables.table(
        "group", "partition", "lag", "pending", "oldest", "untouched", "consumers",
        "seen", "dead", right=("partition", "lag", "pending", "consumers", "dead"),
    )  # fmt: skip
    for one in seen.groups:
        tables.row(
            made,
            one.name,
            one.partition,
            one.lag,
            one.pending,
            format_duration(entry_age_s(one.oldest_pending, seen.now))
            if one.oldest_pending
            else "-",
            format_duration(_seconds(one.oldest_pending_idle_ms)),
            one.consumers,
            format_duration(_seconds(one.idle_ms)),
            one.dead,
        )
    return made


def _ago(entry_id: str | None, now: datetime) -> str:
    return f"{times.format_duration(entry_age_s(entry_id, now))} ago" if entry_id else "-"


def _rate(rate: Rate, window_s: int) -> str:
    return f"{'~' if rate.seconds < window_s else ''}{rate.per_minute:.1f}"
