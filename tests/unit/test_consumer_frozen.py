"""Idle times that stand still: told apart from messages that somebody has just renewed."""

from listener.consumer.frozen import LOOKS, Frozen


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_idle_time_that_stands_still_is_found_after_the_patience() -> None:
    clock = Clock()
    frozen = Frozen(60.0, clock)
    found = []
    for _ in range(14):
        found.append(frozen.note(0, [b"1-1"]))
        clock.now += 5
    assert found == [[]] * 12 + [[b"1-1"]] * 2


def test_a_message_that_is_renewed_is_never_found() -> None:
    clock = Clock()
    frozen = Frozen(0.0, clock)
    for look in range(50):
        # Renewed at the very moment of most looks, and not of every one.
        assert not frozen.note(0, [] if look % LOOKS == 0 else [b"1-1"])
        clock.now += 5


def test_partitions_do_not_count_for_each_other() -> None:
    frozen = Frozen(0.0, Clock())
    for _ in range(LOOKS - 1):
        assert not frozen.note(0, [b"1-1"])
        assert not frozen.note(1, [b"2-2"])
    assert frozen.note(0, [b"1-1", b"1-2"]) == [b"1-1"]
