"""Reads all data of the status page once, from Redis, this host's spool and the checks, and caches it for 1.5 s."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock

from listener.callback.readiness_cache import Readiness
from listener.diagnostics.finding import Finding
from listener.diagnostics.run_checks import findings, redis_failed
from listener.errors import QueueUnavailableError
from listener.inspection.arrivals import ArrivalCounts, read_arrivals
from listener.inspection.consumer_groups import GroupStats
from listener.inspection.entries import newest_first
from listener.inspection.pages import Projection
from listener.inspection.quarantined_messages import QuarantinedMessage, newest_quarantined
from listener.inspection.queue_view import QueueView, RedisFailedError, translating_redis_errors
from listener.inspection.registrations import read_recovery, read_registrations
from listener.inspection.stream_entry import StreamEntry
from listener.inspection.streams import StreamStats
from listener.ops.queue_connection import open_queue_view
from listener.ops.status_page.upgrades import Upgrade, track_in_thread, worst_first
from listener.queue.queue import StoredIn
from listener.recovered.recovery_state import RecoveryState
from listener.registration_state import Observation
from listener.settings.settings import Settings
from listener.spool.contents import SpoolStatus, read_status

# Limits of what is read of the queue. The same processes make the page and receive messages, so a page
# that reads more would slow both in the middle of a campaign.
MAX_ENTRIES = 2000
MAX_DATA_CHARS = 2 * 2**20
# An entry with a longer value, such as a list of many devices, is counted and listed, but not parsed.
PROJECTION = Projection(max_value_bytes=2**18, max_bytes=2**19)
# What Redis reads, values that it does not return included.
MAX_SCANNED_BYTES = 16 * 2**20
# The rows of a table.
MAX_ROWS = 20
MAX_AGE_S = 1.5


@dataclass(frozen=True)
class Destination:
    """Where the next message would be stored; None: nowhere, and `problem` says why."""

    stored_in: StoredIn | None
    problem: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The service at one moment.

    Attributes:
        now: by Redis's clock if Redis answered.
        findings: all findings of the checks (`python -m listener check`).
        spool: the state of this host's spool; None: there is no spool, or it cannot be read.
        recovery: what ThingSpace's reports say of what came; None: no sweep has stored anything.
        redis_up: whether Redis answered; if not, all that is read from Redis is empty.
        host_time: the same moment by this host's clock, which the counts of arrivals go by.
        entries_read: from how many entries `upgrades` and `newest` are made.
        entries_too_large: how many of those were too large to be parsed.
        quarantine_length: how many messages are in the quarantine; `quarantined` are the newest of them.
    """

    now: datetime
    findings: Sequence[Finding]
    destination: Destination
    host_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    spool: SpoolStatus | None = None
    redis_up: bool = False
    registrations: Sequence[Observation] = ()
    recovery: RecoveryState | None = None
    streams: Sequence[StreamStats] = ()
    groups: Sequence[GroupStats] = ()
    arrivals: ArrivalCounts = field(default_factory=dict)
    upgrades: Sequence[Upgrade] = ()
    newest: Sequence[StreamEntry] = ()
    entries_read: int = 0
    entries_too_large: int = 0
    quarantine_length: int = 0
    quarantined: Sequence[QuarantinedMessage] = ()

    @property
    def problems(self) -> list[Finding]:
        """The findings that need attention, errors first."""
        problems = [finding for finding in self.findings if finding.level != "ok"]
        return sorted(problems, key=lambda finding: finding.level != "error")

    @property
    def queue_length(self) -> int:
        """The number of messages in the queue, read by consumers or not."""
        return sum(stream.entries for stream in self.streams)

    @property
    def dead_letters(self) -> int:
        """The number of dead letters of all groups."""
        return sum(group.dead for group in self.groups)


class CachedSnapshot:
    """Takes a snapshot at most every `MAX_AGE_S`, however many browsers show the page."""

    def __init__(
        self, settings: Settings, readiness: Readiness, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._readiness = readiness
        self._clock = clock
        self._lock = Lock()
        self._taken_at = -float("inf")
        self._snapshot: Snapshot | None = None

    def get(self) -> Snapshot:
        """The current snapshot. Never raises for a Redis that fails."""
        with self._lock:
            if self._snapshot is None or self._clock() - self._taken_at >= MAX_AGE_S:
                self._snapshot = take_snapshot(self._settings, self._readiness)
                self._taken_at = self._clock()
            return self._snapshot


def take_snapshot(settings: Settings, readiness: Readiness) -> Snapshot:
    """Runs the checks and reads the data. Never raises for a Redis that fails."""
    with open_queue_view(settings) as view:
        # The checks run first, because their sentence about a Redis that fails is the one to show. They do
        # not search all keys: Redis would be busy with it as long as the page is open somewhere.
        results = list(findings(settings, view, in_service=True))
        destination = _destination(readiness)
        try:
            with translating_redis_errors(settings.queue):
                return _read(settings, view, results, destination)
        except RedisFailedError as failure:
            if not any(
                finding.topic == "redis" and finding.level == "error" for finding in results
            ):
                results.append(redis_failed(settings, failure))
            return Snapshot(datetime.now(UTC), results, destination, spool=_spool(settings))


def _destination(readiness: Readiness) -> Destination:
    try:
        return Destination(readiness.check())
    except QueueUnavailableError as problem:
        return Destination(None, problem.detail or problem.reason)


def _spool(settings: Settings) -> SpoolStatus | None:
    if settings.spool.folder is None:
        return None
    try:
        return read_status(settings.spool.folder, in_service=True)
    except (OSError, sqlite3.Error):
        # The finding of the spool's check says what is wrong with it.
        return None


def _read(
    settings: Settings, view: QueueView, results: list[Finding], destination: Destination
) -> Snapshot:
    """A snapshot with all data. Raises redis.RedisError."""
    client, partitions, now = view.client, view.partitions, view.now()
    host_time = datetime.now(UTC)
    queue_length = sum(stream.entries for stream in view.streams)
    newest = _newest_entries(view)
    complete = len(newest) >= queue_length
    upgrades = track_in_thread(newest, complete=complete)
    return Snapshot(
        now=now,
        findings=results,
        destination=destination,
        host_time=host_time,
        spool=_spool(settings),
        redis_up=True,
        registrations=read_registrations(client, view.settings.namespace),
        recovery=read_recovery(client, view.settings.namespace),
        streams=view.streams,
        groups=sorted(view.groups, key=_urgency),
        arrivals=read_arrivals(client, partitions, host_time),
        upgrades=worst_first(upgrades[:MAX_ROWS]),
        newest=newest[:MAX_ROWS],
        entries_read=len(newest),
        entries_too_large=sum(bool(entry.cut) for entry in newest),
        quarantine_length=client.xlen(partitions[0].quarantine),
        quarantined=newest_quarantined(client, partitions[0], MAX_ROWS),
    )


def _newest_entries(view: QueueView) -> list[StreamEntry]:
    """The newest entries of all partitions within the limits, the newest first; at least one, if there is one."""
    entries: list[StreamEntry] = []
    chars = scanned = 0
    for entry in newest_first(view.client, view.partitions, projection=PROJECTION):
        entries.append(_without_cut_fields(entry))
        chars += len(entries[-1].fields.get("data", ""))
        scanned += sum(map(len, entry.fields.values())) + sum(entry.cut.values())
        if len(entries) >= MAX_ENTRIES or chars > MAX_DATA_CHARS or scanned >= MAX_SCANNED_BYTES:
            break
    return entries


def _without_cut_fields(entry: StreamEntry) -> StreamEntry:
    """Drops the beginnings of values that were too long: half a JSON text cannot be parsed."""
    if not entry.cut:
        return entry
    fields = {name: text for name, text in entry.fields.items() if name not in entry.cut}
    return replace(entry, fields=fields)


def _urgency(group: GroupStats) -> tuple[bool, int, str, int]:
    """The groups with dead letters first, then those that are further behind."""
    return (not group.dead, -group.lag.entries, group.name, group.partition)
