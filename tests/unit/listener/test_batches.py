"""Writing in portions: each item gets its own outcome, whatever is refused, and the size that passes is remembered."""

import random
from collections.abc import Sequence

import pytest

from listener.errors import MessageRefusedError, QueueUnavailableError
from listener.queue.batches import BATCHES_BEFORE_GROWTH, Batcher, BatchTooLargeError


class Target:
    """Takes portions of up to some bytes; refuses some items, and is gone after some calls."""

    def __init__(self, most: int, refused: set[int] = frozenset(), calls: int = 10**6) -> None:  # type: ignore[assignment]
        self.most = most
        self.refused = refused
        self.calls = calls
        self.portions: list[list[int]] = []
        self.kept: list[int] = []

    def write(self, portion: Sequence[int]) -> list[str]:
        self.portions.append(list(portion))
        if len(self.portions) > self.calls:
            raise QueueUnavailableError("gone")
        if sum(portion) > self.most or self.refused.intersection(portion):
            if len(portion) > 1:
                raise BatchTooLargeError
            raise MessageRefusedError(f"refused {portion[0]}", certain=True)
        self.kept += portion
        return [f"kept {number}" for number in portion]


def portions(most_bytes: int = 1000) -> Batcher[int, str]:
    return Batcher(lambda number: number, most_bytes)


def test_a_group_that_is_taken_is_written_at_once() -> None:
    target = Target(1000)
    assert portions().write([1, 2, 3], target.write) == ["kept 1", "kept 2", "kept 3"]
    assert target.portions == [[1, 2, 3]]


def test_nothing_is_written_for_nothing() -> None:
    target = Target(1000)
    assert portions().write([], target.write) == []
    assert target.portions == []


def test_one_refused_item_costs_the_others_nothing_and_lowers_no_limit() -> None:
    target, written = Target(1000, {7}), portions()
    outcomes = written.write(list(range(1, 21)), target.write)
    assert [str(outcome) for outcome in outcomes if isinstance(outcome, Exception)] == [
        "queue-unavailable: refused 7"
    ]
    assert target.kept == [number for number in range(1, 21) if number != 7]
    target.portions.clear()
    written.write(list(range(30, 40)), target.write)
    assert len(target.portions) == 1


def test_the_size_that_passed_is_remembered_and_grows_again() -> None:
    target, written = Target(20), portions()
    written.write([10] * 16, target.write)
    target.portions.clear()
    written.write([10] * 16, target.write)
    assert target.portions == [[10, 10]] * 8, "no portion is refused any more"
    target.most = 1000
    written.write([10] * 2 * BATCHES_BEFORE_GROWTH, target.write)
    target.portions.clear()
    written.write([10] * 8, target.write)
    assert max(map(len, target.portions)) >= 4


def test_what_was_too_slow_is_remembered() -> None:
    target, written = Target(1000), portions()
    written.shrink([100] * 8)
    written.write([100] * 8, target.write)
    assert target.portions == [[100] * 4] * 2


def lengths(written: Batcher[int, str], count: int) -> list[int]:
    """How many items of ten bytes each batch has, if this many are written."""
    target = Target(10**6)
    written.write([10] * count, target.write)
    return [len(portion) for portion in target.portions]


def test_bound_doubles_after_a_fixed_number_of_batches_that_passed() -> None:
    written = portions()
    written.shrink([10] * 4)
    for bound in (2, 4, 8):
        assert lengths(written, bound * BATCHES_BEFORE_GROWTH) == [bound] * BATCHES_BEFORE_GROWTH


def test_batches_are_counted_anew_from_each_shrinking() -> None:
    written = portions()
    for _ in range(2):
        written.shrink([10] * 4)
        assert lengths(written, 2 * BATCHES_BEFORE_GROWTH - 2) == [2] * (BATCHES_BEFORE_GROWTH - 1)
        assert lengths(written, 6) == [2, 4], "the bound has doubled after the first of them"


def test_single_item_that_was_too_slow_shrinks_nothing_and_a_pair_does() -> None:
    written = portions(40)
    written.shrink([10])
    assert lengths(written, 4) == [4]
    written.shrink([20, 20])
    assert lengths(written, 4) == [2, 2]


def test_batch_may_have_exactly_as_many_bytes_as_the_bound() -> None:
    target, written = Target(1000), portions(20)
    written.write([10, 11, 9, 11], target.write)
    assert target.portions == [[10], [11, 9], [11]]


def test_bound_is_one_byte_at_least_and_grows_from_there() -> None:
    target, written = Target(1000), portions()
    written.shrink([1, 0])
    written.write([1] * BATCHES_BEFORE_GROWTH, target.write)
    assert target.portions == [[1]] * BATCHES_BEFORE_GROWTH
    target.portions.clear()
    written.write([1] * 4, target.write)
    assert target.portions == [[1, 1]] * 2


@pytest.mark.parametrize("seed", range(300))
def test_every_item_gets_its_own_outcome_in_order(seed: int) -> None:
    chance = random.Random(seed)
    items = [chance.randrange(1, 300) * 1000 + n for n in range(chance.randrange(0, 60))]
    refused = {number for number in items if chance.random() < chance.choice([0, 0.05, 0.5])}
    target = Target(
        chance.choice([100_000, 400_000, 10**9]), refused, calls=chance.choice([3, 20, 10**6])
    )
    written = portions(chance.choice([1, 500_000, 10**9]))
    for _ in range(3):
        target.kept.clear()
        outcomes = written.write(items, target.write)
        assert len(outcomes) == len(items)
        assert [
            n for n, outcome in zip(items, outcomes, strict=True) if isinstance(outcome, str)
        ] == (target.kept), "what is reported as kept was kept, once, in order"
        for number, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, str):
                assert outcome == f"kept {number}"
            elif isinstance(outcome, MessageRefusedError):
                assert number in refused or number > target.most
                assert outcome.detail == f"refused {number}"
        gone = [type(outcome) is QueueUnavailableError for outcome in outcomes]
        assert gone == sorted(gone), "nothing is tried behind an outage"
