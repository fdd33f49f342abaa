"""Sweeps against the sandbox's reports, with a real Redis: what was lost is found once, and what came is not."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from listener.recovered.recovery_state import RecoveryState
from registrar import app
from registrar.errors import NotExclusiveError, StopError
from registrar.model import Slot
from registrar.recovery.build import build_recovery
from registrar.recovery.calls.client import Pace
from registrar.recovery.loop import NoRecovery
from registrar.recovery.service import Outcome, Plan, Recovery
from registrar.settings import RegistrarSettings
from registrar.turn import Turn
from testbed.sandbox_client import Sandbox
from tests.support.registrar_replica import ACCOUNTS, environment

pytestmark = pytest.mark.redis_flavour

STREAM = "{fota:0}:messages"
STATE = "{fota:registrar}:recovery"
LAST = {"v1": "Finished", "v2": "CampaignEnded", "v3": "CampaignEnded"}
# What their last state proves due. In v3 the devices prove that it started.
DUE = {
    "v1": {"upgrade-scheduled", "upgrade-started", "upgrade-finished"},
    "v2": {"upgrade-scheduled", "upgrade-finished"},
    "v3": {"upgrade-scheduled", "upgrade-started", "upgrade-finished"},
}
HURRY = Pace(pause_s=0, first_backoff_s=0.01)


@pytest.fixture
def reports(thingspace: Sandbox) -> Iterator[Sandbox]:
    """The sandbox without upgrades, and with its options as at the start."""
    thingspace.control("DELETE", "/campaigns")
    thingspace.control("DELETE", "/options")
    yield thingspace
    thingspace.control("DELETE", "/campaigns")
    thingspace.control("DELETE", "/options")


class World:
    """One deployment's recovery."""

    def __init__(self, sandbox: Sandbox, redis_url: str, folder: Path) -> None:
        self.sandbox = sandbox
        self._redis_url = redis_url
        self._folder = folder

    @contextmanager
    def recovery(self, version: str, **settings: str) -> Iterator[Recovery]:
        chosen = {"THINGSPACE_API_VERSIONS": version, "RECOVERY_SECOND_LOOK_S": "0", **settings}
        environ = environment(self.sandbox, self._redis_url, self._folder, **chosen)
        with ExitStack() as stack:
            registrar = stack.enter_context(app.build(RegistrarSettings.from_env(environ)))
            shared = (registrar.settings, registrar.redis, registrar.coordination)
            authenticator = registrar.client.authenticator
            yield build_recovery(*shared, authenticator, pace=HURRY, stack=stack)

    def sweep(self, version: str, *, max_calls: int = 10**9, **settings: str) -> Outcome:
        with self.recovery(version, **settings) as recovery:
            plan = Plan(dict.fromkeys(recovery.slots, "by-hand"), max_calls=max_calls)
            return recovery.run(plan, Turn())

    def place(self, version: str, **more: Any) -> dict[str, Any]:
        """Upgrades that are at their end, and of which no callback was sent."""
        states = {LAST[version]: 1}
        content = {"version": version, "devices": 9, "upgrades": 3, "states": states, **more}
        return self.sandbox.control("POST", "/campaigns", json=content)


@pytest.fixture
def world(reports: Sandbox, redis_url: str, tmp_path: Path) -> World:
    return World(reports, redis_url, tmp_path)


def counts(outcome: Outcome) -> dict[str, dict[str, int]]:
    (record,) = outcome.records.values()
    return {kind: dict(found) for kind, found in record.kinds.items() if found.get("due")}


def queued(redis_client: Any) -> list[dict[str, str]]:
    return [fields for _, fields in redis_client.xrange(STREAM)]


def everything(redis_url: str) -> dict[bytes, bytes]:
    """Every key of Redis, with what it holds."""
    with redis.Redis.from_url(redis_url) as client:
        return {key: client.dump(key) for key in client.keys("*")}


@pytest.mark.parametrize("version", DUE)
def test_lost_messages_are_found_by_the_second_look_and_queued_once(
    world: World, redis_client: Any, version: str
) -> None:
    world.sweep(version)
    world.place(version)
    first = world.sweep(version, RECOVERY="queue")
    assert counts(first) == {kind: {"due": 3} for kind in DUE[version]}
    assert not queued(redis_client)
    second = world.sweep(version, RECOVERY="queue")
    assert counts(second) == {
        kind: {"due": 3, "missing": 3, "recovered": 3} for kind in DUE[version]
    }
    messages = queued(redis_client)
    assert {m["kind"] for m in messages} == DUE[version]
    assert len({m["id"] for m in messages}) == len(messages) == 3 * len(DUE[version])
    assert {m["origin"] for m in messages} == {"recovered"}
    assert all(m["basis"].startswith(f"GET /fota/{version}/") for m in messages)
    world.sweep(version, RECOVERY="queue")
    assert len(queued(redis_client)) == len(messages)


@pytest.mark.parametrize("version", DUE)
def test_report_only_reports(world: World, redis_client: Any, version: str) -> None:
    world.sweep(version)
    world.place(version)
    world.sweep(version)
    assert counts(world.sweep(version)) == {kind: {"due": 3, "missing": 3} for kind in DUE[version]}
    assert not redis_client.exists(STREAM)
    state = RecoveryState.from_json(redis_client.get(STATE))
    assert state is not None
    assert state.mode == "report"
    assert {kind for kind, found in state.kinds().items() if found.missing == 3} == DUE[version]


def test_sweep_by_hand_publishes_nothing_where_no_sweep_follows(
    world: World, redis_client: Any
) -> None:
    """What nobody renews looks late after some days, and an alert would ring for ever."""
    assert world.sweep("v2", RECOVERY="off").records
    assert not redis_client.exists(STATE)
    assert world.sweep("v2").records
    with world.recovery("v2", RECOVERY="off") as recovery:
        NoRecovery(recovery.store).start()
        deadline = time.monotonic() + 10
        while redis_client.exists(STATE) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert not redis_client.exists(STATE)


@pytest.mark.parametrize("version", DUE)
def test_first_sweep_is_a_baseline(world: World, redis_client: Any, version: str) -> None:
    world.place(version)
    for _ in range(3):
        outcome = world.sweep(version, RECOVERY="queue")
    assert counts(outcome) == {}
    assert next(iter(outcome.records.values())).upgrades == 3
    assert not redis_client.exists(STREAM)


def test_what_the_baseline_set_aside_is_judged_once_somebody_asks(
    world: World, redis_client: Any
) -> None:
    world.place("v2")
    world.sweep("v2")
    with world.recovery("v2", RECOVERY="queue") as recovery:
        plan = Plan(dict.fromkeys(recovery.slots, "by-hand"), since_ms=0)
        recovery.run(plan, Turn())
        recovery.run(plan, Turn())
    assert len(queued(redis_client)) == 6


def test_dry_run_changes_nothing(world: World, redis_client: Any, redis_url: str) -> None:
    world.sweep("v2")
    world.place("v2")
    world.sweep("v2")
    before = everything(redis_url)
    with world.recovery("v2", RECOVERY="queue") as recovery:
        plan = Plan(dict.fromkeys(recovery.slots, "by-hand"), is_dry_run=True)
        outcome = recovery.run(plan, Turn())
    assert counts(outcome) == {kind: {"due": 3, "missing": 3} for kind in DUE["v2"]}
    after = everything(redis_url)
    # That somebody had the mutex, that logins were counted, and that the streams were read on.
    passing = (":fence", ":breaker", ":evidence")
    changed = {key.decode() for key in {*before, *after} if before.get(key) != after.get(key)}
    assert not {key for key in changed if not key.endswith(passing)}
    assert not redis_client.exists(STREAM)


def test_sweep_that_is_capped_goes_on_where_it_stopped(world: World) -> None:
    world.sandbox.control("PUT", "/options", json={"upgrades_per_page": 1})
    world.sweep("v1")
    world.place("v1", devices=12, upgrades=12)
    calls = []
    for _ in range(20):
        outcome = world.sweep("v1", max_calls=4)
        calls.append(outcome.calls)
        if outcome.records:
            break
    assert counts(outcome)["upgrade-finished"] == {"due": 12}
    assert len(calls) > 3
    # A page for each upgrade and one for each state, and one again where a run stopped.
    assert sum(calls) <= 12 + 6 + len(calls)


def test_wrong_credentials_cost_no_more_logins_than_the_breaker_allows(world: World) -> None:
    start = len(world.sandbox.requests())
    for _ in range(5):
        with world.recovery("v1", THINGSPACE_PASSWORD="wrong") as recovery:
            outcome = recovery.run(Plan(dict.fromkeys(recovery.slots, "by-hand")), Turn())
        assert all(isinstance(error, StopError) for error in outcome.errors.values())
    logins = world.sandbox.requests(start, path="/api/m2m/v1/session/login")
    assert len(logins) == 2
    assert not world.sandbox.requests(start, path="/api/fota")


def test_one_process_sweeps_at_a_time(world: World) -> None:
    with (
        world.recovery("v1") as one,
        world.recovery("v1") as other,
        one.mutex.hold(Turn(), timeout_s=0),
        pytest.raises(NotExclusiveError),
    ):
        other.run(Plan(dict.fromkeys(other.slots, "by-hand")), Turn())


def test_process_that_lost_the_mutex_stores_nothing_more(world: World, redis_client: Any) -> None:
    with world.recovery("v1") as one:
        slot = one.slots[0]
        with one.mutex.hold(Turn(), timeout_s=0) as held:
            redis_client.set("{fota:registrar}:recovery:written", held.fencing_token + 1)
            with pytest.raises(NotExclusiveError):
                one.store.save(slot, one.store.slot(slot), {}, held.fencing_token)


DISAGREEMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "the path of the pages, the SDK's is answered 900906": ("v3", {"v3_campaigns_path": "pages"}),
    "the path of the pages, the SDK's is answered 404": ("v3", {"v3_campaigns_path": "pages", "v3_other_path": "404"}),
    "queued as the life cycle calls it": ("v3", {"v3_queued": "CampaignQueued", "v3_queued_query": "CampaignQueued"}),
    "both spellings of queued": ("v3", {"v3_queued_query": "both"}),
    "integer cursors": ("v2", {"cursors": "integer", "campaigns_per_page": 1}),
    "text cursors in v1": ("v1", {"cursors": "text", "upgrades_per_page": 1}),
    "pages of one device": ("v3", {"devices_per_page": 1, "campaigns_per_page": 2}),
    "null for an empty list": ("v1", {"empty": "null"}),
    "no list when it is empty": ("v2", {"empty": "absent"}),
    "an empty object": ("v3", {"empty": "object"}),
    "the body null": ("v1", {"empty": "null-body"}),
    "no body": ("v2", {"empty": "zero-bytes"}),
    "204": ("v3", {"empty": "no-content"}),
    "an error for an empty list": ("v1", {"empty": "error"}),
    "every third call is throttled": ("v1", {"throttle_every": 3, "retry_after": "0"}),
    "a last cursor of 0": ("v1", {"last_cursor": "zero", "upgrades_per_page": 1}),
    "no last cursor": ("v2", {"last_cursor": "absent", "campaigns_per_page": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_sweep_copes_with_what_the_documents_disagree_about(world: World, name: str) -> None:
    version, options = DISAGREEMENTS[name]
    world.sandbox.control("PUT", "/options", json=options)
    world.sweep(version)
    world.place(version)
    world.sweep(version)
    assert counts(world.sweep(version)) == {kind: {"due": 3, "missing": 3} for kind in DUE[version]}


@pytest.mark.parametrize("version", DUE)
def test_cursor_that_stands_still_ends_the_paging(world: World, version: str) -> None:
    options = {"cursor_stands_still": True, "upgrades_per_page": 2, "campaigns_per_page": 2}
    world.sandbox.control("PUT", "/options", json=options)
    world.sweep(version)
    world.place(version)
    outcome = world.sweep(version)
    assert outcome.calls < 30
    assert next(iter(outcome.records.values())).upgrades >= 2


def test_telephone_numbers_are_nowhere_in_redis(
    world: World, redis_client: Any, redis_url: str
) -> None:
    world.sweep("v1")
    world.place("v1")
    for _ in range(2):
        world.sweep("v1", RECOVERY="queue")
    assert b"mdn" not in b"".join(everything(redis_url).values())
    assert queued(redis_client)


def test_no_sweep_while_throttled_for_long(world: World) -> None:
    world.sweep("v1")
    world.sandbox.fault(
        "/api/fota/v1/reports", status=429, headers={"Retry-After": "3600"}, count=1
    )
    with world.recovery("v1") as recovery:
        outcome = recovery.run(Plan(dict.fromkeys(recovery.slots, "by-hand")), Turn())
        record = recovery.store.slot(Slot(ACCOUNTS[0], "v1"))
        assert {error.reason for error in outcome.errors.values()} == {"throttled"}
        assert record.retry_ms >= recovery.clock_ms() + 3500 * 1000
