"""The scripts of the consumer library, one by one: none changes what another consumer holds."""

import json
from typing import Any

import pytest
import redis

from listener.consumer.claims import MAX_REPLY_BYTES, MIN_REPLY_BYTES, Claims
from listener.consumer.deliveries.delivery import DeadReason, Delivery
from listener.consumer.outages import AdaptiveSize
from listener.consumer.redis_group import RedisGroup, load_script
from listener.queue.keys import Partition
from tests.support.consumer_feed import STREAM, feed

pytestmark = pytest.mark.redis_flavour

GROUP = "g"
DEAD = f"{{fota:0}}:dead:{GROUP}"
REASON = DeadReason(reason="handler-failed", error="e")


@pytest.fixture
def client(redis_url: str) -> Any:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def me(client: Any) -> RedisGroup:
    group = RedisGroup(client, Partition("fota", 0), GROUP, "me")
    group.create()
    return group


@pytest.fixture
def claims(client: Any) -> Claims:
    return Claims(
        client,
        client,
        Partition("fota", 0),
        GROUP,
        "me",
        stuck_s=60.0,
        reply_bytes=AdaptiveSize(MAX_REPLY_BYTES, MIN_REPLY_BYTES),
    )


def read(client: Any, consumer: str, count: int = 1) -> list[bytes]:
    batches = client.xreadgroup(GROUP, consumer, {STREAM: ">"}, count=count)
    return [entry_id.encode() for _, entries in batches for entry_id, _ in entries]


def delivery(entry_id: bytes, **changed: Any) -> Delivery:
    values: dict[str, Any] = {
        "recorded_deliveries": 1,
        "is_next_recorded": True,
        "confirmed_at": 0.0,
        **changed,
    }
    return Delivery(partition=0, entry_id=entry_id, fields={}, **values)


def holders(client: Any) -> dict[bytes, tuple[str, int]]:
    rows = client.xpending_range(STREAM, GROUP, "-", "+", 100)
    return {r["message_id"].encode(): (r["consumer"], r["times_delivered"]) for r in rows}


def test_making_a_group_that_is_there_changes_nothing(me: RedisGroup, redis_client: Any) -> None:
    feed(redis_client, range(2))
    read(redis_client, "other")
    assert not me.create()
    assert len(holders(redis_client)) == 1


def test_an_error_that_is_not_benign_is_raised_when_a_group_is_made(
    me: RedisGroup, redis_client: Any
) -> None:
    redis_client.set("{fota:0}:messages:x", "")
    redis_client.rename("{fota:0}:messages:x", STREAM)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        me.create()


def test_what_was_renewed_after_it_was_found_idle_is_not_taken(
    me: RedisGroup, client: Any, redis_client: Any
) -> None:
    feed(redis_client, range(2))
    renewed, idle = read(redis_client, "other", 2)
    redis_client.execute_command(
        *("XCLAIM", STREAM, GROUP, "other", 0, idle, "IDLE", 60_000, "JUSTID")
    )
    # Both were found; in between their owner showed a sign of life for one.
    arguments: list[Any] = [GROUP, "me", 30_000, "", 1000, renewed, idle]
    taken, gone, _ = load_script(client, "claim.lua")(keys=[STREAM], args=arguments)
    assert [row[0] for row in taken] == [idle]
    assert gone == []
    assert holders(redis_client) == {renewed: ("other", 1), idle: ("me", 1)}


def test_taking_over_is_bounded_and_says_whether_there_is_more(
    me: RedisGroup, claims: Claims, redis_client: Any
) -> None:
    feed(redis_client, range(5))
    ids = read(redis_client, "gone", 5)
    first = claims.claim_idle(0, 3, in_flight=set())
    assert [it.entry_id for it in first.deliveries] == ids[:3]
    assert first.holders == ["gone"]
    assert not first.is_all
    # Those in hand are as idle as the rest, and must not hide it.
    rest = claims.claim_idle(0, 3, in_flight={it.key for it in first.deliveries})
    assert [it.entry_id for it in rest.deliveries] == ids[3:]
    assert rest.is_all


def test_a_delivery_is_counted_for_its_holder_alone(me: RedisGroup, redis_client: Any) -> None:
    feed(redis_client, range(2))
    (mine,), (others,) = read(redis_client, "me"), read(redis_client, "other")
    again = delivery(mine, is_next_recorded=False)
    assert me.record_delivery(again)
    assert (again.recorded_deliveries, again.next_delivery) == (2, 2)
    assert not me.record_delivery(delivery(others, is_next_recorded=False))
    assert holders(redis_client) == {mine: ("me", 2), others: ("other", 1)}


def test_another_consumers_message_is_neither_dead_lettered_nor_handed_back(
    me: RedisGroup, redis_client: Any
) -> None:
    feed(redis_client, [1])
    (others,) = read(redis_client, "other")
    assert me.dead_letter(delivery(others), REASON) == 0
    me.hand_back([delivery(others)])
    assert holders(redis_client) == {others: ("other", 1)}
    assert not redis_client.exists(DEAD)


def test_dead_lettering_twice_adds_one_dead_letter(me: RedisGroup, redis_client: Any) -> None:
    feed(redis_client, [1])
    (mine,) = read(redis_client, "me")
    assert [me.dead_letter(delivery(mine), REASON) for _ in range(2)] == [1, 0]
    assert redis_client.xlen(DEAD) == 1
    assert holders(redis_client) == {}


@pytest.mark.parametrize("count", [2_000, 2_001, 30_000])
def test_an_entry_of_many_fields_is_dead_lettered_with_all_of_them(
    me: RedisGroup, redis_client: Any, count: int
) -> None:
    words = [word for number in range(count) for word in (f"name-{number}", f"value-{number}")]
    redis_client.execute_command("XADD", STREAM, "*", *words)
    (mine,) = read(redis_client, "me")
    assert me.dead_letter(delivery(mine), REASON) == 1
    ((_, dead),) = redis_client.xrange(DEAD)
    assert list(dead)[:2_000] == words[:4_000:2]
    assert json.loads(dead.get("more", "[]")) == words[4_000:]
    assert (dead["reason"], dead["entry"]) == ("handler-failed", mine.decode())
    assert holders(redis_client) == {}


def test_a_deleted_entry_is_acknowledged_and_not_dead_lettered(
    me: RedisGroup, redis_client: Any
) -> None:
    feed(redis_client, [1])
    (mine,) = read(redis_client, "me")
    redis_client.xdel(STREAM, mine)
    assert me.dead_letter(delivery(mine), REASON) == -1
    assert not redis_client.exists(DEAD)
    assert holders(redis_client) == {}


def test_more_entries_than_one_script_call_takes_are_renewed(
    me: RedisGroup, redis_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("listener.consumer.redis_group.MAX_RENEWED_AT_ONCE", 2)
    feed(redis_client, range(5))
    mine = read(redis_client, "me", 5)
    redis_client.xclaim(STREAM, GROUP, "other", 0, [mine[3]], justid=True)
    lost = me.renew([delivery(entry_id) for entry_id in mine])
    assert [it.entry_id for it in lost] == [mine[3]]


def test_a_consumer_with_pending_messages_is_not_deleted(me: RedisGroup, redis_client: Any) -> None:
    feed(redis_client, [1])
    (mine,) = read(redis_client, "me")
    me.delete_consumer()
    assert holders(redis_client) == {mine: ("me", 1)}
    me.acknowledge([mine])
    me.delete_consumer()
    assert redis_client.xinfo_consumers(STREAM, GROUP) == []


def test_error_and_traceback_are_cut_between_letters(me: RedisGroup, redis_client: Any) -> None:
    feed(redis_client, [1])
    (mine,) = read(redis_client, "me")
    letter = "\N{EURO SIGN}"
    me.dead_letter(
        delivery(mine), DeadReason(reason="crashed", error=letter * 999, traceback=letter * 9999)
    )
    ((_, dead),) = redis_client.xrange(DEAD)
    assert dead["error"] == letter * (1024 // 3)
    assert dead["traceback"] == letter * (16 * 1024 // 3)
