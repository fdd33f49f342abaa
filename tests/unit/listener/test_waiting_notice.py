"""Other hosts hear that messages wait in a spool: before they move, now and then while they wait, and when none is left."""

from listener.errors import QueueUnavailableError
from listener.spool.waiting_notice import REPEAT_S, WaitingNotice


class Host:
    """A spool, a Redis that can be away, and a clock."""

    def __init__(self, *, waiting: bool = False) -> None:
        self.waiting = waiting
        self.is_away = False
        self.now = 0.0
        self.said: list[bool] = []
        self.notice = WaitingNotice(lambda: self.waiting, self._say, lambda: self.now)

    def _say(self, is_waiting: bool) -> None:
        if self.is_away:
            raise QueueUnavailableError("away")
        self.said.append(is_waiting)

    def update(self, *, waiting: bool, after_s: float = 0.25) -> list[bool]:
        """What was said since the last call."""
        self.waiting = waiting
        self.now += after_s
        self.notice.update()
        said, self.said = self.said, []
        return said


def test_news_is_said_at_once_and_nothing_twice() -> None:
    host = Host()
    assert host.update(waiting=True) == [True]
    assert host.notice.says_waiting
    assert host.update(waiting=True) == []
    assert host.update(waiting=False) == [False]
    assert not host.notice.says_waiting
    assert host.update(waiting=False) == []
    assert host.update(waiting=True) == [True]


def test_while_messages_wait_it_is_said_again_and_an_empty_spool_is_quiet() -> None:
    host = Host()
    assert host.update(waiting=True) == [True]
    assert host.update(waiting=True, after_s=REPEAT_S) == [True]
    assert host.update(waiting=False) == [False]
    assert host.update(waiting=False, after_s=10 * REPEAT_S) == []


def test_what_a_process_before_said_is_taken_back_once() -> None:
    host = Host()
    assert host.update(waiting=False) == [False]
    assert host.update(waiting=False) == []


def test_failure_is_tried_again_later_and_not_all_the_time() -> None:
    host = Host()
    host.is_away = True
    assert host.update(waiting=True) == []
    host.is_away = False
    assert host.update(waiting=True) == []
    assert host.update(waiting=True, after_s=REPEAT_S) == [True]
