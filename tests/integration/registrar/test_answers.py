"""Whatever the provider answers: how many logins it costs, what counts as nothing, and who waits for how long."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from registrar.coordination.keys import Keys
from registrar.coordination.pauses import FAILING, THROTTLED, Pauses
from registrar.errors import PausedError, UnavailableError
from registrar.reconcile import manual
from registrar.reconcile.thread import LoopThread
from registrar.settings import Timing
from testbed.polling import wait_until
from testbed.sandbox_client import Sandbox
from tests.support.registrar_replica import (
    ACCOUNTS,
    FOTA,
    LOGIN,
    OAUTH,
    URL,
    Replica,
    Replicas,
    calls,
    renewals,
    request_count,
    result_and_reason,
    writes,
)

WRONG = {"THINGSPACE_PASSWORD": "a-wrong-password"}
IMPATIENT = Timing(read_timeout_s=0.3)
# More than logins are tried; test_logins.py restarts the whole process thirty times.
RESTARTS = 3
ANSWERS: list[dict[str, Any]] = [
    *({"status": status} for status in (200, 204, 302, 400, 401, 403, 404, 407, 408, 429)),
    *({"status": status} for status in (500, 502, 503, 504)),
    *({"shape": shape} for shape in ("html-ok", "html-bad-gateway", "throttled", "login-refused")),
    *({"shape": shape} for shape in ("login-unauthorized", "session-expired", "not-found")),
    {"status": 200, "body": '{"sessionToken": "cut o'},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"delay_s": 1.0},
    {"drop": True},
]
SOON_S = 20.0


@pytest.mark.quick_cases(5)
@pytest.mark.parametrize("when", ["after", "before"], ids=["evaluated", "not-evaluated"])
@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_wrong_password_is_tried_twice_whatever_the_answer_and_however_often_it_is_restarted(
    answer: dict[str, Any], when: str, thingspace: Sandbox, replica: Replicas
) -> None:
    thingspace.fault(LOGIN, when=when, count=99, **answer)
    start = request_count(thingspace)
    for _ in range(RESTARTS):
        assert replica(IMPATIENT, **WRONG).tick()[0].result == "failed"
    assert calls(thingspace, start, LOGIN) == ["POST"] * 2
    assert thingspace.lock_state()["locked"] is False


@pytest.mark.parametrize(
    "environ",
    [
        {"THINGSPACE_BASE_URL": "http://127.0.0.1:1/api"},
        {"THINGSPACE_BASE_URL": "https://does-not-exist.invalid/api"},
    ],
    ids=["refused", "unknown-host"],
)
def test_login_that_never_left_this_machine_costs_nothing(
    environ: dict[str, str], replica: Replicas
) -> None:
    one = replica(**environ)
    for _ in range(5):
        one.tick()
    assert one.registrar.breaker.read().possibly_failed == 0


def test_bearer_that_is_refused_at_several_logins_costs_none(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    thingspace.fault(LOGIN, expire="token", count=2)
    assert result_and_reason(one.tick()[0]) == ("failed", "token-refused")
    assert one.registrar.breaker.read().possibly_failed == 0
    thingspace.clear_faults()
    assert result_and_reason(replica().tick()[0]) == ("registered", "absent")


@pytest.mark.parametrize(
    "shape", ["session-unknown-code", "gateway-forbidden-xml", "fota-input-binding"]
)
def test_dead_session_is_replaced_whatever_it_is_answered(
    shape: str, thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    one.tick()
    thingspace.fault(FOTA, shape=shape, count=2)
    start = request_count(thingspace)
    assert one.tick()[0].result == "failed"
    assert result_and_reason(one.tick()[0]) == ("as-desired", "as-desired")
    assert renewals(thingspace, start) == (0, 1)


def test_session_that_died_is_replaced_although_its_code_is_unknown(
    replica: Replicas, redis_url: str, tmp_path: Path
) -> None:
    with Sandbox(
        accounts=ACCOUNTS, allow_http=True, dead_session="session-unknown-code"
    ) as strange:
        one = replica(**{**strange.environment(), "THINGSPACE_ACCOUNTS": ACCOUNTS[0]})
        one.tick()
        strange.fault(FOTA, expire="session")
        assert result_and_reason(one.tick()[0]) == ("failed", "rejected")
        assert result_and_reason(one.tick()[0]) == ("as-desired", "as-desired")
        assert len(strange.requests(path=LOGIN)) == 2


@pytest.mark.parametrize(
    "form", ["not-found", "not-found-empty", "not-registered-403", "not-registered-400"]
)
def test_error_that_says_nothing_is_registered_is_no_failure(form: str, replica: Replicas) -> None:
    with Sandbox(accounts=ACCOUNTS, allow_http=True, empty=form) as strange:
        one = replica(**{**strange.environment(), "THINGSPACE_ACCOUNTS": ACCOUNTS[0]})
        registrar = one.registrar
        assert result_and_reason(registrar.query()[0])[1] == "absent"
        assert result_and_reason(one.tick()[0]) == ("registered", "absent")
        strange.deregister_outside()
        assert result_and_reason(one.tick()[0]) == ("registered", "absent")
        seen = registrar.deregister()
        assert result_and_reason(seen[0]) == ("deregistered", "ours")
        seen = registrar.deregister()
        assert result_and_reason(seen[0]) == ("left", "absent")
        assert registrar.register()[0].result == "registered"
        assert strange.registered_url() == URL


@pytest.mark.parametrize("shape", ["gateway-no-resource", "gateway-no-resource-404"])
def test_path_that_the_gateway_does_not_know_is_not_taken_for_nothing(
    shape: str, thingspace: Sandbox, replica: Replicas
) -> None:
    thingspace.fault(FOTA, shape=shape, count=9)
    start = request_count(thingspace)
    assert result_and_reason(replica().tick()[0]) == ("failed", "no-such-path")
    assert writes(thingspace, start) == []


TEN = tuple(f"0242078689-{number:05d}" for number in range(1, 11))


@pytest.fixture(scope="module")
def large() -> Iterator[Sandbox]:
    with Sandbox(accounts=TEN, allow_http=True) as running:
        yield running


@pytest.fixture
def ten(large: Sandbox) -> Sandbox:
    large.clear_faults()
    return large


def of_ten(sandbox: Sandbox, replica: Replicas, **chosen: str) -> Replica:
    environ = {**sandbox.environment(), "THINGSPACE_ACCOUNTS": ",".join(TEN)}
    return replica(**{**environ, **chosen})


@pytest.mark.parametrize(
    "answer", [{"status": 429}, {"status": 429, "headers": {"Retry-After": "60"}}], ids=str
)
@pytest.mark.parametrize("path", [FOTA, OAUTH])
def test_tick_stops_at_the_first_throttle(
    path: str, answer: dict[str, Any], ten: Sandbox, replica: Replicas
) -> None:
    one = of_ten(ten, replica)
    ten.fault(path, count=99, **answer)
    start = request_count(ten)
    assert {result_and_reason(seen) for seen in one.tick()} == {("failed", "throttled")}
    assert len(calls(ten, start, path)) == 1


def test_status_by_hand_stops_at_the_first_throttle_as_well(
    ten: Sandbox, replica: Replicas
) -> None:
    one = of_ten(ten, replica)
    ten.fault(FOTA, count=99, status=429)
    start = request_count(ten)
    seen = manual.query(one.settings, one.registrar.client, one.registrar.coordination)
    assert {result_and_reason(each) for each in seen} == {("failed", "throttled")}
    assert len(calls(ten, start)) == 1


def test_outage_of_the_provider_ends_the_tick_after_two_accounts(
    ten: Sandbox, replica: Replicas
) -> None:
    one = of_ten(ten, replica)
    ten.fault(FOTA, count=99, status=502)
    start = request_count(ten)
    assert {result_and_reason(seen) for seen in one.tick()} == {("failed", "provider-failed")}
    asked = Counter(call["path"] for call in ten.requests(start, path=FOTA))
    assert len(asked) == 2
    # Others come first the next time, in case that those two are the only ones which fail.
    ten.clear_faults()
    for path in asked:
        ten.fault(path, count=99, status=502)
    results = Counter(seen.result for seen in one.tick())
    assert results == {"registered": 8, "failed": 2}


def serve(one: Replica, running: list[LoopThread]) -> LoopThread:
    assert one.registrar.coordination.heartbeat.join()
    thread = LoopThread(one.loop(), lambda: None)
    thread.start()
    running.append(thread)
    return thread


@pytest.fixture
def threads() -> Iterator[list[LoopThread]]:
    running: list[LoopThread] = []
    yield running
    for thread in running:
        thread.abort()
    wait_until(lambda: not any(thread.running for thread in running))


def test_replicas_share_a_pause(
    thingspace: Sandbox, replica: Replicas, threads: list[LoopThread]
) -> None:
    first, second = replica(), replica()
    thingspace.fault(FOTA, count=99, next_access_s=60, status=429)
    start = request_count(thingspace)
    serve(first, threads)
    wait_until(lambda: calls(thingspace, start))
    wait_until(lambda: second.registrar.coordination.pauses.left_s() > 50)
    serve(second, threads)
    # The second one looks, and does not ask.
    with pytest.raises(PausedError):
        second.loop()._check_shared_pause()
    assert len(calls(thingspace, start)) == 1


@pytest.mark.parametrize(("lost", "looks"), [(False, 1), (True, 0)], ids=["redis", "no-redis"])
def test_pause_of_others_is_asked_for_once_a_tick_and_not_without_redis(
    lost: bool, looks: int, ten: Sandbox, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = {"REDIS_URL": "redis://127.0.0.1:1"} if lost else {}
    one = of_ten(ten, replica, **chosen)
    loop = one.loop()
    asked: list[float] = []
    look = Pauses.left_s

    def left_s(pauses: Pauses) -> float:
        asked.append(time.monotonic())
        return look(pauses)

    monkeypatch.setattr(Pauses, "left_s", left_s)
    start = request_count(ten)
    loop.tick()
    assert len(calls(ten, start)) >= len(TEN)
    assert len(asked) == looks


def test_paced_login_goes_on_within_seconds_of_an_unlock(
    thingspace: Sandbox,
    replica: Replicas,
    threads: list[LoopThread],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("registrar.reconcile.pacing.BREAKER_POLL_S", 0.2)
    monkeypatch.setattr("registrar.thingspace.auth.LOGIN_PAUSE_S", 0.1)
    one = replica()
    thingspace.fault(LOGIN, status=502, count=2)
    start = request_count(thingspace)
    serve(one, threads)
    wait_until(lambda: one.registrar.breaker.read().failed == 2)
    assert len(calls(thingspace, start, LOGIN)) == 2
    one.registrar.breaker.unlock()
    wait_until(lambda: thingspace.registered_url() == URL)
    assert len(calls(thingspace, start, LOGIN)) == 3


def test_paced_login_goes_on_when_another_replica_was_let_in(
    thingspace: Sandbox,
    replica: Replicas,
    threads: list[LoopThread],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("registrar.reconcile.pacing.BREAKER_POLL_S", 0.2)
    monkeypatch.setattr("registrar.thingspace.auth.LOGIN_PAUSE_S", 0.1)
    one, other = replica(), replica()
    thingspace.fault(LOGIN, status=502)
    # The login of the other one is under way, and its outcome still unknown.
    attempt = other.registrar.breaker.reserve()
    serve(one, threads)
    wait_until(lambda: one.registrar.breaker.read().possibly_failed == 2)
    attempt.accepted()
    wait_until(lambda: thingspace.registered_url() == URL)


@contextmanager
def pauses(url: str, clock: list[float]) -> Iterator[Pauses]:
    with redis.Redis.from_url(url) as client:
        yield Pauses(client, Keys("pauses"), lambda: clock[0])


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "no-redis"])
def test_pauses_double_to_minutes_and_end_with_an_answer(with_redis: bool, redis_url: str) -> None:
    clock = [0.0]
    with pauses(redis_url if with_redis else "redis://127.0.0.1:1", clock) as mine:
        throttled = UnavailableError("throttled", sent=False, http_status=429)
        lengths = []
        for _ in range(12):
            mine.begin(throttled)
            lengths.append(mine.left_s())
        assert THROTTLED.first_s * 0.9 <= lengths[0] <= THROTTLED.first_s * 1.25
        assert lengths[:8] == sorted(lengths[:8])
        assert THROTTLED.longest_s * 0.9 <= lengths[-1] <= THROTTLED.longest_s * 1.25
        mine.end()
        assert mine.left_s() == 0
        mine.begin(UnavailableError("provider-failed", sent=False, http_status=503))
        assert 0 < mine.left_s() <= FAILING.longest_s
        mine.end()
        # That this machine cannot reach the provider says nothing of the others.
        mine.begin(UnavailableError("unreachable", sent=False))
        assert mine.left_s() == 0


def test_pause_is_as_long_as_the_provider_asks_and_seen_by_all(redis_url: str) -> None:
    failed = UnavailableError("provider-failed", sent=False, http_status=503, retry_after_s=100)
    with pauses(redis_url, [0.0]) as one, pauses(redis_url, [0.0]) as other:
        one.begin(failed)
        assert 99 < other.left_s() <= 100
        other.end()
        one.end()


FAILED = UnavailableError("provider-failed", sent=False, http_status=503)
FAILED_FOR_LONG = UnavailableError(
    "provider-failed", sent=False, http_status=503, retry_after_s=100
)
THROTTLING = UnavailableError("throttled", sent=False, http_status=429)
UNREACHABLE = UnavailableError("unreachable", sent=False)


@pytest.mark.parametrize(
    ("errors", "at_least_s", "at_most_s"),
    [
        ((FAILED, THROTTLING), 200, 400),
        ((THROTTLING, FAILED), 200, 400),
        ((UNREACHABLE, FAILED, THROTTLING), 200, 400),
        ((FAILED_FOR_LONG, THROTTLING), 200, 400),
        ((FAILED, UNREACHABLE), 4, 7),
        ((FAILED_FOR_LONG, FAILED), 99, 101),
    ],
)
def test_one_throttled_account_beside_failing_ones_decides_the_pace(
    errors: tuple[UnavailableError, ...], at_least_s: float, at_most_s: float, redis_url: str
) -> None:
    with pauses(redis_url, [0.0]) as mine:
        for _ in range(12):
            mine.begin(*errors)
        assert at_least_s < mine.left_s() <= at_most_s
        mine.end()


@pytest.mark.slow
def test_throttled_account_lengthens_the_pauses_although_another_one_fails(
    thingspace: Sandbox, replica: Replicas, redis_url: str
) -> None:
    one = replica(THINGSPACE_ACCOUNTS=",".join(ACCOUNTS))
    thingspace.fault(f"{FOTA}/v1/callbacks/{ACCOUNTS[0]}", status=503, count=999)
    thingspace.fault(f"{FOTA}/v1/callbacks/{ACCOUNTS[1]}", status=429, count=999)
    for _ in range(6):
        one.tick()
    assert one.registrar.coordination.pauses.left_s() > FAILING.longest_s
