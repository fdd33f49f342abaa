"""Which devices of an upgrade are in question: after a message of each, of all, and of none."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import pytest

from listener.recovered.recovery_state import Report
from registrar.recovery.judging.look import EvidenceReader, Looker
from registrar.recovery.judging.recoverer import Recoverer
from registrar.recovery.judging.sighting import Sighting
from registrar.recovery.judging.verdict import Look
from registrar.recovery.records.upgrade_record import UpgradeRecord, Verdict

ACCOUNT, UPGRADE = "0242078689-00001", "60b5d639-ccdc-4db8-8824-069bd94c95bf"
SCHEDULED, STARTED, FINISHED = "upgrade-scheduled", "upgrade-started", "upgrade-finished"
EVERY = "*"
DAY_MS = 86_400_000
DEVICES = [f"99001390783{number:04}" for number in range(100)]


class Index:
    """What came: by kind the devices that messages named."""

    def __init__(self, came: Mapping[str, set[str]]) -> None:
        self.came = dict(came)
        self.recovered: set[str] = set()

    def refresh(self, budget_s: float) -> bool:
        del budget_s
        return True

    def kinds_of(self, account: str, upgrade_id: str) -> set[str]:
        del account, upgrade_id
        return set(self.came)

    def devices_of(self, account: str, upgrade_id: str, kind: str) -> set[str]:
        del account, upgrade_id
        return self.came.get(kind, set())

    def recovered_kinds_of(self, account: str, upgrade_id: str) -> set[str]:
        del account, upgrade_id
        return self.recovered

    def complete_since(self, account: str, upgrade_id: str) -> datetime | None:
        del account, upgrade_id
        return None

    def spool_is_waiting(self) -> bool:
        return False


class Sweep:
    """What all looks of a sweep have in common, where there is one look."""

    def __init__(self, look: Look) -> None:
        self.sweep_ms = look.at_ms
        self._look = look

    def look(self, *_: object) -> Look:
        return self._look


class Recovery:
    """Looks at one upgrade, a day and more apart.

    Attributes:
        queued: the kinds and devices of the messages that were put into the queue.
    """

    def __init__(self, index: Index, *, names_devices: bool = False) -> None:
        self.index = index
        self.queued: list[tuple[str, str | None]] = []
        self.record: UpgradeRecord | None = None
        self._evidence = EvidenceReader(index)
        self._evidence.names_devices = names_devices
        self._looker = Looker(self._evidence, Recoverer(self))
        self._days = 100

    def put(self, report: Report, kind: str) -> bool:
        if report.device_id is None:
            self.index.recovered.add(kind)
        self.queued.append((kind, report.device_id))
        return True

    def look(
        self,
        status: str = "Finished",
        done: Sequence[str] = DEVICES,
        *,
        is_baseline: bool = False,
        since_ms: int | None = None,
    ) -> UpgradeRecord:
        self._days += 2
        now_ms = self._days * DAY_MS
        waiting = [{"deviceId": each, "status": "Device Accepted"} for each in DEVICES]
        ended = [{"deviceId": each, "status": "UpgradeSuccess"} for each in done]
        content: dict[str, Any] = {"deviceList": ended or waiting}
        report = Report(ACCOUNT, "v1", UPGRADE, status, "GET /x", content)
        sighting = Sighting(report, content["deviceList"])
        look = Look(
            at_ms=now_ms,
            status=status,
            due=sighting.due_kinds(),
            distance_ms=DAY_MS,
            is_baseline=is_baseline,
            swept_ms=None if is_baseline else now_ms - DAY_MS,
            is_asked_for=since_ms is not None,
        )
        self.record = self._looker.look(sighting, self.record, cast("Any", Sweep(look)))
        # Through the form in which it is stored.
        self.record = UpgradeRecord.from_json(self.record.to_json())
        assert self.record is not None
        return self.record


def came(finished: set[str]) -> dict[str, set[str]]:
    return {SCHEDULED: {EVERY}, STARTED: {EVERY}, FINISHED: finished}


def test_device_of_which_no_message_came_is_missing_where_messages_are_about_one_each() -> None:
    recovery = Recovery(Index(came(set(DEVICES[1:]))))
    for _ in range(3):
        recovery.look()
    assert recovery.queued == [(FINISHED, DEVICES[0])]


@pytest.mark.parametrize("finished", [{EVERY}, {EVERY, DEVICES[7]}])
def test_message_that_may_be_about_every_device_speaks_for_all(finished: set[str]) -> None:
    recovery = Recovery(Index(came(finished)), names_devices=True)
    for _ in range(3):
        recovery.look()
    assert recovery.queued == []
    assert recovery.record
    assert recovery.record.kinds[FINISHED].verdict is Verdict.SEEN


def test_message_about_every_device_that_comes_after_the_first_look_ends_the_questions() -> None:
    index = Index({SCHEDULED: {EVERY}, STARTED: {EVERY}})
    recovery = Recovery(index, names_devices=True)
    assert len(recovery.look().devices[FINISHED]) == 100
    index.came = came({EVERY})
    for _ in range(2):
        assert not recovery.look().devices
    assert recovery.queued == []


def test_device_whose_number_lost_its_leading_zero_came() -> None:
    recovery = Recovery(Index(came({"13907835573123"})))
    for _ in range(3):
        recovery.look(done=["013907835573123"])
    assert recovery.queued == []


@pytest.mark.parametrize("known", [SCHEDULED, STARTED, FINISHED])
def test_message_of_an_unknown_form_leaves_what_it_does_not_name_unknown(known: str) -> None:
    recovery = Recovery(Index({known: {EVERY}, "unknown": {EVERY}}))
    for _ in range(3):
        record = recovery.look(done=())
    verdicts = {kind: finding.verdict for kind, finding in record.kinds.items()}
    rest = dict.fromkeys({SCHEDULED, STARTED, FINISHED} - {known}, Verdict.UNKNOWN)
    assert verdicts == {known: Verdict.SEEN, **rest}
    assert recovery.queued == []


@pytest.mark.parametrize("since_ms", [None, 0])
def test_devices_of_what_was_recovered_as_a_whole_are_not_recovered_again(
    since_ms: int | None,
) -> None:
    index = Index({SCHEDULED: {EVERY}, STARTED: {EVERY}})
    recovery = Recovery(index)
    for _ in range(2):
        recovery.look()
    assert recovery.queued == [(FINISHED, None)]
    # Now it shows that messages are about one device each.
    index.came = came({DEVICES[0]})
    for _ in range(3):
        recovery.look(since_ms=since_ms)
    assert recovery.queued == [(FINISHED, None)]
