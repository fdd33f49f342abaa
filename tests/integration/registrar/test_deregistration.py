"""Leaving with many accounts: side by side, within the time limit, and what is left is named."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from registrar import app
from registrar.plan import Reason
from registrar.public_url.probe import Answerer, Probe
from registrar.reconcile.deregistration import Deregistrar
from registrar.reconcile.shutdown import Shutdown
from registrar.settings import RegistrarSettings, Timing
from registrar.turn import UNRESTRICTED, Turn
from testbed.sandbox_client import Sandbox
from tests.support.registrar_replica import FOREIGN, FOTA, TOKEN, URL, Replica, environment

MANY = tuple(f"0242078689-{number:05}" for number in range(1, 21))
THIRTY = tuple(f"0242078689-{number:05}" for number in range(1, 31))


@pytest.fixture
def provider() -> Iterator[Sandbox]:
    with Sandbox(accounts=THIRTY, allow_http=True) as running:
        yield running


Build = Callable[..., AbstractContextManager[Replica]]


@pytest.fixture
def replica_of(provider: Sandbox, redis_url: str, tmp_path: Path) -> Build:
    """Builds a member with these accounts, for a `with` block."""

    @contextmanager
    def build(accounts: str, **chosen: str) -> Iterator[Replica]:
        chosen["THINGSPACE_ACCOUNTS"] = accounts
        environ = environment(provider, redis_url, tmp_path, **chosen)
        settings = replace(RegistrarSettings.from_env(environ), timing=Timing())
        with app.build(settings) as registrar:
            replica = Replica(settings, registrar)
            replica.join()
            yield replica

    return build


def registered(provider: Sandbox) -> list[str]:
    return [account for account in THIRTY if provider.registered_url(account=account)]


@pytest.mark.slow
def test_twenty_accounts_at_half_a_second_a_call_are_deregistered_within_the_limit(
    provider: Sandbox, replica_of: Build
) -> None:
    with replica_of(",".join(MANY)) as one:
        one.tick()
        assert registered(provider) == list(MANY)
        provider.fault(FOTA, delay_s=0.5, count=1000)
        ends = time.monotonic() + one.settings.timing.deregister_s
        shutdown = Shutdown(one.settings, one.registrar.coordination, deregistrar_of(one))
        shutdown.run(Turn(lambda _: time.monotonic() > ends), mutex_timeout_s=1.0)
    assert registered(provider) == []


@pytest.mark.slow
def test_url_that_hangs_is_asked_once_and_thirty_accounts_are_deregistered_within_the_limit(
    provider: Sandbox, replica_of: Build
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/cb"
        with replica_of(",".join(THIRTY), PUBLIC_URL=url) as one:
            one.tick()
            assert registered(provider) == list(THIRTY)
            provider.fault(FOTA, delay_s=0.5, count=1000)
            asked: list[str] = []
            probe = Probe(one.settings)

            def answerers(url: str) -> set[Answerer]:
                asked.append(url)
                return probe.answerers(url)

            ends = time.monotonic() + one.settings.timing.deregister_s
            deregistrar = Deregistrar(
                one.settings, one.registrar.client, one.registrar.coordination, answerers
            )
            shutdown = Shutdown(one.settings, one.registrar.coordination, deregistrar)
            shutdown.run(Turn(lambda _: time.monotonic() > ends), mutex_timeout_s=1.0)
    assert registered(provider) == []
    assert len(asked) == 1


@pytest.mark.parametrize("refusal", [{"status": 400}, {"status": 403}, {"status": 401}], ids=str)
def test_url_that_the_provider_refuses_to_take_back_does_not_keep_ours_registered(
    provider: Sandbox, replica_of: Build, refusal: dict[str, int]
) -> None:
    provider.register_outside(FOREIGN)
    with replica_of(MANY[0]) as one:
        one.tick()
        provider.fault(FOTA, method="POST", count=99, **refusal)
        deregistrar = Deregistrar(
            one.settings,
            one.registrar.client,
            one.registrar.coordination,
            lambda url: {"other"} if url == FOREIGN else {"ours"},
            one.reconciler.replaced,
        )
        shutdown = Shutdown(one.settings, one.registrar.coordination, deregistrar)
        assert shutdown.run(UNRESTRICTED, mutex_timeout_s=1.0)
    assert registered(provider) == []


def test_what_is_not_deregistered_when_the_time_is_over_is_named(
    provider: Sandbox, replica_of: Build
) -> None:
    with replica_of(",".join(MANY[:3])) as one:
        one.tick()
        slow = f"{FOTA}/v1/callbacks/{MANY[1]}"
        provider.fault(slow, delay_s=5, count=10)
        over = threading.Event()
        with structlog.testing.capture_logs() as lines:
            shutdown = Shutdown(one.settings, one.registrar.coordination, deregistrar_of(one))

            def wait(seconds: float) -> bool:
                if sum(line["event"] == "deregistered" for line in lines) == 2:
                    over.set()
                return over.wait(seconds)

            shutdown.run(Turn(wait), mutex_timeout_s=1.0)
        provider.clear_faults()
    assert registered(provider) == [MANY[1]]
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["account"]) == ("not deregistered", MANY[1])


@pytest.mark.quick_cases(5)
@pytest.mark.parametrize(
    ("answers", "taken", "result"),
    [
        (((), ()), False, (None, "ours")),
        ((("ours",), ()), False, (None, "ours")),
        ((("other",), ()), False, (URL, "served-by-others")),
        ((("ours", "other"), ()), False, (URL, "served-by-others")),
        (((), ()), True, (None, "ours")),
        ((("ours",), ("other",)), True, (FOREIGN, "given-back")),
        ((("ours",), ("ours", "other")), True, (FOREIGN, "given-back")),
        ((("ours",), ("ours",)), True, (None, "ours")),
        ((("ours",), ()), True, (None, "ours")),
        ((("other",), ("other",)), True, (URL, "served-by-others")),
    ],
)
def test_who_answers_at_the_urls_decides_what_the_last_member_leaves(
    provider: Sandbox,
    replica_of: Build,
    answers: tuple[tuple[str, ...], tuple[str, ...]],
    taken: bool,
    result: tuple[str | None, Reason],
) -> None:
    at_ours, at_taken = answers
    asked: list[str] = []

    def answerers(url: str) -> tuple[str, ...]:
        asked.append(url)
        return at_taken if url == FOREIGN else at_ours

    if taken:
        provider.register_outside(FOREIGN)
    with replica_of(MANY[0]) as one:
        [seen] = one.tick()
        assert seen.reason == ("takeover" if taken else "absent")
        deregistrar = Deregistrar(
            one.settings,
            one.registrar.client,
            one.registrar.coordination,
            answerers,  # type: ignore[arg-type]  # words of the table
            one.reconciler.replaced,
        )
        shutdown = Shutdown(one.settings, one.registrar.coordination, deregistrar)
        shutdown.run(UNRESTRICTED, mutex_timeout_s=1.0)
        stored = one.registrar.coordination.state.observation(seen.key)
    assert stored
    assert (provider.registered_url(), stored.reason) == result
    assert TOKEN not in stored.to_json()
    assert asked[0] == URL


@pytest.mark.parametrize(
    ("before", "logins"),
    [(None, 0), ("deregistered", 0), ("ours", 1)],
    ids=["nobody-looked", "the-last-one-deregistered", "a-killed-one-left-it"],
)
def test_a_process_that_never_got_ready_deregisters_only_what_was_left_to_it(
    provider: Sandbox, replica_of: Build, before: str | None, logins: int
) -> None:
    """A COMMAND that dies at each start must not cost a login each time."""
    with replica_of(MANY[0]) as killed:
        if before:
            killed.tick()
        if before == "deregistered":
            killed.leave()
        else:
            killed.registrar.coordination.lease.leave()
    start = len(provider.requests())
    with replica_of(MANY[0]) as one:
        shutdown = Shutdown(one.settings, one.registrar.coordination, deregistrar_of(one))
        shutdown.run(UNRESTRICTED, mutex_timeout_s=1.0, may_have_written=False)
        made = [call["path"] for call in provider.requests(start)]
    assert sum("session/login" in path for path in made) == logins
    assert registered(provider) == []


def deregistrar_of(one: Replica) -> Deregistrar:
    return Deregistrar(one.settings, one.registrar.client, one.registrar.coordination)
