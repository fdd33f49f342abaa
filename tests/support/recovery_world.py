"""A small world for the recovery: ThingSpace, its campaigns, what is lost on the way, our streams and several replicas.

Time is a number. Everything random comes from one `random.Random`, so that hypothesis can shrink what it finds.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from listener.recovered.recovery_state import Report
from registrar.errors import UnavailableError
from registrar.http.reply import Reply
from registrar.model import Slot
from registrar.recovery.judging.look import EvidenceReader, Looker
from registrar.recovery.judging.recoverer import Recoverer
from registrar.recovery.records.slot_record import SlotRecord
from registrar.recovery.records.upgrade_record import Finding, UpgradeRecord, Verdict
from registrar.recovery.sweep import SlotSweep
from registrar.recovery.sweep_tools import Tools
from registrar.thingspace.requests import Call
from registrar.turn import Turn

T = TypeVar("T")

ACCOUNT = "0242078689-00001"
MINUTE = 60_000
DAY = 24 * 60 * MINUTE
DISTANCE = {"v1": DAY, "v2": 15 * MINUTE, "v3": 15 * MINUTE}
SCHEDULED, STARTED, FINISHED = "upgrade-scheduled", "upgrade-started", "upgrade-finished"

# The life of an upgrade: each state, and the message that entering it raises. Written down a second time, on purpose.
LIVES: Mapping[str, Sequence[Sequence[tuple[str, str]]]] = {
    "v1": (
        (
            ("RequestPending", ""),
            ("Queued", SCHEDULED),
            ("InProgress", STARTED),
            ("Finished", FINISHED),
        ),
        (("RequestPending", ""), ("RequestFailed", "")),
        (("RequestPending", ""), ("Queued", SCHEDULED), ("UpgradeFailed", "")),
    ),
    "v2": (
        (
            ("CampaignRequestPending", ""),
            ("CampaignScheduled", SCHEDULED),
            ("CampaignEnded", FINISHED),
        ),
        (("CampaignRequestPending", ""), ("CampaignRequestFailed", "")),
        (
            ("CampaignRequestPending", ""),
            ("CampaignScheduled", SCHEDULED),
            ("CampaignCancelled", ""),
        ),
    ),
    "v3": (
        (
            ("CampaignRequestPending", ""),
            ("CampaignPreScheduled", ""),
            ("CampaignScheduled", SCHEDULED),
            ("CampaignEnded", FINISHED),
        ),
        (("CampaignRequestPending", ""), ("CampaignAborted", "")),
    ),
}
UNLISTED = frozenset({"CampaignPreScheduled"})
# What the states prove.
PROVES: Mapping[str, frozenset[str]] = {
    "Queued": frozenset({SCHEDULED}),
    "InProgress": frozenset({SCHEDULED, STARTED}),
    "Finished": frozenset({SCHEDULED, STARTED, FINISHED}),
    "CampaignScheduled": frozenset({SCHEDULED}),
    "CampaignEnded": frozenset({SCHEDULED, FINISHED}),
}


@dataclass
class Upgrade:
    """One upgrade as it really is.

    Attributes:
        life: its states, in order; `place` is the present one.
        devices: by id, the state that ThingSpace reports.
        shown: since when which state is shown by the reports, which may be late.
    """

    upgrade_id: str
    life: Sequence[tuple[str, str]]
    devices: dict[str, str]
    shown: list[tuple[int, int]]
    place: int = 0

    def status(self, now: int) -> str:
        """What a report says now."""
        return self.life[[place for at, place in self.shown if at <= now][-1]][0]


@dataclass(frozen=True)
class Callback:
    """A message that ThingSpace sent, whether it came or not."""

    upgrade_id: str
    kind: str
    device: str | None
    sent: int


class MemoryStore:
    """What the replicas share; as `RedisRecoveryStore`, through the same JSON."""

    def __init__(self) -> None:
        self._slots: dict[Slot, str] = {}
        self._upgrades: dict[str, str] = {}

    def slot(self, slot: Slot) -> SlotRecord:
        return SlotRecord.from_json(self._slots.get(slot))

    def upgrades(self, slot: Slot, ids: Sequence[str]) -> dict[str, UpgradeRecord]:
        return {each: record for each, record in self.all_upgrades(slot) if each in ids}

    def all_upgrades(self, slot: Slot) -> Iterator[tuple[str, UpgradeRecord]]:
        del slot
        for upgrade_id, text in list(self._upgrades.items()):
            record = UpgradeRecord.from_json(text)
            assert record is not None, text
            yield upgrade_id, record

    def save(
        self,
        slot: Slot,
        record: SlotRecord,
        upgrades: Mapping[str, UpgradeRecord | None],
        fencing_token: int,
    ) -> None:
        del fencing_token
        self._slots[slot] = record.to_json()
        self._upgrades |= {each: one.to_json() for each, one in upgrades.items() if one}


@dataclass
class World:
    """Campaigns of one account and version, and one receiver of their messages.

    Attributes:
        random: decides everything.
        names_devices: whether messages name devices, so that there is one for each device.
        sent: every message.
        arrived: those that came, sooner or later.
        spool: those that came and wait.
        stream: those in Redis, with the time of their arrival; `indexed` of them are read.
        recovered: what was put into the queue.
        evidence: what the index knows, by upgrade.
        complete_since: what arrived before was trimmed before it was read; 0: nothing was.
        store: what the replicas share.
        trace: what happened, for whoever reads a failed test.
        index_is_slow: whether a sweep may not read the stream to its end.
        baseline: when the first complete sweep ended, or the first after a long pause.
        baseline_began: when it began.
    """

    random: Random
    version: str
    names_devices: bool
    now: int = 1_800_000_000_000
    upgrades: dict[str, Upgrade] = field(default_factory=dict)
    sent: list[Callback] = field(default_factory=list)
    arrived: set[tuple[str, str, str | None]] = field(default_factory=set)
    spool: list[Callback] = field(default_factory=list)
    late: list[tuple[int, Callback]] = field(default_factory=list)
    stream: list[tuple[int, Callback, bool]] = field(default_factory=list)
    indexed: int = 0
    evidence: dict[str, set[tuple[str, str | None]]] = field(default_factory=dict)
    complete_since: int = 0
    recovered: list[tuple[str, str, str | None]] = field(default_factory=list)
    store: MemoryStore = field(default_factory=MemoryStore)
    trace: list[str] = field(default_factory=list)
    has_unknown_kinds: bool = False
    baseline: int = 0
    baseline_began: int = 0
    index_is_slow: bool = False

    # What happens.

    def new_upgrade(self) -> None:
        """Somebody asks for an upgrade of one to three devices."""
        number = len(self.upgrades)
        upgrade_id = f"60b5d639-ccdc-4db8-8824-{number:012d}"
        life = self.random.choice(LIVES[self.version])
        devices = {
            f"{99001390000000 + number}{each}": "" for each in range(self.random.randint(1, 3))
        }
        self.upgrades[upgrade_id] = Upgrade(upgrade_id, life, devices, [(self.now, 0)])

    def move_on(self) -> None:
        """An upgrade enters its next state, and its messages are sent; a report may say so a good while later."""
        going = [one for one in self.upgrades.values() if one.place + 1 < len(one.life)]
        if not going:
            return
        one = self.random.choice(going)
        one.place += 1
        lag = self.random.choice((0, 0, 20 * 60 * MINUTE)) if self.version == "v1" else 0
        one.shown.append((max(self.now + lag, one.shown[-1][0]), one.place))
        kind = one.life[one.place][1]
        if self.version == "v3" and kind == FINISHED:
            # No state says so, but there is a message for it.
            self.send_all(one, STARTED)
        if kind == FINISHED:
            for device in one.devices:
                one.devices[device] = self.random.choice(("UpgradeSuccess", "UpgradeFailed"))
        if kind:
            self.send_all(one, kind)

    def send_all(self, one: Upgrade, kind: str) -> None:
        """One message, or one for each device."""
        is_per_device = self.names_devices and kind != SCHEDULED
        for device in one.devices if is_per_device else (None,):
            self.send(Callback(one.upgrade_id, kind, device, self.now))

    def send(self, callback: Callback) -> None:
        """It arrives, in Redis or in the spool, at once or minutes later; or it is lost."""
        self.sent.append(callback)
        self.trace.append(f"{self.now} {callback}")
        fate = self.random.choice(("redis", "redis", "late", "late", "spool", "lost", "lost"))
        if fate == "lost":
            return
        self.arrived.add((callback.upgrade_id, callback.kind, callback.device))
        if fate == "spool":
            self.spool.append(callback)
        elif fate == "late":
            self.late.append((self.now + self.random.randint(1, 9) * MINUTE, callback))
        else:
            self._add(callback)

    def _add(self, callback: Callback) -> None:
        is_unknown = self.version != "v1" and self.random.random() < 0.1
        self.has_unknown_kinds |= is_unknown
        self.stream.append((self.now, callback, is_unknown))

    def drain(self) -> None:
        """The spool is moved to Redis."""
        for callback in self.spool:
            self._add(callback)
        self.spool.clear()

    def wait(self, milliseconds: int) -> None:
        """Time passes; what was under way arrives."""
        until = self.now + milliseconds
        for at, callback in sorted(self.late, key=lambda item: item[0]):
            if at <= until:
                self.now = max(self.now, at)
                self._add(callback)
                self.late.remove((at, callback))
        self.now = until

    def trim(self) -> None:
        """The older part of the stream is trimmed, read or not."""
        count = self.random.randint(0, len(self.stream))
        if count > self.indexed:
            self.complete_since = self.stream[count - 1][0] + 1
        self.stream = self.stream[count:]
        self.indexed = max(self.indexed - count, 0)

    def sweep(self, *, crash_after: int | None = None) -> bool:
        """A replica sweeps, and may be killed after some calls; whether it came to its end."""
        evidence, recoverer = EvidenceReader(Index(self)), Recoverer(Queue(self))
        tools = Tools(
            store=self.store,
            client=FakeClient(self, crash_after),  # type: ignore[arg-type]
            turn=Turn(sleep=lambda _: False),
            evidence=evidence,
            recoverer=recoverer,
            looker=Looker(evidence, recoverer),
            clock_ms=lambda: self.now,
            max_calls=10_000,
            on_position=lambda _: None,
        )
        distance_ms = DISTANCE[self.version]
        slot = Slot(ACCOUNT, self.version)
        try:
            SlotSweep(slot, tools, cause="interval", distance_ms=distance_ms, since_ms=None).run()
        except UnavailableError:
            return False
        finally:
            self.trace.append(f"{self.now} swept, spool {len(self.spool)}, index {self.indexed}")
            self.trace += [
                f"    {name} {one.to_json()}" for name, one in self.store.all_upgrades(slot)
            ]
        if (began := self.store.slot(slot).baseline_ms) != self.baseline_began:
            self.baseline, self.baseline_began = self.now, began
        return True


class Index:
    """The index of evidence; see `registrar.recovery.judging.evidence`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def refresh(self, budget_s: float) -> bool:
        del budget_s
        world = self._world
        end = len(world.stream)
        if world.index_is_slow:
            end = world.random.randint(world.indexed, end)
        for _, callback, is_unknown in world.stream[world.indexed : end]:
            known = world.evidence.setdefault(callback.upgrade_id, set())
            known.add(("unknown", None) if is_unknown else (callback.kind, callback.device))
        world.indexed = end
        return end == len(world.stream)

    def kinds_of(self, account: str, upgrade_id: str) -> frozenset[str]:
        del account
        return frozenset(kind for kind, _ in self._world.evidence.get(upgrade_id, ()))

    def devices_of(self, account: str, upgrade_id: str, kind: str) -> frozenset[str]:
        del account
        known = self._world.evidence.get(upgrade_id, ())
        return frozenset(device or "*" for each, device in known if each == kind)

    def recovered_kinds_of(self, account: str, upgrade_id: str) -> frozenset[str]:
        del account
        return frozenset(
            kind
            for each, kind, device in self._world.recovered
            if (each, device) == (upgrade_id, None)
        )

    def complete_since(self, account: str, upgrade_id: str) -> datetime | None:
        del account, upgrade_id
        since = self._world.complete_since
        return datetime.fromtimestamp(since / 1000, UTC) if since else None

    def spool_is_waiting(self) -> bool:
        return bool(self._world.spool)


class Queue:
    """Where recovered messages are put; see `registrar.recovery.judging.evidence`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def put(self, report: Report, kind: str) -> bool:
        assert "mdn" not in json.dumps(report.content)
        what = (report.upgrade_id, kind, report.device_id)
        if what in self._world.recovered:
            return False
        self._world.recovered.append(what)
        return True


class FakeClient:
    """ThingSpace's reports of a world: pages of two, and the end of the connection after some calls."""

    def __init__(self, world: World, crash_after: int | None) -> None:
        self._world = world
        self._crash_after = crash_after
        self.calls = 0

    def fetch(self, call: Call, read: Callable[[Reply], T], turn: Turn) -> T:
        del turn
        self.calls += 1
        if self._crash_after is not None and self.calls > self._crash_after:
            raise UnavailableError("timeout", sent=True)
        # Each call takes a while, in which a campaign goes on.
        self._world.wait(self._world.random.randint(0, 2000))
        return read(self._reply(call))

    def _reply(self, call: Call) -> Reply:
        url = urlsplit(call.path)
        words = [unquote(word) for word in url.path.split("/")[3:]]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if call.name == "devices":
            devices = self._devices(self._world.upgrades[words[3]])
            return self._page("deviceList", devices, query["lastSeenDeviceId"], "deviceId")
        if call.name == "upgrade":
            return _json(self._content(self._world.upgrades[words[-1]]))
        if words[2] == "status":
            return self._list_v1(words[3], int(words[5]))
        if words[2] == "firmware":
            return Reply(404)
        found = [self._content(one) for one in self._in_state(query["campaignStatus"])]
        return self._page("campaignList", found, query["lastSeenCampaignId"], "id")

    def _in_state(self, status: str) -> list[Upgrade]:
        now = self._world.now
        found = [one for one in self._world.upgrades.values() if one.status(now) == status]
        return [] if status in UNLISTED else sorted(found, key=lambda one: one.upgrade_id)

    def _list_v1(self, status: str, index: int) -> Reply:
        found = [self._content(one) for one in self._in_state(status)]
        if index and index >= len(found):
            return Reply(
                400, b'{"errorCode": "INVALID_PARAMETER", "errorMessage": "Invalid index value"}'
            )
        last = min(index + 2, len(found))
        content = {"hasMoreFlag": last < len(found), "lastSeenUpgradeId": last}
        return _json({**content, "reportList": found[index:last] or None})

    def _page(self, name: str, items: Sequence[dict[str, Any]], after: str, key: str) -> Reply:
        left = [item for item in items if item[key] > after]
        if not left:
            return self._world.random.choice(EMPTY)
        content = {"hasMoreData": len(left) > 2, name: left[:2]}
        return _json({**content, f"lastSeen{name[0].upper()}{name[1:-4]}Id": left[:2][-1][key]})

    def _content(self, one: Upgrade) -> dict[str, Any]:
        content: dict[str, Any] = {
            "id": one.upgrade_id,
            "accountName": ACCOUNT,
            "startDate": datetime.fromtimestamp(one.shown[0][0] / 1000, UTC).strftime("%Y-%m-%d"),
            "status": one.status(self._world.now),
        }
        if self._world.version == "v1":
            content["deviceList"] = [{**device, "mdn": "15551234"} for device in self._devices(one)]
        return content

    def _devices(self, one: Upgrade) -> list[dict[str, Any]]:
        is_shown = one.status(self._world.now) == one.life[one.place][0]
        return [
            {"deviceId": device, "status": (is_shown and status) or "Device Accepted"}
            for device, status in sorted(one.devices.items())
        ]


EMPTY = (Reply(204), Reply(200, b""), Reply(200, b"null"), Reply(200, b"[]"), Reply(200, b"{}"))


def _json(content: object) -> Reply:
    return Reply(200, json.dumps(content).encode())


def play(random: Random, version: str) -> World:
    """A world in which campaigns ran, messages were lost, trimmed and delayed, and replicas swept and were killed."""
    world = World(random, version, names_devices=random.random() < 0.5)
    for _ in range(random.randint(0, 3)):
        world.new_upgrade()
        world.move_on()
    if random.random() < 0.2:
        world.trim()
    world.sweep(crash_after=random.choice((None, None, 3)))
    happenings = [*HAPPENINGS, *([World.trim] if random.random() < 0.3 else [])]
    for _ in range(random.randint(4, 14)):
        random.choice(happenings)(world)
        world.wait(random.choice((MINUTE, 10 * MINUTE, 40 * MINUTE, DAY)))
    world.index_is_slow = False
    world.drain()
    # After the longest lag of a report.
    world.wait(DAY)
    while not world.baseline:
        world.sweep()
    for _ in range(2):
        world.wait(DISTANCE[version] + MINUTE)
        world.sweep()
    return world


def _sweep_in_trouble(world: World) -> None:
    world.index_is_slow = world.random.random() < 0.3
    world.sweep(crash_after=world.random.choice((None, None, world.random.randint(0, 9))))


def _sweep_in_haste(world: World) -> None:
    """Two looks, before all that is under way can have come."""
    world.move_on()
    world.sweep()
    world.wait(MINUTE)
    world.sweep()


HAPPENINGS: Sequence[Callable[[World], object]] = (
    *(World.new_upgrade, World.new_upgrade),
    *(World.move_on, World.move_on, World.move_on, World.move_on),
    *(_sweep_in_trouble, _sweep_in_haste, World.drain, lambda _: None),
)


def violations(world: World) -> list[str]:
    """What is wrong at the end; empty if all is well."""
    return [*_invented(world), *_unexplained(world)]


def _invented(world: World) -> Iterator[str]:
    sent = {(each.upgrade_id, each.kind, each.device) for each in world.sent}
    if len(world.recovered) != len(set(world.recovered)):
        yield "a message was recovered twice"
    for upgrade_id, kind, device in world.recovered:
        whole = {what for what in sent if what[:2] == (upgrade_id, kind)}
        wanted = {(upgrade_id, kind, device)} if device else whole
        if not wanted & sent:
            yield f"{kind} of {upgrade_id} was never sent, and was recovered"
        began = world.store.slot(Slot(ACCOUNT, world.version)).baseline_ms
        if kind in _proved_at(world.upgrades[upgrade_id], began) and not device:
            yield f"{kind} of {upgrade_id} was due at the baseline, and was recovered"
        if wanted and wanted <= world.arrived:
            yield f"{kind} of {upgrade_id} came, and was recovered"


def _unexplained(world: World) -> Iterator[str]:
    slot = Slot(ACCOUNT, world.version)
    records = dict(world.store.all_upgrades(slot))
    for one in world.upgrades.values():
        due = PROVES.get(one.status(world.now), frozenset())
        record = records.get(one.upgrade_id)
        for kind in sorted(due):
            finding = record.kinds.get(kind) if record else None
            if finding is None:
                yield f"{kind} of {one.upgrade_id} is due, and nothing is known of it"
            elif problem := _problem(world, one, kind, finding):
                yield f"{kind} of {one.upgrade_id}: {problem}"
        if record and world.names_devices:
            yield from _devices_unexplained(world, one, record)


def _problem(world: World, one: Upgrade, kind: str, finding: Finding) -> str:
    came = any(what[:2] == (one.upgrade_id, kind) for what in world.arrived)
    was_recovered = any(what[:2] == (one.upgrade_id, kind) for what in world.recovered)
    if finding.verdict is Verdict.SEEN:
        return "" if came else "seen, and did not come"
    if finding.verdict is Verdict.RECOVERED:
        return "" if was_recovered else "recovered, and not in the queue"
    if finding.verdict is Verdict.BASELINE:
        proved = {
            k for at, p in one.shown if at <= world.baseline for k in PROVES.get(one.life[p][0], ())
        }
        was_there = one.shown[0][0] // DAY * DAY + DAY <= world.baseline_began
        return (
            "" if was_there or kind in proved else "set aside, and was due after the baseline only"
        )
    if finding.verdict is Verdict.UNKNOWN:
        reasons = {"trimmed": bool(world.complete_since), "unknown-kind": world.has_unknown_kinds}
        return "" if reasons.get(finding.reason) else f"unknown for no reason: {finding.reason}"
    return f"still {finding.verdict}"


def _proved_at(one: Upgrade, now: int) -> set[str]:
    """The kinds that ThingSpace's reports had proved due by then."""
    states = [one.life[place][0] for at, place in one.shown if at <= now]
    return {kind for state in states for kind in PROVES.get(state, ())}


def _devices_unexplained(world: World, one: Upgrade, record: UpgradeRecord) -> Iterator[str]:
    """Devices whose end is reported, of which no message came, and which nothing accounts for."""
    if one.status(world.now) not in ("Finished", "CampaignEnded") or world.complete_since:
        return
    finding = record.kinds[FINISHED]
    if FINISHED in _proved_at(one, world.baseline):
        return
    if finding.verdict in {Verdict.BASELINE, Verdict.UNKNOWN} or world.has_unknown_kinds:
        return
    known = {(one.upgrade_id, FINISHED, None)} & set(world.recovered)
    for device in one.devices:
        what = (one.upgrade_id, FINISHED, device)
        if not known and what not in world.arrived and what not in world.recovered:
            yield f"the end of {device} in {one.upgrade_id} is lost"
