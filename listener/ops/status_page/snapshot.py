"""All that the status page shows, looked up once: what is, in Redis and on this host's disk."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock

from listener.callback.readiness import Readiness
from listener.diagnostics.finding import Finding
from listener.diagnostics.run_checks import findings, redis_failed
from listener.errors import QueueUnavailableError
from listener.inspection.arrivals import ArrivalCounts, read_arrivals
from listener.inspection.consumer_groups import GroupStats
from listener.inspection.pages import Projection, StreamEntry, pages
from listener.inspection.quarantined_messages import QuarantinedMessage, newest_quarantined
from listener.inspection.queue_view import (
    QueueView,
    RedisFailedError,
    translating_redis_errors,
)
from listener.inspection.registrations import RegistrationState, read_registrations
from listener.inspection.streams import StreamStats
from listener.ops.queue_connection import open_queue_view
from listener.ops.status_page.upgrades import Upgrade, upgrades
from listener.queue.keys import Partition
from listener.queue.queue import StoredIn
from listener.runtime.native_thread import NativeThread
from listener.settings.settings import Settings
from listener.spool.status import SpoolStatus, read_status

# More would make the page slow in the middle of a campaign, and messages with it: both are the work of
# the same processes. A list of many devices makes an entry long: one that is longer than `LONGEST` is
# counted and listed, and what is in it is not looked at.
ENTRIES_READ = 2000
LETTERS_READ = 2 * 2**20
LONGEST = 2**18
# What Redis reads for it, returned or not.
BYTES_READ = 16 * 2**20
PAGE_BYTES = 2**19
PARSING_S = 5.0
SHOWN = 20
FRESH_S = 1.5

_thread = NativeThread()


@dataclass(frozen=True)
class Kept:
    """Where a message would be kept now; None: nowhere, and `problem` says why."""

    by: StoredIn | None
    problem: str = ""


@dataclass(frozen=True)
class Overview:
    """The service at one moment, by Redis's clock where it answers.

    Attributes:
        findings: what the doctor says (`python -m listener check`), in full.
        spool: what is on this host's disk; None: there is no spool, or it cannot be read.
        redis: whether Redis answered; without it the rest is empty.
        counted_at: the same by this host's clock, which the counts of arrivals go by.
        read: of how many entries `upgrades` and `newest` tell.
        too_large: how many of those were too large to be looked into.
        refused: how many are in the quarantine; `quarantined` are the newest of them.
    """

    now: datetime
    findings: Sequence[Finding]
    kept: Kept
    counted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    spool: SpoolStatus | None = None
    redis: bool = False
    registrations: Sequence[RegistrationState] = ()
    streams: Sequence[StreamStats] = ()
    groups: Sequence[GroupStats] = ()
    arrivals: ArrivalCounts = field(default_factory=dict)
    upgrades: Sequence[Upgrade] = ()
    newest: Sequence[StreamEntry] = ()
    read: int = 0
    too_large: int = 0
    refused: int = 0
    quarantined: Sequence[QuarantinedMessage] = ()

    @property
    def problems(self) -> list[Finding]:
        """What somebody should look at, the worst first."""
        found = [finding for finding in self.findings if finding.level != "ok"]
        return sorted(found, key=lambda finding: finding.level != "error")

    @property
    def messages(self) -> int:
        """How many are in the queue, read or not."""
        return sum(stream.entries for stream in self.streams)

    @property
    def dead(self) -> int:
        """What groups gave up on."""
        return sum(group.dead for group in self.groups)


class Overviews:
    """Looks when asked, but not more often than every one and a half seconds, for all who ask."""

    def __init__(
        self, settings: Settings, readiness: Readiness, clock: Callable[[], float]
    ) -> None:
        """Connects to nothing yet; the clock counts monotonic seconds."""
        self._settings = settings
        self._readiness = readiness
        self._clock = clock
        self._lock = Lock()
        self._looked = -float("inf")
        self._seen: Overview | None = None

    def current(self) -> Overview:
        """How things are. Never raises for a Redis that fails."""
        with self._lock:
            if self._seen is None or self._clock() - self._looked >= FRESH_S:
                self._seen = overview(self._settings, self._readiness)
                self._looked = self._clock()
            return self._seen


def overview(settings: Settings, readiness: Readiness) -> Overview:
    """Looks once."""
    with open_queue_view(settings) as look:
        # Before anything else: the doctor's own words for a Redis that fails are the page's. It does not
        # search all keys: that would keep Redis busy for as long as anybody has the page open.
        found, kept = list(findings(settings, look, search=False)), _kept(readiness)
        try:
            with translating_redis_errors(settings.queue):
                return _in_redis(settings, look, found, kept)
        except RedisFailedError as failure:
            if not any(one.topic == "redis" and one.level == "error" for one in found):
                found.append(redis_failed(settings, failure))
            return Overview(datetime.now(UTC), found, kept, spool=_spool(settings))


def _spool(settings: Settings) -> SpoolStatus | None:
    if settings.spool.folder is None:
        return None
    try:
        return read_status(settings.spool.folder, in_service=True)
    except (OSError, sqlite3.Error):
        # The doctor says what is wrong with it.
        return None


def _kept(readiness: Readiness) -> Kept:
    try:
        return Kept(readiness.check())
    except QueueUnavailableError as problem:
        return Kept(None, problem.detail or problem.reason)


def _in_redis(settings: Settings, look: QueueView, findings: list[Finding], kept: Kept) -> Overview:
    client, partitions, now = look.client, look.partitions, look.now()
    counted_at = datetime.now(UTC)
    messages = sum(stream.entries for stream in look.streams)
    newest = _newest(look)
    complete = len(newest) >= messages
    # In a native thread, which gives way to the messages of this process every few milliseconds.
    found = _thread.run(lambda: upgrades(newest, complete=complete), PARSING_S)
    return Overview(
        now=now,
        findings=findings,
        kept=kept,
        counted_at=counted_at,
        spool=_spool(settings),
        redis=True,
        registrations=read_registrations(client, look.settings.namespace),
        streams=look.streams,
        groups=look.groups,
        arrivals=read_arrivals(client, partitions, counted_at),
        upgrades=found[:SHOWN],
        newest=newest[:SHOWN],
        read=len(newest),
        too_large=sum(bool(entry.cut) for entry in newest),
        refused=client.xlen(partitions[0].quarantine),
        quarantined=newest_quarantined(client, partitions[0], SHOWN),
    )


def _newest(look: QueueView) -> list[StreamEntry]:
    """The newest entries, the newest first: of each partition its share, one partition after the other."""
    found: list[StreamEntry] = []
    share = len(look.partitions)
    for where in look.partitions:
        found += _newest_of(look, where, share)
    return sorted(found, key=lambda entry: entry.order, reverse=True)


def _newest_of(look: QueueView, where: Partition, share: int) -> list[StreamEntry]:
    """Holds no more than its share, but for an entry of `LONGEST`. At least one entry, if there is one."""
    most = max(ENTRIES_READ // share, 1)
    projection = Projection(
        max_value_bytes=LONGEST, max_entries=most, max_bytes=min(PAGE_BYTES, BYTES_READ // share)
    )
    found: list[StreamEntry] = []
    letters = read = 0
    for page in pages(
        look.client,
        where.messages,
        "+",
        "-",
        projection=projection,
        newest_first=True,
        partition=where.number,
    ):
        read += page.bytes
        for entry in page.entries:
            found.append(_without_the_long(entry))
            letters += len(found[-1].fields.get("data", ""))
            if len(found) >= most or letters > LETTERS_READ // share:
                return found
        if read >= BYTES_READ // share:
            break
    return found


def _without_the_long(entry: StreamEntry) -> StreamEntry:
    """Without the beginnings of what was too long: half a JSON text says nothing."""
    if not entry.cut:
        return entry
    kept = {name: text for name, text in entry.fields.items() if name not in entry.cut}
    return replace(entry, fields=kept)
