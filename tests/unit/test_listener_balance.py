"""Which worker lets the next connection to another one."""

import pytest

from listener.balance import PLACES, Balance, Share


def shares(*connections: int) -> list[Share]:
    """Workers that accept and have so many connections."""
    balance = Balance()
    entered = [balance.enter() for _ in connections]
    for share, count in zip(entered, connections, strict=True):
        share.accept(accepts=True)
        share.add(count)
    return entered


@pytest.mark.parametrize(
    ("mine", "others", "ahead"),
    [
        (0, [], False),
        (9, [], False),
        (0, [0], False),
        (1, [0], True),
        (1, [1], False),
        (2, [1, 9], True),
        (8, [9, 9], False),
        # A crowd need not be counted out one by one.
        (32, [29], False),
        (32, [28], True),
        (800, [701], False),
    ],
)
def test_who_has_more_lets_others_go_first(mine: int, others: list[int], *, ahead: bool) -> None:
    assert shares(mine, *others)[0].is_ahead() == ahead


def test_nobody_waits_for_one_that_does_not_accept() -> None:
    mine, other = shares(5, 0)
    other.accept(accepts=False)
    assert not mine.is_ahead()
    # What it still serves then ends.
    other.add(-1)
    assert not mine.is_ahead()


def test_nobody_waits_for_one_that_has_not_begun() -> None:
    balance = Balance()
    mine, _ = balance.enter(), balance.enter()
    mine.accept(accepts=True)
    mine.add(5)
    assert not mine.is_ahead()


def test_the_place_of_one_that_is_gone_is_anothers() -> None:
    balance = Balance()
    mine, gone = balance.enter(), balance.enter()
    for share in (mine, gone):
        share.accept(accepts=True)
    mine.add(5)
    assert mine.is_ahead()
    gone.leave()
    assert not mine.is_ahead()
    follows = balance.enter()
    follows.accept(accepts=True)
    assert mine.is_ahead()


def test_one_without_a_place_waits_for_nobody_and_nobody_for_it() -> None:
    balance = Balance()
    first, *_ = [balance.enter() for _ in range(PLACES)]
    beyond = balance.enter()
    for share in (first, beyond):
        share.accept(accepts=True)
        share.add(5)
    assert not first.is_ahead()
    assert not beyond.is_ahead()
