"""For how many replicas a write waits, by what the script says of them: needed before, known now."""

import pytest

from listener.errors import QueueUnavailableError
from listener.queue.replica_tracking import ReplicaTracker, ReplicaWait


class Master:
    """Answers the script, and counts how often it was asked outside of a write."""

    def __init__(self, known: int) -> None:
        self.known = known
        self.asked = 0

    def __call__(self, *command: object) -> list[int]:
        assert command[0] == "EVAL"
        self.asked += 1
        return [0, self.known]


def asked(wait: ReplicaWait) -> int:
    (name, number, milliseconds), (second, *_) = wait.commands
    assert (name, milliseconds, second) == ("WAIT", 800, "EVAL")
    return int(number)


@pytest.mark.parametrize(("least", "known", "number"), [(1, 0, 1), (1, 2, 2), (3, 2, 3)])
def test_all_replicas_are_waited_for_and_so_many_as_the_setting_says_at_least(
    least: int, known: int, number: int
) -> None:
    wait = ReplicaTracker("key", least, 800).wait(Master(known))
    assert asked(wait) == number
    assert wait.check([number, [known, known]])
    with pytest.raises(QueueUnavailableError, match=f"WAIT: {number - 1} of {number} copies"):
        wait.check([number - 1, [known, known]])


def test_the_master_is_asked_once_and_again_when_there_may_be_another() -> None:
    master = Master(2)
    copies = ReplicaTracker("key", 1, 800)
    for _ in range(3):
        copies.wait(master).check([2, [2, 2]])
    assert master.asked == 1
    copies.forget()
    assert asked(copies.wait(Master(1))) == 1


def test_where_more_are_there_by_now_than_were_asked_it_is_neither_kept_nor_failed() -> None:
    copies = ReplicaTracker("key", 1, 800)
    first = copies.wait(Master(1))
    assert not first.check([1, [2, 2]])
    second = copies.wait(Master(0))
    assert asked(second) == 2
    assert second.check([2, [2, 2]])


def test_who_has_come_only_just_now_is_asked_next_time() -> None:
    copies = ReplicaTracker("key", 1, 800)
    assert copies.wait(Master(1)).check([1, [1, 2]])
    assert asked(copies.wait(Master(0))) == 2
