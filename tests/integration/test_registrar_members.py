"""Several replicas with a real Redis between them, and without it."""

import threading
import time

import pytest
import redis

from registrar.errors import NotAloneError
from registrar.keys import Keys
from registrar.protocol import Slot
from tests.registrar_replica import (
    ACCOUNTS,
    FOREIGN,
    FOTA,
    TOKEN,
    URL,
    Replicas,
    calls,
    now,
    told,
    writes,
)
from tests.sandbox_process import Sandbox


def test_the_newer_deployment_decides_and_the_older_does_not_fight_back(
    thingspace: Sandbox, replica: Replicas
) -> None:
    old = replica(REGISTRAR_TAKEOVER="always")
    old.join()
    old.tick()
    new = replica(REGISTRAR_TAKEOVER="always", PUBLIC_URL="http://127.0.0.1:9001/new")
    new.join()
    assert told(new.tick()[0]) == ("registered", "sibling")
    assert told(old.tick()[0]) == ("yielded", "superseded")
    old.leave()
    assert thingspace.registered_url() == f"http://127.0.0.1:9001/new/{TOKEN}"
    new.leave()
    assert thingspace.registered_url() is None


def test_after_a_roll_back_the_older_deployment_takes_over_again(
    thingspace: Sandbox, replica: Replicas
) -> None:
    old = replica()
    old.join()
    old.tick()
    new = replica(PUBLIC_URL="http://127.0.0.1:9001/new")
    new.join()
    new.tick()
    assert told(old.tick()[0]) == ("yielded", "superseded")
    new.leave()
    assert told(old.tick()[0]) == ("registered", "sibling")
    assert thingspace.registered_url() == URL


@pytest.mark.parametrize(
    ("policy", "left"), [("last", [URL, None]), ("never", [URL, URL]), ("always", [None, None])]
)
def test_who_leaves_deregisters_as_the_policy_says(
    policy: str, left: list[str | None], thingspace: Sandbox, replica: Replicas
) -> None:
    both = [replica(REGISTRAR_DEREGISTER=policy) for _ in range(2)]
    for one in both:
        one.join()
        one.tick()
    found = []
    for one in both:
        one.leave()
        found.append(thingspace.registered_url())
    assert found == left


def test_a_strangers_url_is_never_deregistered(thingspace: Sandbox, replica: Replicas) -> None:
    one = replica(REGISTRAR_DEREGISTER="always")
    one.join()
    one.tick()
    thingspace.register_outside(FOREIGN)
    start = now(thingspace)
    one.leave()
    assert thingspace.registered_url() == FOREIGN
    assert writes(thingspace, start) == []


def test_who_joins_while_the_last_one_leaves_registers_again(
    thingspace: Sandbox, replica: Replicas
) -> None:
    """The DELETE is slow; the new member's tick waits for it, and then finds nothing."""
    old, new = replica(), replica()
    old.join()
    old.tick()
    thingspace.fault(FOTA, method="DELETE", delay_s=0.5)
    start = now(thingspace)
    leaving = threading.Thread(target=old.leave)
    leaving.start()
    deadline = time.monotonic() + 20
    while "DELETE" not in calls(thingspace, start):
        assert time.monotonic() < deadline
    new.join()
    assert told(new.tick()[0]) == ("registered", "absent")
    leaving.join()
    assert thingspace.registered_url() == URL


def test_without_redis_it_registers_and_never_deregisters(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica(REDIS_URL="redis://127.0.0.1:1/0")
    assert told(one.tick()[0]) == ("registered", "absent")
    one.leave()
    assert thingspace.registered_url() == URL


def test_without_redis_flapping_is_noticed_all_the_same(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica(REDIS_URL="redis://127.0.0.1:1/0", REGISTRAR_TAKEOVER="always")
    done = []
    for _ in range(3):
        thingspace.register_outside(FOREIGN)
        done.append(told(one.tick()[0]))
    assert done == [("registered", "takeover")] * 2 + [("yielded", "flapping")]


def test_a_busy_mutex_is_waited_for_and_then_left_alone(
    thingspace: Sandbox, replica: Replicas
) -> None:
    holder, other = replica(), replica(REGISTRAR_LEASE_TTL_S="1")
    start = now(thingspace)
    with (
        holder.parts.shared.mutex.held(threading.Event().wait, for_at_most_s=1),
        pytest.raises(NotAloneError),
    ):
        other.tick()
    assert calls(thingspace, start) == []


def test_who_has_lost_the_mutex_does_not_write(
    thingspace: Sandbox, replica: Replicas, redis_client: "redis.Redis"
) -> None:
    one = replica()
    with one.parts.shared.mutex.held(threading.Event().wait, for_at_most_s=1) as hold:
        redis_client.delete(Keys("fota").mutex)
        start = now(thingspace)
        slot, wanted = Slot(ACCOUNTS[0], "v1"), one.settings.wanted("v1")
        with pytest.raises(NotAloneError):
            one.parts.client.register(slot, wanted, before=hold.confirm)
    assert writes(thingspace, start) == []
