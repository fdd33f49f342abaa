"""What the run in memory shows is what happens on a real Redis: the same cases, with equal outcomes."""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from listener.consumer import Consumer, Reject, Retry, message
from listener.consumer.messages import fields_of
from listener.consumer.testing import InMemoryRun, sample
from testbed.polling import wait_until
from tests.support.consumer_feed import STREAM
from tests.support.consumer_runs import GROUP, QUICK, is_done, running

DEAD = f"{{fota:0}}:dead:{GROUP}"

Delivery = tuple[str, str, int]
"""The upgrade, the device, and the number of the delivery."""

Behaviour = Callable[[Any], None]


def succeed(_: Any) -> None: ...


def fail(it: Any) -> None:
    raise LookupError(f"{it.device_id} é\nsecond line" + "x" * 2000)


def fail_first(it: Any) -> None:
    if it.device_id in {"0", "3"} and it.deliveries == 1:
        raise LookupError


def reject_odd(it: Any) -> None:
    if int(it.device_id) % 2:
        raise Reject("odd")


def retry_at_once(it: Any) -> None:
    if it.deliveries < 3:
        raise Retry("not yet", after_s=0)


def fail_in_group(_: Any) -> None:
    raise BaseExceptionGroup("of several", [LookupError("a"), SystemExit("b")])


def messages(upgrades: int) -> list[dict[str, Any]]:
    finished = [
        sample("upgrade-finished", device_id=str(number), upgrade_id=f"u-{number % upgrades}")
        for number in range(8)
    ]
    return [*finished[:4], sample("unknown"), *finished[4:]]


def consumer(
    url: str, behaviour: Behaviour, got: list[Delivery], *, is_async: bool, **options: Any
) -> Consumer:
    made = Consumer(url, group=GROUP, **{**QUICK, "max_deliveries": 3, **options})

    def plain(it: Any) -> None:
        got.append((it.upgrade_id, it.device_id, it.deliveries))
        behaviour(it)

    @functools.wraps(plain)
    async def later(it: Any) -> None:
        await asyncio.sleep(0)
        plain(it)

    made.on("upgrade-finished")(later if is_async else plain)
    return made


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize(
    "behaviour", [succeed, fail, fail_first, reject_odd, retry_at_once, fail_in_group]
)
def test_run_in_memory_has_the_outcomes_of_a_real_one(
    redis_url: str, redis_client: Any, behaviour: Behaviour, *, ordered: bool, is_async: bool
) -> None:
    on_redis: list[Delivery] = []
    in_memory: list[Delivery] = []
    for each in messages(upgrades=3):
        redis_client.xadd(STREAM, dict(fields_of(message(each))))
    reader = consumer(redis_url, behaviour, on_redis, is_async=is_async, ordered=ordered)
    with running(reader):
        wait_until(lambda: is_done(redis_client))
    with InMemoryRun(
        consumer(redis_url, behaviour, in_memory, is_async=is_async, ordered=ordered)
    ) as run:
        run.add(*messages(upgrades=3))
        run.run()
    assert sequences(in_memory, ordered=ordered) == sequences(on_redis, ordered=ordered)
    names = ("reason", "error", "deliveries")
    letters = [tuple(letter[name] for name in names) for _, letter in redis_client.xrange(DEAD)]
    assert sorted((it.reason, it.error, str(it.deliveries)) for it in run.dead) == sorted(letters)
    assert len(run.acknowledged) == 9 - len(letters)
    assert run.pending == []


def sequences(got: list[Delivery], *, ordered: bool) -> dict[str, list[Delivery]]:
    """What has an order: the deliveries of each upgrade, or else those of each message."""
    found: dict[str, list[Delivery]] = defaultdict(list)
    for upgrade, device, deliveries in got:
        found[upgrade if ordered else device].append((upgrade, device, deliveries))
    return found
