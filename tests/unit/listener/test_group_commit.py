"""Group commit: one write at a time, nobody's result lost, nobody told of a success that was none."""

import gc
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from listener.runtime.group_commit import GroupCommit
from testbed.polling import wait_until


class Store:
    """Writes groups of numbers, when let."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.writing = 0
        self.error: BaseException | None = None
        self.writers: list[threading.Thread] = []

    def write(self, group: Sequence[int]) -> list[int]:
        self.writing += 1
        assert self.writing == 1, "one write at a time"
        self.groups.append(list(group))
        self.writers.append(threading.current_thread())
        self.entered.release()
        assert self.open.wait(10)
        self.writing -= 1
        if self.error:
            raise self.error
        return [number * 10 for number in group]


def grouped(store: Store, max_items: int = 100, max_bytes: int = 10**6) -> GroupCommit[int, int]:
    return GroupCommit(
        store.write, size=lambda number: number, max_items=max_items, max_bytes=max_bytes
    )


def has_waiting(commit: GroupCommit[int, int], count: int) -> bool:
    return len(commit._waiting) == count


def submit_behind_a_write(
    commit: GroupCommit[int, int], store: Store, pool: ThreadPoolExecutor, numbers: Sequence[int]
) -> list[Future[int]]:
    """Submits a first number, and the others one by one while that one is being written."""
    futures = [pool.submit(commit.submit, numbers[0], 10)]
    assert store.entered.acquire(timeout=10)
    for count, number in enumerate(numbers[1:], 1):
        futures.append(pool.submit(commit.submit, number, 10))
        wait_until(partial(has_waiting, commit, count))
    return futures


def test_what_arrives_during_a_write_goes_out_together_in_the_next() -> None:
    store = Store()
    commit = grouped(store)
    with ThreadPoolExecutor(10) as pool:
        futures = submit_behind_a_write(commit, store, pool, range(1, 9))
        store.open.set()
        assert [future.result() for future in futures] == [number * 10 for number in range(1, 9)]
    assert store.groups == [[1], [2, 3, 4, 5, 6, 7, 8]]


def test_groups_are_bounded_in_number_and_in_bytes() -> None:
    store = Store()
    commit = grouped(store, max_items=3, max_bytes=10)
    with ThreadPoolExecutor(10) as pool:
        futures = submit_behind_a_write(commit, store, pool, [1, 1, 1, 1, 1, 5, 6, 50])
        store.open.set()
        assert [future.result() for future in futures] == [10, 10, 10, 10, 10, 50, 60, 500]
    assert store.groups == [[1], [1, 1, 1], [1, 5], [6], [50]]


def test_an_error_reaches_all_of_its_group_and_nobody_else() -> None:
    store = Store()
    commit = grouped(store)
    with ThreadPoolExecutor(10) as pool:
        futures = submit_behind_a_write(commit, store, pool, [1, 2, 3])
        store.error = OSError("no")
        store.open.set()
        for future in futures:
            with pytest.raises(OSError, match="no"):
                future.result()
    store.error = None
    assert commit.submit(4, 1) == 40


def test_who_waits_too_long_is_told_and_is_not_written_later() -> None:
    store = Store()
    commit = grouped(store)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(commit.submit, 1, 10)
        assert store.entered.acquire(timeout=10)
        with pytest.raises(TimeoutError, match=r"^the write took too long$"):
            commit.submit(2, 0.01)
        store.open.set()
        assert first.result() == 10
    assert commit.submit(3, 1) == 30
    assert store.groups == [[1], [3]]


def test_a_writer_that_is_ended_leaves_nobody_believing_in_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    store = Store()
    commit = grouped(store)
    store.error = SystemExit()
    store.open.set()
    with pytest.raises(InterruptedError, match=r"^the write was interrupted$"):
        commit.submit(1, 10)
    store.error = None
    wait_until(lambda: not store.writers[0].is_alive())
    assert commit.submit(2, 10) == 20, "the next submission starts a new writer"
    assert store.writers[0] is not store.writers[1]
    commit.close()


def test_writer_that_is_ended_is_replaced_for_submissions_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    entered, ending = threading.Event(), threading.Event()

    def write(group: Sequence[int]) -> list[int]:
        if group[0] == 1:
            entered.set()
            assert ending.wait(10)
            raise SystemExit
        return [number * 10 for number in group]

    commit = GroupCommit(write, size=int, max_items=9, max_bytes=9)
    first = commit.enqueue(1)
    assert entered.wait(10)
    second = commit.enqueue(2)
    ending.set()
    assert commit.wait(second, 10) == 20
    with pytest.raises(InterruptedError):
        commit.wait(first, 10)
    commit.close()


def test_one_thread_writes_all_groups_and_does_not_keep_the_process() -> None:
    store = Store()
    store.open.set()
    commit = grouped(store)
    for number in range(5):
        commit.submit(number, 10)
    assert len(set(store.writers)) == 1
    assert (store.writers[0].name, store.writers[0].daemon) == ("group-commit", True)
    commit.close()
    assert not store.writers[0].is_alive()


def test_closing_returns_once_everything_is_written_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    store = Store()
    commit = grouped(store)
    slot = commit.enqueue(1)
    opening = threading.Timer(0.05, store.open.set)
    opening.start()
    commit.close()
    assert slot.done.is_set()
    opening.join()
    assert set(threading.enumerate()) <= before


def test_commit_that_nothing_was_submitted_to_can_be_asked_and_closed() -> None:
    commit = grouped(Store())
    assert not commit.is_awaited(0)
    assert commit.abandon() == []
    commit.close()


def test_group_may_have_exactly_the_largest_number_of_bytes() -> None:
    store = Store()
    commit = grouped(store, max_bytes=10)
    with ThreadPoolExecutor(10) as pool:
        submit_behind_a_write(commit, store, pool, [1, 4, 6, 5, 6])
        store.open.set()
    assert store.groups == [[1], [4, 6], [5], [6]]


def test_nobody_waits_longer_than_it_wants_to_however_long_the_write_takes() -> None:
    store = Store()
    commit = grouped(store)
    with pytest.raises(TimeoutError):
        commit.submit(1, 0.01)
    store.open.set()
    assert commit.submit(2, 10) == 20
    assert store.groups == [[1], [2]], "the first was being written, and may well have been"
    commit.close()


def test_closing_writes_what_was_submitted_and_takes_no_more() -> None:
    store = Store()
    commit = grouped(store)
    with ThreadPoolExecutor(10) as pool:
        futures = submit_behind_a_write(commit, store, pool, [1, 2, 3])
        closing = pool.submit(commit.close)
        store.open.set()
        assert [future.result(10) for future in futures] == [10, 20, 30]
        closing.result(10)
    with pytest.raises(InterruptedError, match=r"^closed$"):
        commit.submit(4, 1)


def test_a_write_that_answers_for_too_few_is_an_error_for_all() -> None:
    store = Store()
    commit: GroupCommit[int, int] = GroupCommit(
        lambda group: store.write(group)[1:], size=int, max_items=10, max_bytes=10
    )
    with ThreadPoolExecutor(10) as pool:
        futures = submit_behind_a_write(commit, store, pool, [1, 2, 3])
        store.open.set()
        for future in futures:
            with pytest.raises(ValueError, match="shorter"):
                future.result(10)


def test_many_threads_each_get_their_own_result() -> None:
    store = Store()
    store.open.set()
    commit = grouped(store)
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda number: commit.submit(number, 10), range(2000)))
    assert results == [number * 10 for number in range(2000)]
    assert sorted(number for group in store.groups for number in group) == list(range(2000))


def test_abandoned_submissions_are_all_that_have_no_result_in_their_order() -> None:
    store = Store()
    commit = grouped(store)
    slots = [commit.enqueue(1)]
    assert store.entered.acquire(timeout=10)
    slots += [commit.enqueue(number) for number in (2, 3)]
    assert commit.abandon() == slots
    for slot in slots:
        slot.fail(OSError("given up"))
    assert not commit.is_awaited(0)
    last = commit.enqueue(4)
    store.open.set()
    assert commit.wait(last, 10) == 40
    for slot in slots:
        with pytest.raises(OSError, match="given up"):
            commit.wait(slot, 0)
    assert store.groups == [[1], [4]], "the first was being written already"
    commit.close()


def test_submissions_whose_results_are_known_are_not_abandoned() -> None:
    store = Store()
    commit = grouped(store)
    first = commit.enqueue(1)
    assert store.entered.acquire(timeout=10)
    second = commit.enqueue(2)
    assert commit.is_awaited(0)
    assert not commit.is_awaited(1)
    assert commit.abandon(1) == [second]
    store.open.set()
    assert commit.wait(first, 10) == 10
    commit.close()


def test_whole_group_that_is_being_written_is_abandoned() -> None:
    doors = {1: threading.Event(), 2: threading.Event()}
    entered = threading.Semaphore(0)

    def write(group: Sequence[int]) -> Sequence[int]:
        entered.release()
        assert doors[group[0]].wait(10)
        return group

    commit = GroupCommit(write, size=int, max_items=9, max_bytes=9)
    first = commit.enqueue(1)
    assert entered.acquire(timeout=10)
    group = [commit.enqueue(2), commit.enqueue(3)]
    doors[1].set()
    assert commit.wait(first, 10) == 1
    assert entered.acquire(timeout=10)
    assert commit.abandon() == group
    assert commit.abandon(1) == group[1:]
    doors[2].set()
    commit.close()


class Item:
    """Something to write that can be looked after."""


def test_what_could_not_be_written_is_let_go_without_a_collection() -> None:
    def write(_group: Sequence[Item]) -> list[int]:
        raise OSError("down")

    commit = GroupCommit(write, size=lambda _item: 1, max_items=9, max_bytes=9)
    item = Item()
    left = weakref.ref(item)
    gc.disable()
    try:
        try:
            commit.submit(item, 10)
        except OSError:
            pass
        del item
        wait_until(lambda: left() is None)
    finally:
        gc.enable()
        commit.close()


def test_item_that_was_written_is_released_without_a_collection() -> None:
    commit: GroupCommit[Item, int] = GroupCommit(
        lambda group: [1] * len(group), size=lambda _item: 1, max_items=9, max_bytes=9
    )
    item = Item()
    left = weakref.ref(item)
    gc.disable()
    try:
        assert commit.submit(item, 10) == 1
        del item
        wait_until(lambda: left() is None)
    finally:
        gc.enable()
        commit.close()
