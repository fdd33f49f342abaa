"""Several replicas with a real Redis between them, and without it."""

import threading
from copy import copy

import pytest
import redis
import structlog

from registrar.coordination.keys import Keys
from registrar.coordination.mutex import Mutex
from registrar.errors import NotExclusiveError
from registrar.model import Slot
from registrar.reconcile.deregistration import Deregistrar
from registrar.reconcile.shutdown import Shutdown
from registrar.reconcile.thread import LoopThread
from registrar.settings import Timing
from registrar.thingspace.client import CallbackClient
from registrar.turn import UNRESTRICTED, Turn
from testbed.polling import wait_until
from testbed.sandbox_client import Sandbox
from tests.support.registrar_replica import (
    ACCOUNTS,
    FOREIGN,
    FOTA,
    TOKEN,
    URL,
    Replicas,
    calls,
    request_count,
    result_and_reason,
    writes,
)

pytestmark = pytest.mark.redis_flavour


def test_the_newer_deployment_decides_and_the_older_does_not_fight_back(
    thingspace: Sandbox, replica: Replicas
) -> None:
    old = replica(REGISTRAR_TAKEOVER="always")
    old.join()
    old.tick()
    new = replica(REGISTRAR_TAKEOVER="always", PUBLIC_URL="http://127.0.0.1:9001/new")
    new.join()
    [registered] = new.tick()
    assert result_and_reason(registered) == ("registered", "sibling")
    assert result_and_reason(old.tick()[0]) == ("yielded", "superseded")
    assert new.stored() == registered
    old.leave()
    assert thingspace.registered_url() == f"http://127.0.0.1:9001/new/{TOKEN}"
    assert new.stored() == registered
    new.leave()
    assert thingspace.registered_url() is None
    assert result_and_reason(new.stored()) == ("deregistered", "ours")


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize("policy", ["last", "always", "never"])
@pytest.mark.parametrize(
    "change",
    [
        {"PUBLIC_URL": "http://127.0.0.1:9001/new"},
        {"CALLBACK_TOKEN": "another-token-of-all-the-tests", "CALLBACK_TOKEN_PREVIOUS": TOKEN},
        {"CALLBACK_PASSWORD": "new-password"},
    ],
    ids=["url", "token", "password"],
)
def test_a_superseded_replica_overwrites_no_observation(
    thingspace: Sandbox, replica: Replicas, change: dict[str, str], policy: str
) -> None:
    common = {"REGISTRAR_DEREGISTER": policy, "CALLBACK_USERNAME": "listener"}
    old = replica(**common, CALLBACK_PASSWORD="old-password")
    old.join()
    old.tick()
    new = replica(**common, **{"CALLBACK_PASSWORD": "old-password", **change})
    new.join()
    [seen] = new.tick()
    assert seen.result == "registered"
    with structlog.testing.capture_logs() as lines:
        assert result_and_reason(old.tick()[0]) == ("yielded", "superseded")
    assert not [line for line in lines if line["log_level"] != "info"]
    assert new.registrar.coordination.state.observation(seen.key) == seen
    thingspace.fault(FOTA, status=503, count=10)
    assert old.tick()[0].result == "failed"
    thingspace.clear_faults()
    old.leave()
    if policy == "always" and "PUBLIC_URL" not in change:
        # A URL that both have is the leaving one's as well, and `always` says that it goes.
        return
    assert new.registrar.coordination.state.observation(seen.key) == seen


def test_a_password_that_was_never_registered_is_registered_by_the_deployment_that_has_one(
    thingspace: Sandbox, replica: Replicas
) -> None:
    """Without it every message would come without a password, and be refused."""
    old = replica()
    old.join()
    old.tick()
    new = replica(CALLBACK_USERNAME="listener", CALLBACK_PASSWORD="correct-horse-battery")
    new.join()
    assert result_and_reason(new.tick()[0]) == ("registered", "credentials-not-shown")
    assert result_and_reason(new.tick()[0]) == ("as-desired", "as-desired")


def test_a_takeover_policy_of_never_is_about_strangers_and_not_about_a_roll_out(
    thingspace: Sandbox, replica: Replicas
) -> None:
    old = replica(REGISTRAR_TAKEOVER="never")
    old.join()
    old.tick()
    new = replica(REGISTRAR_TAKEOVER="never", PUBLIC_URL="http://127.0.0.1:9001/new")
    new.join()
    [registered] = new.tick()
    assert result_and_reason(registered) == ("registered", "sibling")
    old.leave()
    assert new.stored() == registered
    assert result_and_reason(new.tick()[0]) == ("as-desired", "as-desired")
    thingspace.register_outside(FOREIGN)
    assert result_and_reason(new.tick()[0]) == ("yielded", "another-owner")
    assert thingspace.registered_url() == FOREIGN


def test_after_redis_lost_its_data_a_leaving_member_deletes_nothing(
    thingspace: Sandbox, replica: Replicas, redis_client: "redis.Redis"
) -> None:
    """The others are members as well, and join again within seconds."""
    one, two = replica(), replica()
    for each in (one, two):
        each.join()
        each.tick()
    redis_client.flushall()
    one.leave()
    assert thingspace.registered_url() == URL
    two.registrar.coordination.lease.renew()
    two.leave()
    assert thingspace.registered_url() is None


def test_a_member_whose_promotion_was_lost_is_promoted_by_its_next_renewal(
    replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = replica()
    old.join()
    # Made afterwards: a deployment that began in the same instant may count as the earlier one.
    new = replica(PUBLIC_URL="http://127.0.0.1:9001/new")
    new.registrar.coordination.heartbeat.join()
    lease = new.registrar.coordination.lease

    def fails(**_: object) -> None:
        raise redis.ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(lease, "_join", fails)
        new.registrar.coordination.heartbeat.promote()
    assert not old.registrar.coordination.members().is_superseded(
        old.registrar.coordination.lease.identity.deployment
    )
    lease.renew()
    assert old.registrar.coordination.members().is_superseded(
        old.registrar.coordination.lease.identity.deployment
    )


@pytest.mark.parametrize(
    ("url", "waits"), [("http://127.0.0.1:9001/new", True), ("http://127.0.0.1:50559/cb", False)]
)
def test_a_leaving_member_waits_until_a_new_url_can_be_registered(
    thingspace: Sandbox, replica: Replicas, url: str, waits: bool
) -> None:
    old = replica()
    old.join()
    old.tick()
    new = replica(PUBLIC_URL=url)
    new.registrar.coordination.heartbeat.join()
    coordination = old.registrar.coordination
    shutdown = Shutdown(
        old.settings, coordination, Deregistrar(old.settings, old.registrar.client, coordination)
    )
    waited = 0

    def wait(_: float) -> bool:
        nonlocal waited
        waited += 1
        if waited == 3:
            new.registrar.coordination.heartbeat.promote()
        return False

    assert shutdown.wait_for_successor(Turn(wait), 60) == waits
    assert waited == (3 if waits else 0)


def test_after_a_roll_back_the_older_deployment_takes_over_again(
    thingspace: Sandbox, replica: Replicas
) -> None:
    old = replica()
    old.join()
    old.tick()
    new = replica(PUBLIC_URL="http://127.0.0.1:9001/new")
    new.join()
    new.tick()
    assert result_and_reason(old.tick()[0]) == ("yielded", "superseded")
    new.leave()
    [registered] = old.tick()
    assert result_and_reason(registered) == ("registered", "sibling")
    assert thingspace.registered_url() == URL
    assert old.stored() == registered


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
    start = request_count(thingspace)
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
    start = request_count(thingspace)
    leaving = threading.Thread(target=old.leave)
    leaving.start()
    wait_until(lambda: "DELETE" in calls(thingspace, start))
    new.join()
    assert result_and_reason(new.tick()[0]) == ("registered", "absent")
    leaving.join()
    assert thingspace.registered_url() == URL


def test_without_redis_it_registers_and_never_deregisters(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica(REDIS_URL="redis://127.0.0.1:1/0")
    assert result_and_reason(one.tick()[0]) == ("registered", "absent")
    one.leave()
    assert thingspace.registered_url() == URL


def test_without_redis_flapping_is_noticed_all_the_same(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica(REDIS_URL="redis://127.0.0.1:1/0", REGISTRAR_TAKEOVER="always")
    done = []
    for _ in range(3):
        thingspace.register_outside(FOREIGN)
        done.append(result_and_reason(one.tick()[0]))
    assert done == [("registered", "takeover")] * 2 + [("yielded", "flapping")]


def test_a_busy_mutex_is_waited_for_and_then_left_alone(
    thingspace: Sandbox, replica: Replicas
) -> None:
    holder, other = replica(), replica(REGISTRAR_LEASE_TTL_S="1")
    start = request_count(thingspace)
    with (
        holder.registrar.coordination.mutex.hold(UNRESTRICTED, timeout_s=1),
        pytest.raises(NotExclusiveError),
    ):
        other.tick()
    assert calls(thingspace, start) == []


def test_who_has_lost_the_mutex_does_not_write(
    thingspace: Sandbox, replica: Replicas, redis_client: "redis.Redis"
) -> None:
    one = replica()
    with one.registrar.coordination.mutex.hold(UNRESTRICTED, timeout_s=1) as held:
        redis_client.delete(Keys("fota").mutex)
        start = request_count(thingspace)
        slot, wanted = Slot(ACCOUNTS[0], "v1"), one.settings.wanted("v1")
        with pytest.raises(NotExclusiveError):
            one.registrar.client.register(slot, wanted, UNRESTRICTED.under(held))
    assert writes(thingspace, start) == []


def test_an_account_that_is_slow_costs_the_others_nothing(
    thingspace: Sandbox, replica: Replicas
) -> None:
    """All attempts for the first one together take longer than the mutex lasts."""
    hasty = Timing(connect_timeout_s=0.2, read_timeout_s=0.9, mutex_margin_s=0.5)
    one = replica(hasty, THINGSPACE_ACCOUNTS=",".join(ACCOUNTS), REGISTRAR_LEASE_TTL_S="3")
    slow = f"{FOTA}/v1/callbacks/{ACCOUNTS[0]}"
    thingspace.fault(slow, method="GET", delay_s=1.4, count=9)
    first, second = one.tick()
    assert result_and_reason(first) == ("failed", "timeout")
    assert result_and_reason(second) == ("registered", "absent")


def test_nobody_else_writes_while_a_write_takes_longer_than_a_lease(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one, two = replica(REGISTRAR_LEASE_TTL_S="1"), replica(REGISTRAR_LEASE_TTL_S="1")
    thingspace.fault(FOTA, method="POST", delay_s=2.0)
    start = request_count(thingspace)
    writing = threading.Thread(target=one.tick)
    writing.start()
    wait_until(lambda: "POST" in calls(thingspace, start))
    with (
        pytest.raises(NotExclusiveError),
        two.registrar.coordination.mutex.hold(UNRESTRICTED, timeout_s=1.3),
    ):
        raise AssertionError("held twice")
    assert writing.is_alive()
    writing.join()


def test_a_delete_whose_answer_is_lost_does_not_take_the_next_owners_registration(
    thingspace: Sandbox, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replica()
    one.join()
    one.tick()
    deregister = CallbackClient.deregister

    def lost(self: CallbackClient, slot: Slot, turn: Turn) -> None:
        try:
            deregister(self, slot, turn)
        finally:
            assert thingspace.registered_url() is None
            thingspace.register_outside(FOREIGN)

    monkeypatch.setattr(CallbackClient, "deregister", lost)
    thingspace.fault(FOTA, method="DELETE", when="after", drop=True)
    start = request_count(thingspace)
    one.leave()
    assert thingspace.registered_url() == FOREIGN
    assert writes(thingspace, start) == ["DELETE"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delete_without_an_answer_is_looked_after(
    when: str, thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    one.tick()
    thingspace.fault(FOTA, method="DELETE", when=when, drop=True)
    start = request_count(thingspace)
    seen = one.registrar.deregister()
    assert result_and_reason(seen[0]) == ("deregistered", "ours")
    assert thingspace.registered_url() is None
    assert len(writes(thingspace, start)) == (2 if when == "before" else 1)


def test_a_tick_under_way_writes_nothing_once_the_process_is_to_stop(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    thingspace.fault(FOTA, method="GET", delay_s=0.3)
    over = threading.Event()
    thread = LoopThread(one.loop(), over.set)
    start = request_count(thingspace)
    thread.start()
    wait_until(lambda: calls(thingspace, start))
    thread.abort()
    assert over.wait(20)
    assert not thread.running
    assert writes(thingspace, start) == []


def test_a_mistake_of_ours_ends_neither_the_thread_nor_the_shutdown(
    thingspace: Sandbox, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, over, boots = replica(), threading.Event(), []

    def ready(_wait: object) -> bool:
        boots.append(1)
        if len(boots) == 1:
            raise UnicodeError("label too long")
        return True

    def fails(*_: object) -> None:
        raise OverflowError

    # Only for the service: the fixture closes it too.
    client = copy(one.registrar.client)
    monkeypatch.setattr(client, "close", fails)
    thread = LoopThread(one.loop(ready, client), over.set)
    thread.start()
    wait_until(lambda: thingspace.registered_url() == URL)
    thread.stop()
    assert over.wait(20)
    assert not thread.running
    assert thingspace.registered_url() is None


def test_the_mutex_that_could_not_be_given_back_is_taken_again_by_its_holder(
    thingspace: Sandbox, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replica()
    one.join()
    with monkeypatch.context() as patched:
        patched.setattr(Mutex, "_release", lambda *_: None)
        one.tick()
    one.leave()
    assert thingspace.registered_url() is None
