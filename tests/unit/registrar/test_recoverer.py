"""Queueing what is missing: the mutex is kept meanwhile, and a queue that takes nothing is left alone."""

from typing import Any

import pytest
import structlog

from listener.errors import QueueUnavailableError
from listener.recovered.recovery_state import Report
from registrar.errors import NotExclusiveError
from registrar.recovery.judging.recoverer import Recoverer
from registrar.recovery.judging.sighting import Sighting
from registrar.recovery.records.upgrade_record import RECOVERED_MS, UpgradeRecord
from registrar.turn import Turn

KIND = "upgrade-finished"
DEVICES = [f"{990013907835000 + number}" for number in range(1000)]


class Puts:
    """A queue that takes so many messages."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried = 0

    def put(self, report: Report, kind: str) -> bool:
        del report, kind
        self.tried += 1
        if self.tried > self.room:
            raise QueueUnavailableError("redis-lost")
        return True


def recover(messages: Puts, turn: Turn) -> UpgradeRecord:
    content = {"deviceList": [{"deviceId": each, "status": "UpgradeSuccess"} for each in DEVICES]}
    report = Report("0242078689-00001", "v1", "60b5d639", "Finished", "GET /", content)
    sighting = Sighting(report, content["deviceList"])
    record = UpgradeRecord("Finished", 1, {}, {KIND: dict.fromkeys(DEVICES, 1)})
    with structlog.testing.capture_logs():
        return Recoverer(messages, turn=turn).recover(sighting, None, record, {KIND: DEVICES})


def recovered(record: UpgradeRecord) -> int:
    return list(record.devices[KIND].values()).count(RECOVERED_MS)


def test_mutex_is_renewed_while_many_devices_are_queued() -> None:
    renewals: list[int] = []
    messages = Puts(room=1000)
    turn = Turn(checks=(lambda: renewals.append(messages.tried),))
    assert recovered(recover(messages, turn)) == 1000
    distances = [b - a for a, b in zip([0, *renewals], [*renewals, 1000], strict=True)]
    assert max(distances) <= 50


@pytest.mark.parametrize("room", [0, 1, 700])
def test_queue_that_does_not_take_one_is_asked_for_no_other(room: int) -> None:
    messages = Puts(room)
    assert recovered(recover(messages, Turn())) == room
    assert messages.tried == room + 1


def test_nothing_is_queued_once_the_mutex_is_lost() -> None:
    messages = Puts(room=1000)

    def check() -> Any:
        raise NotExclusiveError("mutex-lost")

    with pytest.raises(NotExclusiveError):
        recover(messages, Turn(checks=(check,)))
    assert messages.tried < 50
