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

from listener.inspection.entries import find_entry_id
from listener.messages.message import Message
from listener.messages.payload import parse
from listener.queue import fingerprints
from listener.queue.fingerprints import FingerprintRestorer
from listener.queue.keys import Partition
from listener.queue.queue import DurableQueue
from listener.settings.settings import Settings
from listener.spool.spool import Spool
from testbed.polling import wait_until
from testbed.proxies.resp_proxy import RespProxy
from testbed.redis_servers import redis_process

pytestmark = pytest.mark.redis_flavour

WHERE = Partition("fota", 0)
WINDOW_S = 12


class DatedQueue:
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

    def remembers(self, message: Message) -> bool:
        return find_entry_id(self.redis, WHERE, message.id) is not None

    def calls(self, command: str) -> int:
        stats = self.redis.info("commandstats").get(f"cmdstat_{command}", {})
        return int(stats.get("calls", 0))


@pytest.fixture
def dated(redis_server: str) -> Iterator[DatedQueue]:
    with (
        TemporaryDirectory(prefix="fota-") as name,
        redis_process.running(Path(name)) as url,
        redis.Redis.from_url(url) as client,
    ):
        yield DatedQueue(Path(name), url, client)


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
    dated: DatedQueue, entered: float, arrived: float, entries: int
) -> None:
    dated.add(dated.message(1, entered))
    dated.spool(dated.message(1, arrived))
    dated.drain()
    assert dated.count(1) == entries


def test_what_is_remembered_still_is_not_added_again(dated: DatedQueue) -> None:
    with dated.keeper() as keeper:
        keeper.put(dated.message(1, 0))
        dated.spool(dated.message(1, 0))
        wait_until(lambda: dated.spooled() == 0)
    assert dated.count(1) == 1


@pytest.mark.slow
def test_the_stream_is_read_once_for_all_that_wait(dated: DatedQueue) -> None:
    for number in range(2000):
        dated.add(dated.message(number, -80 + number / 100))
    # One in ten is in the stream.
    waiting = [dated.message(number * 10, -39) for number in range(200)]
    waiting += [dated.message(10_000 + number, -38) for number in range(500)]
    dated.spool(*waiting)
    dated.drain(DEDUPE_WINDOW_S="50")
    assert dated.redis.xlen(WHERE.messages) == 2500
    # Three batches; a page has 128 entries, the first ones fewer.
    assert dated.calls("xrange") < 2 * 2000 / fingerprints.PAGE


@pytest.mark.parametrize("at", [-590.0, -300.0, -100.0])
def test_for_an_old_message_the_stream_is_read_only_around_its_arrival(
    dated: DatedQueue, at: float
) -> None:
    for number in range(1200):
        dated.add(dated.message(number, -600 + number / 2))
    copy = dated.message(int(600 + at) * 2, at)
    searching(dated, dated.redis, 0.0, [copy])
    assert dated.remembers(copy)
    # Within twelve seconds before and after it are 48 entries: pages of 8, 16 and 32.
    assert dated.calls("xrange") <= 3


@pytest.mark.parametrize("ages", [(500, 30), (30, 500), (500, 30, 300), (300, 500, 30, 100)])
def test_groups_of_different_ages_are_all_compared(
    dated: DatedQueue, ages: tuple[int, ...]
) -> None:
    copies = [dated.message(age, -age) for age in ages]
    for age in sorted(ages, reverse=True):
        dated.add(dated.message(age, -age + 11))
    dated.spool(*copies)
    with closing(Spool(dated.folder / "spool", 2**30)) as spool:
        search = FingerprintRestorer(dated.redis, WHERE, WINDOW_S, spool)
        for each in spool.oldest(10):
            search.restore([each])
    assert all(dated.remembers(copy) for copy in copies)


def test_what_is_journalled_during_the_search_is_compared_with_all(dated: DatedQueue) -> None:
    late = dated.message(1, -20)
    dated.add(dated.message(1, -25))
    with closing(Spool(dated.folder / "spool", 2**30)) as spool:
        spool.put(dated.message(0, -20), 10)
        search = FingerprintRestorer(dated.redis, WHERE, WINDOW_S, spool)
        first = spool.oldest(10)
        search.restore(first)
        spool.remove(first)
        spool.put(late, 10)
        search.restore(spool.oldest(10))
    assert dated.remembers(late)


def searching(dated: DatedQueue, client: Any, behind_s: float, waiting: Sequence[Message]) -> None:
    """Searches as a host whose clock is behind that of Redis."""
    dated.spool(*waiting)

    def clock() -> datetime:
        return datetime.now(UTC) - timedelta(seconds=behind_s)

    with closing(Spool(dated.folder / "spool", 2**30)) as spool:
        FingerprintRestorer(client, WHERE, WINDOW_S, spool, clock).restore(spool.oldest(10))


@pytest.mark.parametrize("behind_s", [-7200.0, -60.0, 0.0, 60.0, 7200.0])
def test_clocks_that_differ_make_no_difference(dated: DatedQueue, behind_s: float) -> None:
    dated.add(dated.message(2, -17))
    dated.add(dated.message(1, -12.5))
    copies = [dated.message(1, -3.5 - behind_s), dated.message(2, -3.5 - behind_s)]
    searching(dated, dated.redis, behind_s, copies)
    assert [dated.remembers(copy) for copy in copies] == [True, False]


def test_without_the_time_of_redis_clocks_may_differ_by_seconds(dated: DatedQueue) -> None:
    dated.redis.execute_command("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-time")
    dated.add(dated.message(1, -14))
    copy = dated.message(1, -3.5 - 3)
    with redis.Redis.from_url(f"{dated.url}?username=app&password=p") as client:
        searching(dated, client, 3.0, [copy])
    assert dated.remembers(copy)


def test_large_entries_are_read_few_at_a_time(dated: DatedQueue) -> None:
    for number in range(12):
        dated.add(dated.message(number, -15 + number / 10, 1_000_000))
    copy = dated.message(11, -5, 1_000_000)
    with RespProxy(dated.folder / redis_process.SOCKET).running() as proxy:
        dated.spool(copy)
        began = time.monotonic()
        dated.drain(REDIS_URL=proxy.url)
        assert time.monotonic() - began < 20
    assert dated.count(11) == 1
    assert dated.calls("xrange") > 2
