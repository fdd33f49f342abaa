"""A turn: what is asked before each request, in which order, and under which fence."""

import pytest

from registrar.errors import NotExclusiveError, StoppingError
from registrar.turn import UNRESTRICTED, Turn


class Fence:
    def __init__(self, calls: list[str], *, lost: bool = False) -> None:
        self.fencing_token = 7
        self._calls, self._lost = calls, lost

    def renew(self) -> None:
        self._calls.append("renew")
        if self._lost:
            raise NotExclusiveError("mutex-lost")


def test_unrestricted_turn_allows_everything_and_has_all_the_time() -> None:
    UNRESTRICTED.check()
    assert UNRESTRICTED.sleep(0) is False
    assert not UNRESTRICTED.is_fenced


def test_turn_under_the_mutex_renews_it_at_each_check_after_its_own_checks() -> None:
    calls: list[str] = []
    turn = Turn(checks=(lambda: calls.append("own"),)).under(Fence(calls))
    turn.check()
    turn.check()
    assert calls == ["own", "renew"] * 2
    assert (turn.is_fenced, turn.fencing_token) == (True, 7)


def test_check_that_refuses_leaves_the_mutex_alone() -> None:
    calls: list[str] = []

    def stop() -> None:
        raise StoppingError

    with pytest.raises(StoppingError):
        Turn(checks=(stop,)).under(Fence(calls)).check()
    assert calls == []


def test_turn_whose_mutex_is_lost_sends_nothing_more() -> None:
    turn = UNRESTRICTED.under(Fence([], lost=True))
    with pytest.raises(NotExclusiveError):
        turn.check()
