"""A copy of what waited in the spool is found in the stream, although Redis forgot its fingerprint meanwhile."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import redis

from listener.messages.message import Message
from listener.messages.payload import parse
from listener.queue import fingerprints
from listener.queue.fingerprints import FingerprintRestorer
from listener.queue.keys import Partition
from listener.queue.queue import DurableQueue
from listener.settings.settings import Settings
from listener.spool.spool import Spool
from testbed import redis_process
from testbed.polling import wait_until
from testbed.resp_proxy import RespProxy

WHERE = Partition("fota", 0)
WINDOW_S = 12


class World:
    """A server, a spool, and a moment from which times are counted in seconds."""

    def __init__(self, folder: Path, url: str, client: Any) -> None:
        self.folder = folder
        self.url = url
        self.redis = client
        self.now = datetime.now(UTC)
        self._sequence = itertools.count()

    def message(self, number: int, at: float, size: int = 0) -> Message:
        payload = {"type": "new", "n": number, "padding": "x" * size}
        arrived = self.now + timedelta(seconds=at)
        return Message.from_payload(payload, arrived=arrived, request_id="r")

    def add(self, message: Message) -> None:
        """Adds an entry as of its message's arrival, whose fingerprint is forgotten."""
        moment = datetime.fromisoformat(message.time)
        entry_id = f"{int(moment.timestamp() * 1000)}-{next(self._sequence)}"
        self.redis.xadd(WHERE.messages, message.fields(), id=entry_id)

    def spool(self, *spooled: Message) -> None:
        with closing(Spool(self.folder / "spool", 2**30)) as spool:
            for each in spooled:
                spool.put(each, 10)

    def drain(self, **environ: str) -> None:
        """Returns once nothing waits."""
        with self.keeper(**environ):
            wait_until(lambda: self.spooled() == 0)

    def spooled(self) -> int:
        with closing(Spool(self.folder / "spool", 2**30)) as spool:
            return len(spool.oldest(10_000))

    @contextmanager
    def keeper(self, **environ: str) -> Iterator[DurableQueue]:
        settings = {
            "REDIS_URL": self.url,
            "ALLOW_ANY_SENDER": "true",
            "SPOOL_DIR": f"{self.folder}/spool",
            "DEDUPE_WINDOW_S": str(WINDOW_S),
            "ACK_BUDGET_MS": "2000",
        }
        keeper = DurableQueue(Settings.from_env({**settings, **environ}))
        keeper.start()
        try:
            yield keeper
        finally:
            keeper.close()

    def count(self, number: int) -> int:
        entries = self.redis.xrange(WHERE.messages)
        return [parse(fields[b"data"])["n"] for _, fields in entries].count(number)

    def calls(self, command: str) -> int:
        stats = self.redis.info("commandstats").get(f"cmdstat_{command}", {})
        return int(stats.get("calls", 0))


@pytest.fixture
def world(redis_server: str) -> Iterator[World]:
    with (
        TemporaryDirectory(prefix="fota-") as name,
        redis_process.running(Path(name)) as url,
        redis.Redis.from_url(url) as client,
    ):
        yield World(Path(name), url, client)


@pytest.mark.parametrize(
    ("entered", "arrived", "entries"),
    [
        # The first copy nine seconds before the one that waited for three and a half.
        (-12.5, -3.5, 1),
        (-13.5, -3.5, 1),
        (-100.0, -95.0, 1),
        # Just within the window, and just beyond it: a message of its own.
        (-100.0, -88.5, 1),
        (-100.0, -87.5, 2),
        # The copy that another host took while this one waited.
        (-90.0, -95.0, 1),
        (-84.0, -95.0, 1),
        (-82.0, -95.0, 2),
        # Carried out late, although it was not confirmed.
        (-90.9, -91.0, 1),
    ],
)
def test_a_copy_within_the_window_is_found_however_long_the_message_waited(
    world: World, entered: float, arrived: float, entries: int
) -> None:
    world.add(world.message(1, entered))
    world.spool(world.message(1, arrived))
    world.drain()
    assert world.count(1) == entries


def test_what_is_remembered_still_is_not_added_again(world: World) -> None:
    with world.keeper() as keeper:
        keeper.put(world.message(1, 0))
        world.spool(world.message(1, 0))
        wait_until(lambda: world.spooled() == 0)
    assert world.count(1) == 1


def test_the_stream_is_read_once_for_all_that_wait(world: World) -> None:
    for number in range(2000):
        world.add(world.message(number, -80 + number / 100))
    # One in ten is in the stream.
    waiting = [world.message(number * 10, -39) for number in range(200)]
    waiting += [world.message(10_000 + number, -38) for number in range(500)]
    world.spool(*waiting)
    world.drain(DEDUPE_WINDOW_S="50")
    assert world.redis.xlen(WHERE.messages) == 2500
    # Three batches; a page has 128 entries, the first ones fewer.
    assert world.calls("xrange") < 2 * 2000 / fingerprints.PAGE


@pytest.mark.parametrize("at", [-590.0, -300.0, -100.0])
def test_for_an_old_message_the_stream_is_read_only_around_its_arrival(
    world: World, at: float
) -> None:
    for number in range(1200):
        world.add(world.message(number, -600 + number / 2))
    copy = world.message(int(600 + at) * 2, at)
    searching(world, world.redis, 0.0, [copy])
    assert world.redis.exists(WHERE.fingerprint(copy.id))
    # Within twelve seconds before and after it are 48 entries: pages of 8, 16 and 32.
    assert world.calls("xrange") <= 3


@pytest.mark.parametrize("ages", [(500, 30), (30, 500), (500, 30, 300), (300, 500, 30, 100)])
def test_groups_of_different_ages_are_all_compared(world: World, ages: tuple[int, ...]) -> None:
    copies = [world.message(age, -age) for age in ages]
    for age in sorted(ages, reverse=True):
        world.add(world.message(age, -age + 11))
    world.spool(*copies)
    with closing(Spool(world.folder / "spool", 2**30)) as spool:
        search = FingerprintRestorer(world.redis, WHERE, WINDOW_S, spool)
        for each in spool.oldest(10):
            search.restore([each])
    assert all(world.redis.exists(WHERE.fingerprint(copy.id)) for copy in copies)


def test_what_is_journalled_during_the_search_is_compared_with_all(world: World) -> None:
    late = world.message(1, -20)
    world.add(world.message(1, -25))
    with closing(Spool(world.folder / "spool", 2**30)) as spool:
        spool.put(world.message(0, -20), 10)
        search = FingerprintRestorer(world.redis, WHERE, WINDOW_S, spool)
        first = spool.oldest(10)
        search.restore(first)
        spool.remove(first)
        spool.put(late, 10)
        search.restore(spool.oldest(10))
    assert world.redis.exists(WHERE.fingerprint(late.id))


def searching(world: World, client: Any, behind_s: float, waiting: Sequence[Message]) -> None:
    """Searches as a host whose clock is behind that of Redis."""
    world.spool(*waiting)

    def clock() -> datetime:
        return datetime.now(UTC) - timedelta(seconds=behind_s)

    with closing(Spool(world.folder / "spool", 2**30)) as spool:
        FingerprintRestorer(client, WHERE, WINDOW_S, spool, clock).restore(spool.oldest(10))


@pytest.mark.parametrize("behind_s", [-7200.0, -60.0, 0.0, 60.0, 7200.0])
def test_clocks_that_differ_make_no_difference(world: World, behind_s: float) -> None:
    world.add(world.message(2, -17))
    world.add(world.message(1, -12.5))
    copies = [world.message(1, -3.5 - behind_s), world.message(2, -3.5 - behind_s)]
    searching(world, world.redis, behind_s, copies)
    assert [world.redis.exists(WHERE.fingerprint(copy.id)) for copy in copies] == [1, 0]


def test_without_the_time_of_redis_clocks_may_differ_by_seconds(world: World) -> None:
    world.redis.execute_command("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-time")
    world.add(world.message(1, -14))
    copy = world.message(1, -3.5 - 3)
    with redis.Redis.from_url(f"{world.url}?username=app&password=p") as client:
        searching(world, client, 3.0, [copy])
    assert world.redis.exists(WHERE.fingerprint(copy.id))


def test_large_entries_are_read_few_at_a_time(world: World) -> None:
    for number in range(12):
        world.add(world.message(number, -15 + number / 10, 1_000_000))
    copy = world.message(11, -5, 1_000_000)
    with RespProxy(world.folder / redis_process.SOCKET).running() as proxy:
        world.spool(copy)
        began = time.monotonic()
        world.drain(REDIS_URL=proxy.url)
        assert time.monotonic() - began < 20
    assert world.count(11) == 1
    assert world.calls("xrange") > 2
