"""Idle times that are stuck at zero are told from those of messages that were just renewed."""

from listener.consumer.claims import CHECKS, ZeroIdle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_idle_time_that_stands_still_is_found_after_the_patience() -> None:
    clock = Clock()
    zero_idle = ZeroIdle(60.0, clock)
    found = []
    for _ in range(14):
        found.append(zero_idle.check([b"1-1"]))
        clock.now += 5
    assert found == [[]] * 12 + [[b"1-1"]] * 2


def test_a_message_that_is_renewed_is_never_found() -> None:
    clock = Clock()
    zero_idle = ZeroIdle(0.0, clock)
    for check in range(50):
        # Renewed at the very moment of most checks, and not of every one.
        assert not zero_idle.check([] if check % CHECKS == 0 else [b"1-1"])
        clock.now += 5


def test_an_entry_is_found_by_its_own_checks() -> None:
    zero_idle = ZeroIdle(0.0, Clock())
    for _ in range(CHECKS - 1):
        assert not zero_idle.check([b"1-1"])
    assert zero_idle.check([b"1-1", b"1-2"]) == [b"1-1"]
