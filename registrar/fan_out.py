"""Runs one function over several items in parallel, no longer than the caller has time."""

import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)
Result = TypeVar("Result")

POLL_S = 0.05


def fan_out(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    wait: Callable[[float], bool],
    *,
    at_once: int,
) -> dict[Item, Result]:
    """The results by item; an item whose call did not end in time is missing.

    The threads are daemons, so that a call that hangs does not keep the process from ending.
    concurrent.futures would wait for it.

    Args:
        function: called once for each item; its exception is raised here.
        items: distinct.
        wait: sleeps for some seconds, and returns True early if there is no more time.
        at_once: how many calls run in parallel.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Item, Result | BaseException]] = queue.SimpleQueue()
    over = threading.Event()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while not over.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((item, function(item)))
            except BaseException as error:  # noqa: BLE001 (raised below, in the caller's thread)
                ended.put((item, error))

    for _ in range(min(at_once, len(items))):
        threading.Thread(target=work, daemon=True).start()
    try:
        return _collect(ended, len(items), wait)
    finally:
        # No further call begins once the caller has left.
        over.set()


def _collect(
    ended: "queue.SimpleQueue[tuple[Item, Result | BaseException]]",
    count: int,
    wait: Callable[[float], bool],
) -> dict[Item, Result]:
    results: dict[Item, Result] = {}
    while len(results) < count:
        try:
            item, result = ended.get(timeout=POLL_S)
        except queue.Empty:
            if wait(0):
                return results
            continue
        if isinstance(result, BaseException):
            raise result
        results[item] = result
    return results
