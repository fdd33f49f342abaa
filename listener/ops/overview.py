"""All that the status page shows, looked up once: what is, in Redis and on this host's disk."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from threading import Lock

import redis

from listener.doctor.examination import findings, unreachable
from listener.doctor.findings import Finding
from listener.errors import QueueUnavailableError
from listener.health import Readiness
from listener.ops.upgrades import Upgrade, upgrades
from listener.queue import arrivals, quarantine
from listener.queue.arrivals import Counts
from listener.queue.groups import Group
from listener.queue.keeper import KeptBy
from listener.queue.quarantine import Refused
from listener.queue.reader import Entry, newest_first
from listener.queue.registrations import Registration, registrations
from listener.queue.streams import Stream
from listener.queue.view import View, connected
from listener.queue.waiting import Waiting, waiting
from listener.settings import Settings

# More would make the page slow in the middle of a campaign, and messages with it: both are the work of
# the same processes. A list of many devices makes an entry long.
ENTRIES_READ = 2000
LETTERS_READ = 4 * 2**20
SHOWN = 20
FRESH_S = 1.5
# A page that waits for Redis would not say soon that Redis hangs.
TIMEOUT_S = 0.5
NAME = "fota-ops"


@dataclass(frozen=True)
class Kept:
    """Where a message would be kept now; None: nowhere, and `problem` says why."""

    by: KeptBy | None
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
        refused: how many are in the quarantine; `quarantined` are the newest of them.
    """

    now: datetime
    findings: Sequence[Finding]
    kept: Kept
    counted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    spool: Waiting | None = None
    redis: bool = False
    registrations: Sequence[Registration] = ()
    streams: Sequence[Stream] = ()
    groups: Sequence[Group] = ()
    arrivals: Counts = field(default_factory=dict)
    upgrades: Sequence[Upgrade] = ()
    newest: Sequence[Entry] = ()
    read: int = 0
    refused: int = 0
    quarantined: Sequence[Refused] = ()

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
    with connected(settings, timeout_s=TIMEOUT_S, name=NAME) as client:
        look = View(settings, client)
        # Before anything else: the doctor's own words for a Redis that fails are the page's. It does not
        # search all keys: that would keep Redis busy for as long as anybody has the page open.
        found, kept = list(findings(look, search=False)), _kept(readiness)
        try:
            return _in_redis(look, found, kept)
        except redis.RedisError as failure:
            if not any(one.topic == "redis" and one.level == "error" for one in found):
                found.append(unreachable(look, failure))
            return Overview(datetime.now(UTC), found, kept, spool=_spool(settings))


def _spool(settings: Settings) -> Waiting | None:
    if settings.spool_dir is None:
        return None
    try:
        return waiting(settings.spool_dir, in_service=True)
    except (OSError, sqlite3.Error):
        # The doctor says what is wrong with it.
        return None


def _kept(readiness: Readiness) -> Kept:
    try:
        return Kept(readiness.check())
    except QueueUnavailableError as problem:
        return Kept(None, problem.detail or problem.reason)


def _in_redis(look: View, findings: list[Finding], kept: Kept) -> Overview:
    client, partitions, now = look.client, look.partitions, look.now()
    counted_at = datetime.now(UTC)
    messages = sum(stream.entries for stream in look.streams)
    newest = _newest(look)
    return Overview(
        now=now,
        findings=findings,
        kept=kept,
        counted_at=counted_at,
        spool=_spool(look.settings),
        redis=True,
        registrations=registrations(client, look.settings.queue_namespace),
        streams=look.streams,
        groups=look.groups,
        arrivals=arrivals.read(client, partitions, counted_at),
        upgrades=upgrades(newest, all_there=len(newest) >= messages)[:SHOWN],
        newest=newest[:SHOWN],
        read=len(newest),
        refused=client.xlen(partitions[0].quarantine),
        quarantined=quarantine.newest(client, partitions[0], SHOWN),
    )


def _newest(look: View) -> list[Entry]:
    found: list[Entry] = []
    letters = 0
    for entry in islice(newest_first(look.client, look.partitions), ENTRIES_READ):
        found.append(entry)
        letters += len(entry.fields.get("data", ""))
        if letters > LETTERS_READ:
            break
    return found
