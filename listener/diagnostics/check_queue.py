"""Checks that consumer groups read the queue, and what they and refusals left behind."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from listener.diagnostics.finding import Finding, ok, warning
from listener.inspection import dead_letters
from listener.inspection.consumer_groups import GroupStats
from listener.inspection.queue_view import QueueView
from listener.queue.keys import Partition
from listener.text import counted
from listener.times import entry_age_s, format_duration

# Beyond these an operator should look. No part of the service acts on them.
MAX_LAG = 1_000
MAX_IDLE_S = 300
MAX_PENDING_S = 3600


def findings(view: QueueView, now: datetime, *, search: bool) -> Iterator[Finding]:
    """Raises redis.RedisError.

    Args:
        view: the queue.
        now: by Redis's clock.
        search: search all keys of the database for dead letters of destroyed groups as well.
    """
    for partition in view.partitions:
        yield from _stream(view, partition, now)
    yield from _dead_letters(view, search=search)
    yield _quarantine(view)


def _stream(view: QueueView, partition: Partition, now: datetime) -> Iterator[Finding]:
    topic = f"partition {partition.number}"
    stream = next((it for it in view.streams if it.partition == partition.number), None)
    if stream is None:
        yield ok(topic, "no stream yet: nothing was received, and no consumer group was made")
        return
    oldest = (
        f", the oldest {format_duration(entry_age_s(stream.oldest, now))} old"
        if stream.oldest
        else ""
    )
    yield ok(topic, f"{counted(stream.entries, 'message')}{oldest}")
    groups = [group for group in view.groups if group.partition == partition.number]
    if not groups:
        yield warning(
            topic,
            "no consumer group: nobody reads the messages, and none are trimmed",
            f"start a consumer, or XGROUP CREATE '{partition.messages}' GROUP 0 (not $)",
        )
    for group in groups:
        yield _group(group)


def _group(group: GroupStats) -> Finding:
    topic = f"group {group.name}"
    state = (
        f"partition {group.partition}: lag {group.lag}, {group.pending} pending, "
        f"{counted(group.consumers, 'consumer')}"
    )
    if problem := _problem(group):
        text, advice = problem
        return warning(topic, f"{state}; {text}", advice)
    return ok(topic, state)


def _problem(group: GroupStats) -> tuple[str, str] | None:
    """Why a group's messages are not handled, and what to do; None if they are."""
    waiting = bool(group.lag.entries or group.pending)
    idle_s = (group.idle_ms or 0) / 1000
    untouched_s = (group.oldest_pending_idle_ms or 0) / 1000
    drop = (
        f"start its consumers; if it is no longer used: python -m listener group drop {group.name}"
    )
    if waiting and not group.consumers:
        return "nobody reads it", drop
    if waiting and idle_s > MAX_IDLE_S:
        return f"its consumers were last active {format_duration(idle_s)} ago", drop
    if group.lag.entries > MAX_LAG:
        return "it lags far behind", "add consumers, or see why the handlers are slow"
    if untouched_s > MAX_PENDING_S:
        return (
            f"its oldest pending message was last touched {format_duration(untouched_s)} ago",
            f"python -m listener pending --group {group.name}",
        )
    return None


def _dead_letters(view: QueueView, *, search: bool) -> Iterator[Finding]:
    letters = Counter[str]()
    for group in view.groups:
        letters[group.name] += group.dead
    if search:
        for name in dead_letters.groups_with_dead_letters(view.client, view.partitions):
            keys = [partition.dead(name) for partition in view.partitions]
            letters[name] = sum(view.client.xlen(key) for key in keys)
    counts = {name: count for name, count in sorted(letters.items()) if count}
    for name, count in counts.items():
        yield warning(
            "dead letters",
            f"group {name} gave up on {counted(count, 'message')}",
            f"python -m listener dead list --group {name}; then dead requeue or dead drop",
        )
    if not counts:
        yield ok("dead letters", "none")


def _quarantine(view: QueueView) -> Finding:
    count = view.client.xlen(view.partitions[0].quarantine)
    if count:
        return warning(
            "quarantine",
            f"{counted(count, 'message')} refused although the sender proved itself",
            "python -m listener quarantine list; then quarantine replay or quarantine drop",
        )
    return ok("quarantine", "empty")
