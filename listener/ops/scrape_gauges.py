"""The state of things, looked up when `/metrics` is asked for, whichever worker is asked."""

import sqlite3
from datetime import UTC, datetime

from listener import metrics
from listener.inspection.queue_view import QueueView, RedisFailedError, decoding_client
from listener.inspection.registrations import NO_MORE_LOGINS, read_registrations
from listener.ops.metrics_endpoint import Gauges
from listener.ops.status_page.snapshot import NAME, TIMEOUT_S
from listener.ops.version import version
from listener.settings.settings import Settings
from listener.spool.status import waiting
from listener.times import entry_age_s


def gauges(settings: Settings) -> Gauges:
    """The values of `metrics.SCRAPE_GAUGES`, as far as they can be found out now."""
    found = Gauges()
    told = version()
    found.set(metrics.BUILD, 1, str(told["version"]), str(told["commit"] or ""))
    _spool(found, settings)
    try:
        with decoding_client(settings.queue, timeout_s=TIMEOUT_S, name=NAME) as client:
            view = QueueView(settings.queue, client)
            _queue(found, view)
            _registrations(found, view)
        found.set(metrics.REDIS_UP, 1)
    except RedisFailedError:
        # The metric says so; the log of whoever needs Redis for a message says why.
        found.set(metrics.REDIS_UP, 0)
    return found


def _queue(found: Gauges, look: QueueView) -> None:
    now = look.now()
    kept = {stream.partition: stream for stream in look.streams}
    for where in look.partitions:
        stream, number = kept.get(where.number), str(where.number)
        found.set(metrics.QUEUE, stream.entries if stream else 0, number)
        if stream and stream.oldest:
            found.set(metrics.OLDEST, entry_age_s(stream.oldest, now), number)
    for group in look.groups:
        labels = (group.name, str(group.partition))
        found.set(metrics.LAG, group.lag.entries, *labels)
        found.set(metrics.PENDING, group.pending, *labels)
        found.set(metrics.DEAD, group.dead, *labels)
    found.set(metrics.QUARANTINED, look.client.xlen(look.partitions[0].quarantine))


def _registrations(found: Gauges, view: QueueView) -> None:
    seen = read_registrations(view.client, view.settings.namespace)
    for one in seen:
        slot = (one.account, one.version)
        if one.ours is not None:
            found.set(metrics.REGISTRATION, one.ours, *slot)
        if one.observed_at:
            found.set(metrics.OBSERVED, one.observed_at.timestamp(), *slot)
        if one.token_age_s is not None:
            found.set(metrics.TOKEN_AGE, one.token_age_s, *slot)
    if seen:
        found.set(metrics.BREAKER, any(one.reason in NO_MORE_LOGINS for one in seen))


def _spool(found: Gauges, settings: Settings) -> None:
    if settings.spool.folder is None:
        return
    found.set(metrics.SPOOL_LIMIT, settings.spool.max_bytes)
    try:
        held = waiting(settings.spool.folder, in_service=True)
    except (OSError, sqlite3.Error):
        # Missing is what the alert on it looks for.
        return
    found.set(metrics.CORRUPT_JOURNALS, len(held.corrupt))
    found.set(metrics.SPOOL_SET_ASIDE, held.set_aside)
    found.set(metrics.SPOOL, held.messages)
    found.set(metrics.SPOOL_BYTES, held.bytes)
    age = (datetime.now(UTC) - held.oldest).total_seconds() if held.oldest else 0
    found.set(metrics.SPOOL_OLDEST, max(age, 0))
