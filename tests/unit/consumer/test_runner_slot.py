"""A place for a process of `fota consume`, where no process can be started."""

import errno
import os
import time
from typing import NoReturn

import pytest

from listener.consumer.runner.slot import Slot, pause_s

REASONS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE)


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, number: int) -> None:
    """Has the system refuse what a start needs."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"listener.consumer.runner.slot.{function}", fail)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names alone


@pytest.fixture
def slot() -> Slot:
    return Slot(1, lambda _number, _descriptor: [])


@pytest.mark.parametrize("function", ["socket.socketpair", "subprocess.Popen"])
@pytest.mark.parametrize("number", REASONS, ids=errno.errorcode.get)
def test_start_that_the_system_refuses_is_tried_again_after_growing_pauses(
    slot: Slot, function: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_files()
    refuse(monkeypatch, function, number)
    for count in (1, 2, 3):
        began = time.monotonic()
        slot.start()
        assert pause_s(count) <= slot.due_at - began < pause_s(count + 1)
    assert (slot.is_alive, slot.is_ready, slot.failures) == (False, False, 3)
    assert slot.ended == f"could not be started ({os.strerror(number)})"
    assert open_files() == before
    slot.read()
    assert slot.reap() is None


def test_slot_starts_a_process_once_the_system_allows_it(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as refusing:
        refuse(refusing, "subprocess.Popen", errno.EAGAIN)
        slot.start()
    assert not slot.is_alive
    monkeypatch.setattr("listener.consumer.runner.slot.subprocess.Popen", lambda *_, **__: object())
    slot.start()
    assert slot.is_alive
    slot.close()
