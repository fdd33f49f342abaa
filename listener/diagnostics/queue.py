"""Is the queue read, and what was left behind?"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import redis

from listener.diagnostics.finding import Finding, ok, warning
from listener.inspection import dead_letters
from listener.inspection.consumer_groups import Group
from listener.inspection.view import View
from listener.queue.keys import Partition
from listener.text import counted
from listener.times import entry_age_s, format_duration

# From here on somebody should look. They are for people: no part of the service acts on them.
MUCH_LAG = 1_000
LONG_IDLE_S = 300
LONG_PENDING_S = 3600


def findings(look: View, now: datetime, *, search: bool) -> Iterator[Finding]:
    """Raises redis.RedisError.

    Args:
        look: the queue.
        now: by Redis's clock.
        search: look for dead letters of destroyed groups as well, among all keys of the database.
    """
    for where in look.partitions:
        yield from _stream(look, where, now)
    yield from _dead(look, search=search)
    yield _quarantine(look.client, look.partitions[0])


def _stream(look: View, where: Partition, now: datetime) -> Iterator[Finding]:
    topic = f"partition {where.number}"
    stream = next((one for one in look.streams if one.partition == where.number), None)
    if stream is None:
        yield ok(topic, "no stream yet: nothing was received, and no consumer group was made")
        return
    oldest = (
        f", the oldest {format_duration(entry_age_s(stream.oldest, now))} old"
        if stream.oldest
        else ""
    )
    yield ok(topic, f"{counted(stream.entries, 'message')}{oldest}")
    found = [group for group in look.groups if group.partition == where.number]
    if not found:
        yield warning(
            topic,
            "no consumer group: nobody reads the messages, and none are trimmed",
            f"start a consumer, or XGROUP CREATE '{where.messages}' GROUP 0 (not $)",
        )
    for group in found:
        yield _group(group)


def _group(group: Group) -> Finding:
    topic = f"group {group.name}"
    told = (
        f"partition {group.partition}: lag {group.lag}, {group.pending} pending, "
        f"{counted(group.consumers, 'consumer')}"
    )
    if problem := _why_not_read(group):
        text, advice = problem
        return warning(topic, f"{told}; {text}", advice)
    return ok(topic, told)


def _why_not_read(group: Group) -> tuple[str, str] | None:
    """What is wrong with a group, and what to do."""
    waiting = bool(group.lag.entries or group.pending)
    idle_s = (group.idle_ms or 0) / 1000
    untouched_s = (group.oldest_pending_idle_ms or 0) / 1000
    destroy = "start its consumers, or destroy the group (XGROUP DESTROY) if it is no longer used"
    if waiting and not group.consumers:
        return "nobody reads it", destroy
    if waiting and idle_s > LONG_IDLE_S:
        return f"its consumers were last active {format_duration(idle_s)} ago", destroy
    if group.lag.entries > MUCH_LAG:
        return "it lags far behind", "add consumers, or see why the handlers are slow"
    if untouched_s > LONG_PENDING_S:
        return (
            f"its oldest pending message was last touched {format_duration(untouched_s)} ago",
            f"python -m listener pending --group {group.name}",
        )
    return None


def _dead(look: View, *, search: bool) -> Iterator[Finding]:
    left = Counter[str]()
    for group in look.groups:
        left[group.name] += group.dead
    if search:
        for name in dead_letters.groups_with_letters(look.client, look.partitions):
            left[name] = sum(look.client.xlen(where.dead(name)) for where in look.partitions)
    found = {name: count for name, count in sorted(left.items()) if count}
    for name, count in found.items():
        yield warning(
            "dead letters",
            f"group {name} gave up on {counted(count, 'message')}",
            f"python -m listener dead list --group {name}; then dead requeue or dead drop",
        )
    if not found:
        yield ok("dead letters", "none")


def _quarantine(client: "redis.Redis", where: Partition) -> Finding:
    count = client.xlen(where.quarantine)
    if count:
        return warning(
            "quarantine",
            f"{counted(count, 'message')} refused although the sender proved itself",
            "python -m listener quarantine list; then quarantine replay or quarantine drop",
        )
    return ok("quarantine", "empty")
