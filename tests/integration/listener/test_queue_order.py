"""The order of a partition's messages where they pass from Redis to the spool and back."""

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis

from listener.errors import QueueUnavailableError
from listener.messages.message import Message
from listener.messages.payload import parse
from listener.queue.keys import partition_number
from listener.queue.queue import DurableQueue, PutResult
from listener.spool.spool import Spool
from testbed.polling import wait_until
from tests.support.queue_environment import NOW, QueueEnvironment, message

pytestmark = pytest.mark.redis_flavour

# Longer than any test takes: what waits so long has to be woken.
FOREVER_S = 60.0


@pytest.fixture
def environment(redis_server: str) -> Iterator[QueueEnvironment]:
    with TemporaryDirectory(prefix="fota-") as folder:
        yield QueueEnvironment(Path(folder))


@contextmanager
def paused(client: "redis.Redis") -> Iterator[None]:
    """Has Redis hold every write until the end, and answer it then."""
    client.client_pause(60_000, all=False)
    try:
        yield
    finally:
        client.client_unpause()


@contextmanager
def frozen(client: "redis.Redis") -> Iterator[None]:
    """Stops the server's process; it answers later what it was sent meanwhile."""
    info: Any = client.info("server")
    os.kill(info["process_id"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(info["process_id"], signal.SIGCONT)


def is_waiting(queue: DurableQueue, partition: int, count: int) -> bool:
    """Whether the writer is at a group of a partition, and that many messages wait behind it."""
    commit = queue._writer._streams[partition]._commit
    return bool(commit._writing) and len(commit._waiting) == count


def is_down(queue: DurableQueue, sent: Message) -> bool:
    return queue._writer.partition_of(sent).number in queue._down_partitions.numbers


def put_one_by_one(
    queue: DurableQueue, pool: ThreadPoolExecutor, sent: Sequence[Message], partition: int = 0
) -> list[Future[PutResult]]:
    """Puts a first message, which is being written then, and the others behind it, in their order."""
    futures = []
    for behind, each in enumerate(sent):
        futures.append(pool.submit(queue.put, each))
        wait_until(partial(is_waiting, queue, partition, behind))
        # Only the first one runs out of time.
        queue._writer.budget_s = FOREVER_S
    return futures


def test_messages_that_wait_when_redis_hangs_are_spooled_before_later_ones(
    environment: QueueEnvironment,
) -> None:
    with (
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
        environment.queue(ACK_BUDGET_MS="1000") as queue,
        ThreadPoolExecutor(10) as pool,
    ):
        queue.put(message(0))
        with frozen(client):
            waiting = put_one_by_one(queue, pool, [message(number) for number in range(1, 5)])
            assert waiting[0].result().stored_in == "spool"
            assert queue.put(message(5)).stored_in == "spool"
            assert [future.result(5).stored_in for future in waiting] == ["spool"] * 4
        wait_until(lambda: environment.spooled() == 0)
        assert environment.stream() == list(range(6))


def test_messages_that_wait_when_an_outage_ends_at_once_do_not_overtake_its_first(
    environment: QueueEnvironment,
) -> None:
    with (
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
        environment.queue(ACK_BUDGET_MS="1000") as queue,
        ThreadPoolExecutor(10) as pool,
    ):
        queue.put(message(0))
        with paused(client):
            waiting = put_one_by_one(queue, pool, [message(number) for number in range(1, 5)])
            waiting[0].result()
        # The writer's next attempt succeeds.
        assert [future.result(5).stored_in for future in waiting] == ["spool"] * 4
        wait_until(lambda: environment.spooled() == 0 and len(environment.stream()) == 5)
        assert environment.stream() == list(range(5))


def test_messages_that_a_full_redis_refuses_are_spooled_before_later_ones(
    environment: QueueEnvironment,
) -> None:
    with (
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
        environment.queue(ACK_BUDGET_MS="4000") as queue,
        ThreadPoolExecutor(10) as pool,
    ):
        queue.put(message(0))
        client.config_set("maxmemory", "1")
        with paused(client):
            waiting = put_one_by_one(queue, pool, [message(number) for number in range(1, 5)])
        waiting[0].result()
        # Those behind it would be taken again.
        client.config_set("maxmemory", "0")
        assert [future.result(5).stored_in for future in waiting] == ["spool"] * 4
        wait_until(lambda: environment.spooled() == 0 and len(environment.stream()) == 5)
        assert environment.stream() == list(range(5))


def test_messages_that_wait_when_redis_ends_are_spooled_before_later_ones(
    environment: QueueEnvironment,
) -> None:
    with (
        environment.queue(ACK_BUDGET_MS="4000") as queue,
        ThreadPoolExecutor(10) as pool,
    ):
        with environment.server(), redis.Redis.from_url(environment.url) as client:
            client.client_pause(60_000, all=False)
            waiting = put_one_by_one(queue, pool, [message(number) for number in range(4)])
        waiting[0].result()
        queue.put(message(4))
        assert [future.result(5).stored_in for future in waiting] == ["spool"] * 4
        with environment.server():
            wait_until(lambda: environment.spooled() == 0)
            assert environment.stream() == list(range(5))


def test_each_partition_keeps_its_order_while_others_are_given_up(
    environment: QueueEnvironment,
) -> None:
    sent: dict[int, list[Message]] = {0: [], 1: [], 2: []}
    for number in range(60):
        payload = {"type": "new", "n": number, "accountName": f"a-{number}"}
        each = Message.from_payload(payload, arrived=NOW, request_id="r")
        sent[partition_number(each, 3)].append(each)
    with (
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
        environment.queue(ACK_BUDGET_MS="1000", QUEUE_PARTITIONS="3") as queue,
        ThreadPoolExecutor(60) as pool,
    ):
        with frozen(client):
            waiting = []
            for partition, group in sent.items():
                queue._writer.budget_s = 2.0 + partition
                waiting += put_one_by_one(queue, pool, group[:-1], partition)
            for group in sent.values():
                wait_until(partial(is_down, queue, group[-1]))
                queue.put(group[-1])
            assert {future.result(10).stored_in for future in waiting} == {"spool"}
        wait_until(lambda: environment.spooled() == 0)
        for partition, group in sent.items():
            assert environment.stream(partition) == [parse(each.data)["n"] for each in group]


def test_what_somebody_else_finds_down_is_spooled_in_order_at_once(
    environment: QueueEnvironment,
) -> None:
    with (
        environment.server(),
        redis.Redis.from_url(environment.url) as client,
        environment.queue(ACK_BUDGET_MS="4000") as queue,
        ThreadPoolExecutor(10) as pool,
    ):
        with paused(client):
            waiting = put_one_by_one(queue, pool, [message(number) for number in range(4)])
            # As the drainer and the readiness check do.
            queue._writer.give_up(0, QueueUnavailableError("found down"))
            queue.put(message(4))
            assert [future.result(5).stored_in for future in waiting] == ["spool"] * 4
        wait_until(lambda: environment.spooled() == 0)
        assert environment.stream() == list(range(5))


def test_new_messages_and_those_that_the_drainer_moves_each_keep_their_order(
    environment: QueueEnvironment,
) -> None:
    spool = Spool(environment.folder / "spool", 2**24)
    for number in range(600):
        spool.put(message(number), 5)
    spool.close()
    with environment.server(), environment.queue() as queue:
        for number in range(600, 700):
            queue.put(message(number))
        wait_until(lambda: environment.spooled() == 0)
        stream = environment.stream()
    assert [number for number in stream if number < 600] == list(range(600))
    assert [number for number in stream if number >= 600] == list(range(600, 700))
