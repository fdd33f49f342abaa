"""`stats`: prints the size and the arrival rates of each partition, and the lag of consumer groups."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import click

from listener.cli import click_options, command_group, queue_access
from listener.cli.render.tables import Table
from listener.inspection.consumer_groups import GroupStats
from listener.inspection.queue_view import QueueView
from listener.inspection.streams import ArrivalRate, StreamStats, arrival_rates
from listener.text import json_line
from listener.times import entry_age_s, format_duration

WINDOWS_S = (300, 3600)
DAY_S = 86_400


@dataclass(frozen=True)
class QueueStats:
    """The queue at one moment, by Redis's clock."""

    namespace: str
    now: datetime
    streams: Sequence[tuple[StreamStats, list[ArrivalRate]]]
    groups: Sequence[GroupStats]


@click.command(
    epilog="Example: python -m listener stats --watch 5",
)
@click.option(
    "--watch", type=click.FloatRange(0.1, DAY_S), metavar="SECONDS", help="Look again and again."
)
@click_options.as_json
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
    with queue_access.open_queue() as queue:
        try:
            if as_json:
                queue_access.warn_no_stream(queue)
                _print_json(_readings(queue, watch))
            else:
                _print_tables(_readings(queue, watch), live=watch is not None)
        except KeyboardInterrupt:
            # Ctrl-C ends --watch regularly, also while the reader of the output has stopped reading.
            command_group.discard_output()


def _read(queue: QueueView) -> QueueStats:
    """The current figures. Raises redis.RedisError."""
    # A view keeps what it has read.
    current, now = replace(queue), queue.now()
    now_ms = int(now.timestamp() * 1000)
    rates = (
        arrival_rates(queue.client, queue.partitions[stream.partition], now_ms, WINDOWS_S)
        for stream in current.streams
    )
    groups = sorted(current.groups, key=lambda group: (group.name, group.partition))
    streams = list(zip(current.streams, rates, strict=True))
    return QueueStats(queue.settings.namespace, now, streams, groups)


def _readings(queue: QueueView, watch: float | None) -> Iterator[QueueStats]:
    """Yields the current figures; with `watch` new ones every `watch` seconds, without end."""
    yield _read(queue)
    while watch is not None:
        time.sleep(watch)
        yield _read(queue)


def _print_json(readings: Iterator[QueueStats]) -> None:
    for stats in readings:
        for stream, rates in stats.streams:
            click.echo(json_line(_stream_data(stream, rates, stats.now)))
        for group in stats.groups:
            click.echo(json_line(_group_data(group, stats.now)))


def _print_tables(readings: Iterator[QueueStats], *, live: bool) -> None:
    from listener.cli.render import screen  # noqa: PLC0415 (see there)

    tables = map(_tables, readings)
    if live:
        screen.print_live(tables)
    else:
        screen.print_parts(next(tables))


def _stream_data(
    stream: StreamStats, rates: Sequence[ArrivalRate], now: datetime
) -> dict[str, Any]:
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


def _group_data(group: GroupStats, now: datetime) -> dict[str, Any]:
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


def _tables(stats: QueueStats) -> list[Table | str]:
    if not stats.streams:
        return [queue_access.no_stream_in(stats.namespace)]
    no_group = "There is no consumer group: nobody reads the queue."
    return [_stream_table(stats), "", _group_table(stats) if stats.groups else no_group]


def _stream_table(stats: QueueStats) -> Table:
    table = Table(
        ("partition", "messages", "oldest", "newest", "per min, 5 min", "per min, 1 h"),
        right_aligned=("partition", "messages", "per min, 5 min", "per min, 1 h"),
    )  # fmt: skip
    for stream, rates in stats.streams:
        ages = (_ago(entry_id, stats.now) for entry_id in (stream.oldest, stream.newest))
        per_minute = (_rate(rate, window) for rate, window in zip(rates, WINDOWS_S, strict=True))
        table.add_row(stream.partition, stream.entries, *ages, *per_minute)
    return table


def _group_table(stats: QueueStats) -> Table:
    table = Table(
        ("group", "partition", "lag", "pending", "oldest", "untouched", "consumers", "seen", "dead"),
        right_aligned=("partition", "lag", "pending", "consumers", "dead"),
    )  # fmt: skip
    for group in stats.groups:
        oldest = group.oldest_pending
        table.add_row(
            group.name,
            group.partition,
            group.lag,
            group.pending,
            format_duration(entry_age_s(oldest, stats.now) if oldest else None),
            format_duration(_seconds(group.oldest_pending_idle_ms)),
            group.consumers,
            format_duration(_seconds(group.idle_ms)),
            group.dead,
        )
    return table


def _ago(entry_id: str | None, now: datetime) -> str:
    return f"{format_duration(entry_age_s(entry_id, now))} ago" if entry_id else "-"


def _rate(rate: ArrivalRate, window_s: int) -> str:
    return f"{'~' if rate.seconds < window_s else ''}{rate.per_minute:.1f}"
