"""Fingerprints in hashes: their memory, the window at any moment, and replicas of release 0.1 beside them."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import redis

from listener.errors import QueueUnavailableError
from listener.inspection.entries import find_entry_id
from listener.queue.fingerprints import DEPLOYMENT_S, REFRESH_S, StringFingerprints
from listener.queue.writer import RedisWriter
from listener.settings.settings import Settings
from tests.support.fingerprint_clock import WHERE, Clock, ClockedWriter, OldWriter, message_id
from tests.support.queue_environment import message

pytestmark = pytest.mark.redis_flavour

WINDOW_S = 600
WINDOW_MS = WINDOW_S * 1000
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def server(redis_url: str, redis_client: Any) -> Any:
    """A client of an empty server that returns bytes."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def clock(server: Any) -> Clock:
    # In the future, so that the server itself expires nothing.
    return Clock(server, int(time.time() * 1000) + DAY_MS)


@pytest.fixture
def writer(server: Any, clock: Clock) -> ClockedWriter:
    return ClockedWriter(server, WINDOW_S, clock=clock)


def open_writer(url: str, **environ: str) -> RedisWriter:
    return RedisWriter(Settings.from_env({"REDIS_URL": url, "ALLOW_ANY_SENDER": "true", **environ}))


def hashes(client: Any) -> list[bytes]:
    return list(client.scan_iter("{fota:0}:seen:[0-9]*", count=1000, _type="hash"))


def strings(client: Any) -> list[bytes]:
    return list(client.scan_iter("{fota:0}:seen:*", count=1000, _type="string"))


def entries(client: Any) -> Counter[str]:
    """How often each message is in the stream."""
    return Counter(fields[b"id"].decode() for _, fields in client.xrange(WHERE.messages))


def neighbour_of(each: str) -> str:
    """Another id in the same hash."""
    return f"{each[:-1]}{int(each[-1], 16) ^ 1:x}"


def add_many(writer: Any, numbers: range) -> None:
    for first in range(numbers.start, numbers.stop, 256):
        ids = map(message_id, range(first, min(first + 256, numbers.stop)))
        assert not any(writer.add(*ids))


@pytest.mark.parametrize("number", [10_000, 60_000])
def test_a_fingerprint_takes_less_than_sixty_bytes(server: Any, number: int) -> None:
    add_many(ClockedWriter(server, WINDOW_S), range(number))
    with server.pipeline(transaction=False) as pipeline:
        for key in hashes(server):
            pipeline.memory_usage(key, samples=0)
        # The time of expiry and the place among the keys are not part of what MEMORY USAGE says.
        total = sum(size + 48 for size in pipeline.execute())
    assert total / number < 60
    assert not strings(server)


def test_the_window_is_exact_at_its_end(writer: ClockedWriter, clock: Clock) -> None:
    assert writer.add(message_id(1)) == [False]
    clock.advance(WINDOW_MS)
    assert writer.add(message_id(1)) == [True]
    clock.advance(1)
    assert writer.add(message_id(1)) == [False]
    clock.advance(WINDOW_MS)
    assert writer.add(message_id(1)) == [True]


@pytest.mark.parametrize("seed", range(4))
def test_the_window_is_exact_whatever_came_before(
    server: Any, writer: ClockedWriter, clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)
    added: dict[str, int] = {}
    for _ in range(600):
        clock.advance(chance.choice((0, 1, 1000, WINDOW_MS // 7, WINDOW_MS // 2, WINDOW_MS - 1)))
        # Few ids in one hash, so that it is extended with and without them.
        each = f"{chance.randrange(12):032x}"
        known = each in added and clock.now_ms - added[each] <= WINDOW_MS
        assert writer.add(each) == [known]
        if not known:
            added[each] = clock.now_ms
    assert server.xlen(WHERE.messages) < 600


def test_a_hash_expires_within_two_windows_and_holds_nothing_that_is_over(
    server: Any, writer: ClockedWriter, clock: Clock
) -> None:
    for number in range(50):
        writer.add(f"{number:032x}")
        clock.advance(WINDOW_MS // 5)
    key = WHERE.fingerprint_hash("0" * 32)
    assert WINDOW_MS <= int(server.hget(key, "")) - (clock.now_ms - WINDOW_MS // 5) <= 2 * WINDOW_MS
    # The field that says when it expires is none.
    assert server.hlen(key) - 1 <= 11


def test_a_call_purges_one_hash_and_the_others_come_up_again(
    server: Any, writer: ClockedWriter, clock: Clock
) -> None:
    first, second, third = (
        [f"{hash_number:08x}{each:024x}" for hash_number in range(20)] for each in (1, 2, 3)
    )
    writer.add(*first)
    clock.advance(WINDOW_MS + 1)
    writer.add(*second)
    keys = [WHERE.fingerprint_hash(each) for each in first]
    # The field that says when a hash expires, and one fingerprint or two.
    assert sorted(map(server.hlen, keys)) == [2] + [3] * 19
    assert all(int(server.hget(key, "")) >= clock.now_ms + WINDOW_MS for key in keys)
    clock.advance(WINDOW_MS // 8)
    for each in third:
        writer.add(each)
    assert set(map(server.hlen, keys)) == {3}
    assert writer.add(*second) == [True] * 20


def test_a_longer_window_holds_for_what_is_added_from_then_on(
    server: Any, writer: ClockedWriter, clock: Clock
) -> None:
    writer.add(message_id(1))
    longer = ClockedWriter(server, 10 * WINDOW_S, clock=clock)
    assert longer.add(message_id(1)) == [True]
    other = neighbour_of(message_id(1))
    longer.add(other)
    for _ in range(10):
        clock.advance(WINDOW_MS)
        assert longer.add(other) == [True]
    clock.advance(1)
    assert longer.add(other) == [False]


def test_a_clock_that_is_set_back_shortens_and_lengthens_nothing(
    server: Any, writer: ClockedWriter, clock: Clock
) -> None:
    writer.add(message_id(1))
    clock.advance(-DAY_MS // 2)
    assert writer.add(message_id(1)) == [True]
    # Its entry id is half a day ahead of the clock.
    assert writer.add(message_id(2)) == [False]
    clock.advance(WINDOW_MS)
    assert writer.add(message_id(2)) == [True]
    clock.advance(1)
    assert writer.add(message_id(2)) == [False]


def test_a_clock_that_was_far_ahead_leaves_no_hash_that_only_grows(
    server: Any, writer: ClockedWriter, clock: Clock
) -> None:
    clock.advance(1000 * DAY_MS)
    writer.add(message_id(1))
    clock.advance(-1000 * DAY_MS)
    for number in range(50):
        clock.advance(WINDOW_MS // 5)
        assert writer.add(f"{message_id(1)[:-4]}{number:04x}") == [False]
    key = WHERE.fingerprint_hash(message_id(1))
    assert int(server.hget(key, "")) <= clock.now_ms + 2 * WINDOW_MS
    assert server.hlen(key) < 15


@pytest.mark.parametrize("now_ms", [10**11, 10**12 - 2000, 10**13 - 60_000])
def test_the_time_may_have_other_than_thirteen_digits(server: Any, now_ms: int) -> None:
    clock = Clock(server, now_ms)
    # A hash that expired by the server's own clock is removed at once.
    window_s = 10**9
    writer = ClockedWriter(server, window_s, clock=clock)
    for number in range(3):
        assert writer.add(message_id(1)) == [number > 0]
        clock.advance(1000)
    [(entry_id, _)] = server.xrange(WHERE.messages)
    assert find_entry_id(server, WHERE, message_id(1)) == entry_id.decode()


def test_a_clock_that_is_set_forward_ends_the_window_of_what_was_there(
    writer: ClockedWriter, clock: Clock
) -> None:
    writer.add(message_id(1))
    clock.advance(DAY_MS)
    assert writer.add(message_id(1), message_id(2)) == [False, False]
    assert writer.add(message_id(1), message_id(2)) == [True, True]


def test_a_restored_fingerprint_is_known_for_a_window_from_then_on(
    server: Any, writer: ClockedWriter, clock: Clock
) -> None:
    writer.add(message_id(1))
    [(entry_id, _)] = server.xrange(WHERE.messages)
    clock.advance(20 * WINDOW_MS)
    writer.add(message_id(1), entry_id=entry_id.decode())
    assert find_entry_id(server, WHERE, message_id(1)) == entry_id.decode()
    clock.advance(WINDOW_MS)
    assert writer.add(message_id(1)) == [True]
    clock.advance(1)
    assert writer.add(message_id(1)) == [False]


def test_the_same_message_twice_in_one_call_is_one_entry(
    server: Any, writer: ClockedWriter
) -> None:
    assert writer.add(message_id(1), message_id(2), message_id(1)) == [False, False, True]
    assert server.xlen(WHERE.messages) == 2


def test_a_hash_that_outgrew_the_compact_form_is_used_all_the_same(server: Any) -> None:
    before = server.config_get("hash-max-ziplist-entries")
    server.config_set("hash-max-ziplist-entries", 4)
    try:
        writer = ClockedWriter(server, WINDOW_S)
        add_many(writer, range(5_000))
        assert all(writer.add(*map(message_id, range(250))))
    finally:
        server.config_set("hash-max-ziplist-entries", *before.values())


# Release 0.1 beside this one.


@pytest.fixture
def new(server: Any) -> Callable[..., list[bool]]:
    return ClockedWriter(server, WINDOW_S, with_strings=True).add


@pytest.fixture
def old(server: Any) -> Callable[..., list[bool]]:
    return OldWriter(server, WINDOW_S).add


def mixed(writers: list[Callable[..., list[bool]]], seed: int, numbers: range) -> None:
    """Sends each message one to three times, to any of the writers, in any order."""
    chance = random.Random(seed)
    sends = [number for number in numbers for _ in range(chance.randint(1, 3))]
    chance.shuffle(sends)
    while sends:
        group = [message_id(sends.pop()) for _ in range(min(chance.randint(1, 8), len(sends)))]
        chance.choice(writers)(*group)


@pytest.mark.parametrize("seed", range(3))
def test_a_rolling_deployment_and_a_rollback_neither_double_nor_lose(
    server: Any, old: Any, new: Any, seed: int
) -> None:
    mixed([old], seed, range(100))
    mixed([old, new], seed, range(50, 200))
    mixed([new], seed, range(150, 300))
    mixed([old, new], seed, range(250, 350))
    mixed([old], seed, range(400))
    mixed([new], seed, range(450))
    assert entries(server) == Counter(map(message_id, range(450)))


def test_a_replica_without_string_keys_recognises_what_one_with_them_added(
    server: Any, new: Any
) -> None:
    without = ClockedWriter(server, WINDOW_S).add
    mixed([new, without], 1, range(100))
    assert entries(server) == Counter(map(message_id, range(100)))


def test_what_release_0_1_added_lasts_for_its_own_window(server: Any, old: Any, new: Any) -> None:
    old(message_id(1))
    server.pexpire(WHERE.fingerprint_string(message_id(1)), 50_000)
    assert new(message_id(1)) == [True]
    assert 0 < server.pttl(WHERE.fingerprint_string(message_id(1))) <= 50_000


def test_string_keys_are_used_until_a_day_and_a_window_after_the_first_question(
    server: Any, old: Any
) -> None:
    old(message_id(1))
    begin = 1_800_000_000.0
    first, later = (StringFingerprints(server, WHERE, WINDOW_S) for _ in range(2))
    assert first.are_used(begin)
    end = begin + DEPLOYMENT_S + WINDOW_S
    assert later.are_used(end - 1)
    assert first.are_used(end - 1)
    assert not first.are_used(end)
    assert not later.are_used(end + DEPLOYMENT_S)


@pytest.mark.parametrize("made", ["nothing", "a group"])
def test_without_an_earlier_entry_there_are_no_string_keys(
    redis_url: str, server: Any, made: str
) -> None:
    if made == "a group":
        server.xgroup_create(WHERE.messages, "billing", "0", mkstream=True)
    with closing(open_writer(redis_url)) as writer:
        writer.put(message(1))
    assert strings(server) == [WHERE.fingerprint_strings.encode()]


def test_a_service_behind_release_0_1_uses_both_forms(
    redis_url: str, server: Any, old: Any
) -> None:
    old(message(1).id)
    server.xtrim(WHERE.messages, 0)
    with closing(open_writer(redis_url)) as writer:
        assert writer.put(message(1)).duplicate
        assert not writer.put(message(2)).duplicate
    assert old(message(2).id, message(3).id) == [True, False]


def test_a_deleted_or_emptied_server_decides_anew(server: Any, old: Any) -> None:
    used = StringFingerprints(server, WHERE, WINDOW_S)
    now = time.time()
    assert not used.are_used(now)
    old(message_id(1))
    assert not used.are_used(now + REFRESH_S)
    server.delete(WHERE.fingerprint_strings)
    assert not used.are_used(now + REFRESH_S + 1)
    assert used.are_used(now + 2 * REFRESH_S)
    server.flushall()
    assert not used.are_used(now + 3 * REFRESH_S)


def test_an_operator_begins_the_transition_again(server: Any) -> None:
    used = StringFingerprints(server, WHERE, WINDOW_S)
    now = time.time()
    assert not used.are_used(now)
    server.set(WHERE.fingerprint_strings, int(now + 1000) * 1000)
    assert used.are_used(now + REFRESH_S)
    assert not used.are_used(now + 1000)


@pytest.mark.parametrize("value", ["soon", "", "1.5"])
def test_string_keys_are_used_where_redis_does_not_say(server: Any, value: str) -> None:
    server.set(WHERE.fingerprint_strings, value)
    assert StringFingerprints(server, WHERE, WINDOW_S).are_used(time.time())
    server.delete(WHERE.fingerprint_strings)
    server.rpush(WHERE.fingerprint_strings, value)
    assert StringFingerprints(server, WHERE, WINDOW_S).are_used(time.time())


# What harms Redis.


def test_a_full_redis_remembers_nothing_that_it_did_not_add(redis_url: str, server: Any) -> None:
    with closing(open_writer(redis_url)) as writer:
        writer.put(message(1))
        server.config_set("maxmemory", 1)
        try:
            with pytest.raises(QueueUnavailableError, match="maxmemory"):
                writer.put(message(2))
        finally:
            server.config_set("maxmemory", 0)
        assert not writer.put(message(2)).duplicate
        assert writer.put(message(1)).duplicate


def test_an_emptied_server_and_a_forgotten_script_cost_no_message(
    redis_url: str, server: Any
) -> None:
    with closing(open_writer(redis_url)) as writer:
        writer.put(message(1))
        server.flushall()
        server.script_flush()
        assert not writer.put(message(1)).duplicate
        server.script_flush()
        assert writer.put(message(1)).duplicate


@pytest.mark.parametrize("denied", ["hset", "set"])
def test_a_right_that_is_missing_for_fingerprints_leaves_no_entry_and_no_fingerprint(
    redis_url: str, server: Any, denied: str
) -> None:
    ids = [message_id(number) for number in range(5)]
    granted = ClockedWriter(server, WINDOW_S, with_strings=True)
    # The hash lasts long enough, so that the refused command comes after XADD.
    granted.add(*map(neighbour_of, ids))
    server.execute_command("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", f"-{denied}")
    try:
        with redis.Redis.from_url(redis_url, username="app", password="p") as client:
            writer = ClockedWriter(client, WINDOW_S, with_strings=True)
            with pytest.raises(redis.ResponseError, match=r"permission|executing"):
                writer.add(*ids)
    finally:
        server.acl_deluser("app")
    assert server.xlen(WHERE.messages) == 5
    assert granted.add(*ids) == [False] * 5


def test_a_hash_that_cannot_be_made_to_last_promises_nothing(redis_url: str, server: Any) -> None:
    server.execute_command("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-pexpire")
    try:
        with (
            redis.Redis.from_url(redis_url, username="app", password="p") as client,
            pytest.raises(redis.ResponseError, match=r"permission|executing"),
        ):
            ClockedWriter(client, WINDOW_S).add(message_id(1))
    finally:
        server.acl_deluser("app")
    assert not server.exists(WHERE.messages, WHERE.fingerprint_hash(message_id(1)))


class CallersClock:
    """The time of a caller whose user may not ask for Redis's."""

    def __init__(self, ahead_s: int) -> None:
        self.now_ms = int(time.time() + ahead_s) * 1000

    def patch(self, script: str) -> str:
        return script


@pytest.mark.parametrize("ahead_s", [-2 * 3600, -WINDOW_S, 0, WINDOW_S + 200, 2 * 3600])
def test_a_caller_who_may_not_ask_for_the_time_recognises_what_it_added(
    redis_url: str, server: Any, ahead_s: int
) -> None:
    server.execute_command("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-time")
    try:
        with redis.Redis.from_url(redis_url, username="app", password="p") as client:
            writer = ClockedWriter(client, WINDOW_S, clock=CallersClock(ahead_s))
            assert [writer.add(message_id(1)) for _ in range(3)] == [[False], [True], [True]]
    finally:
        server.acl_deluser("app")
    assert server.pttl(WHERE.fingerprint_hash(message_id(1))) > WINDOW_MS


def test_a_hash_that_was_evicted_doubles_and_loses_nothing(redis_url: str, server: Any) -> None:
    with closing(open_writer(redis_url)) as writer:
        for number in range(20):
            writer.put(message(number))
        server.delete(*hashes(server))
        assert not any(writer.put(message(number)).duplicate for number in range(20))
        assert all(writer.put(message(number)).duplicate for number in range(20))
