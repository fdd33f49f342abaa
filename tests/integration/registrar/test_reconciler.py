"""Ticks against the sandbox: what is made, repaired, left alone, and told."""

import json
from typing import Any

import pytest
import redis

from listener.registration_state import Observation
from registrar.plan import plan
from registrar.reconcile.reconciler import Reconciler
from registrar.turn import UNRESTRICTED
from testbed.sandbox_client import Sandbox
from tests.support.registrar_replica import (
    ACCOUNTS,
    FOREIGN,
    FOTA,
    LOGIN,
    OAUTH,
    TOKEN,
    URL,
    Replicas,
    calls,
    request_count,
    result_and_reason,
    writes,
)


def test_a_tick_registers_verifies_and_then_has_nothing_to_do(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one, start = replica(), request_count(thingspace)
    assert [result_and_reason(seen) for seen in one.tick()] == [("registered", "absent")]
    assert thingspace.registered_url() == URL
    assert calls(thingspace, start) == ["GET", "POST", "GET"]
    assert [result_and_reason(seen) for seen in one.tick()] == [("as-desired", "as-desired")]
    assert calls(thingspace, start) == ["GET", "POST", "GET", "GET"]


def test_every_account_and_version_is_reconciled_with_one_token_and_one_session(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one, start = (
        replica(THINGSPACE_ACCOUNTS=",".join(ACCOUNTS), THINGSPACE_API_VERSIONS="v1,v2,v3"),
        request_count(thingspace),
    )
    seen = one.tick()
    assert {result_and_reason(observation) for observation in seen} == {("registered", "absent")}
    assert len(seen) == 6
    for account in ACCOUNTS:
        for version in ("v1", "v2", "v3"):
            assert thingspace.registered_url(version, account) == URL
    assert len(calls(thingspace, start, LOGIN)) == 1
    assert len(calls(thingspace, start, OAUTH)) == 1
    one.leave()
    assert not thingspace.registrations()["registrations"]


def test_one_that_fails_does_not_hold_up_the_others(thingspace: Sandbox, replica: Replicas) -> None:
    one = replica(THINGSPACE_ACCOUNTS=",".join(ACCOUNTS))
    thingspace.fault(f"{FOTA}/v1/callbacks/{ACCOUNTS[0]}", shape="gateway-forbidden-xml", count=9)
    first, second = one.tick()
    assert result_and_reason(first) == ("failed", "forbidden")
    assert result_and_reason(second) == ("registered", "absent")


def test_a_mistake_about_one_does_not_hold_up_the_others(
    thingspace: Sandbox, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = replica(THINGSPACE_ACCOUNTS=",".join(ACCOUNTS))
    planned = iter([TypeError("unhashable")])

    def plan_wrongly(*arguments: Any) -> Any:
        for error in planned:
            raise error
        return plan(*arguments)

    monkeypatch.setattr("registrar.reconcile.reconciler.plan", plan_wrongly)
    first, second = one.tick()
    assert (result_and_reason(first), first.detail) == (("failed", "mistake"), "TypeError")
    assert result_and_reason(second) == ("registered", "absent")


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_the_public_sdk_sees_the_registration(
    version: str, thingspace: Sandbox, replica: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica(THINGSPACE_API_VERSIONS=version).tick()
    found = sdk_callbacks(thingspace, version, monkeypatch)
    assert (found[0] if isinstance(found, list) else found).url == URL


def sdk_callbacks(thingspace: Sandbox, version: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the provider's own SDK reads."""
    from verizon.configuration import Configuration, Environment, Server
    from verizon.http.auth.thingspace_oauth import ThingspaceOauthCredentials
    from verizon.http.auth.vz_m2m_token import VZM2mTokenCredentials
    from verizon.models.log_in_request import LogInRequest
    from verizon.verizon_client import VerizonClient

    base = thingspace.base_url
    servers = {
        Server.THINGSPACE: base,
        Server.OAUTH_SERVER: f"{base}/ts/v1",
        Server.SOFTWARE_MANAGEMENT_V1: f"{base}/fota/v1",
        Server.SOFTWARE_MANAGEMENT_V2: f"{base}/fota/v2",
        Server.SOFTWARE_MANAGEMENT_V3: f"{base}/fota/v3",
    }
    monkeypatch.setitem(Configuration.environments, Environment.PRODUCTION, servers)
    oauth = ThingspaceOauthCredentials(
        oauth_client_id=thingspace.key, oauth_client_secret=thingspace.secret
    )
    login = VerizonClient(thingspace_oauth_credentials=oauth).session_management
    body = LogInRequest(username=thingspace.username, password=thingspace.password)
    session = login.start_connectivity_management_session(body).body.session_token
    client = VerizonClient(
        thingspace_oauth_credentials=oauth,
        vz_m2m_token_credentials=VZM2mTokenCredentials(session),
    )
    api = getattr(client, f"software_management_callbacks_{version}")
    return api.list_registered_callbacks(ACCOUNTS[0]).body


def test_what_was_removed_is_registered_again(thingspace: Sandbox, replica: Replicas) -> None:
    one = replica(REGISTRAR_TAKEOVER="never")
    one.tick()
    thingspace.deregister_outside()
    assert result_and_reason(one.tick()[0]) == ("registered", "absent")


@pytest.mark.parametrize(
    ("policy", "at_boot", "later"),
    [
        ("boot", ("registered", "takeover"), ("yielded", "another-owner")),
        ("always", ("registered", "takeover"), ("registered", "takeover")),
        ("never", ("yielded", "another-owner"), ("yielded", "another-owner")),
    ],
)
def test_another_owner_is_replaced_as_the_policy_says(
    policy: str,
    at_boot: tuple[str, str],
    later: tuple[str, str],
    thingspace: Sandbox,
    replica: Replicas,
) -> None:
    one = replica(REGISTRAR_TAKEOVER=policy)
    thingspace.register_outside(FOREIGN)
    assert result_and_reason(one.tick()[0]) == at_boot
    thingspace.register_outside(FOREIGN)
    seen = one.tick()[0]
    assert result_and_reason(seen) == later
    expected = URL if later[0] == "registered" else FOREIGN
    assert thingspace.registered_url() == expected
    assert seen.ours is (expected == URL)


def test_two_that_always_take_over_stop_within_five_and_report_both_urls(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica(REGISTRAR_TAKEOVER="always", QUEUE_NAMESPACE="one")
    two = replica(
        REGISTRAR_TAKEOVER="always",
        QUEUE_NAMESPACE="two",
        PUBLIC_URL="http://127.0.0.1:9001/two",
        CALLBACK_TOKEN="another-token-of-all-the-tests",
    )
    start = request_count(thingspace)
    for _ in range(12):
        first, second = one.tick()[0], two.tick()[0]
    # The very first was no fight: nothing was registered.
    assert len(writes(thingspace, start)) - 1 <= 5
    for seen, other in ((first, "9001/two"), (second, "50559/cb")):
        assert seen.reason == "flapping"
        assert not seen.healthy
        assert other in str(seen.contender)
    assert [result_and_reason(first), result_and_reason(second)] != [("as-desired", "flapping")] * 2
    assert TOKEN not in first.to_json() + second.to_json()


def test_an_outage_does_not_look_like_a_fight(thingspace: Sandbox, replica: Replicas) -> None:
    one = replica()
    thingspace.register_outside(FOREIGN)
    thingspace.fault(FOTA, method="POST", shape="html-unavailable", count=4)
    done = [result_and_reason(one.tick()[0]) for _ in range(5)]
    assert done == [("failed", "provider-failed")] * 4 + [("registered", "takeover")]


def test_replicas_of_one_deployment_share_the_count_of_takeovers(
    thingspace: Sandbox, replica: Replicas
) -> None:
    replicas = [replica(REGISTRAR_TAKEOVER="always") for _ in range(3)]
    done = []
    for one in replicas:
        thingspace.register_outside(FOREIGN)
        done.append(result_and_reason(one.tick()[0]))
    assert done == [("registered", "takeover")] * 2 + [("yielded", "flapping")]


def test_what_a_namespace_replaces_of_its_own_is_no_fight(
    thingspace: Sandbox, replica: Replicas
) -> None:
    """Blue and green in turn, and a password to and fro: each is registered at once."""
    blue, green = {"PUBLIC_URL": "http://127.0.0.1:9001/blue"}, {"CALLBACK_USERNAME": "me"}
    before = None
    for number in range(8):
        password = {"CALLBACK_PASSWORD": f"pass-{number % 4}"}
        one = replica(**(green | password if number % 2 else blue))
        one.join()
        assert result_and_reason(one.tick()[0])[0] == "registered"
        assert result_and_reason(one.tick()[0]) == ("as-desired", "as-desired")
        if before:
            before.leave()
        before = one


@pytest.mark.parametrize(
    ("shown", "differs"),
    [
        ({"url": URL, "username": "me", "password": "********"}, "the password differs"),
        ({"url": f"{URL}?x", "username": "me", "password": "pass"}, "the URL differs"),
    ],
)
def test_a_provider_that_shows_something_else_is_told_of_and_written_to_less_and_less(
    shown: dict[str, str], differs: str, thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica(CALLBACK_USERNAME="me", CALLBACK_PASSWORD="pass", REGISTRAR_TAKEOVER="always")
    clock = [0.0]
    reconciler = Reconciler(
        one.settings, one.registrar.client, one.registrar.coordination, lambda: clock[0]
    )
    body = json.dumps([{"name": "Fota", **shown}])
    thingspace.fault(FOTA, method="GET", status=200, body=body, count=99)
    start = request_count(thingspace)

    def tick() -> Observation:
        with reconciler.exclusively(UNRESTRICTED) as turn:
            return reconciler.tick(turn)[0].observation

    for _ in range(4):
        seen = tick()
        assert result_and_reason(seen) == ("failed", "not-verified")
        assert differs in seen.detail
    assert writes(thingspace, start) == ["POST"]
    for pause, count in ((61, 2), (61, 2), (121, 3)):
        clock[0] += pause
        tick()
        assert writes(thingspace, start) == ["POST"] * count
    # Somebody removed it: that is no reason to wait.
    thingspace.clear_faults()
    thingspace.deregister_outside()
    assert result_and_reason(tick()) == ("registered", "absent")


@pytest.mark.parametrize(
    "shown",
    [
        f"{URL}/",
        URL.replace("cb", "%63b"),
        URL.upper().replace("/CB/TOKEN-OF-ALL-THE-TESTS", f"/cb/{TOKEN}"),
    ],
)
def test_url_that_is_shown_in_another_form_is_ours(
    shown: str, thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica(REGISTRAR_TAKEOVER="never")
    thingspace.register_outside(shown)
    start = request_count(thingspace)
    assert result_and_reason(one.tick()[0]) == ("as-desired", "as-desired")
    assert writes(thingspace, start) == []
    one.leave()
    assert thingspace.registered_url() is None


@pytest.mark.parametrize("account", ["TestAccount-2", "with space-1"])
def test_account_of_another_form_is_registered_and_deregistered(
    account: str, replica: Replicas
) -> None:
    with Sandbox(accounts=(account,), allow_http=True) as strange:
        one = replica(**strange.environment())
        assert result_and_reason(one.tick()[0]) == ("registered", "absent")
        assert strange.registered_url() == URL
        assert one.registrar.coordination.state.observation(one.settings.slots[0]) is not None
        one.leave()
        assert strange.registered_url() is None


def test_a_changed_password_is_registered_at_the_next_tick(
    thingspace: Sandbox, replica: Replicas
) -> None:
    old = {"CALLBACK_USERNAME": "me", "CALLBACK_PASSWORD": "old-password"}
    replica(**old).tick()
    new = replica(
        CALLBACK_USERNAME="me",
        CALLBACK_PASSWORD="new-password",
        CALLBACK_PASSWORD_PREVIOUS="old-password",
    )
    assert result_and_reason(new.tick()[0]) == ("registered", "credentials-differ")
    assert result_and_reason(new.tick()[0]) == ("as-desired", "as-desired")


def test_a_rotated_token_is_registered_and_the_old_one_is_ours_too(
    thingspace: Sandbox, replica: Replicas
) -> None:
    replica(CALLBACK_TOKEN="the-token-of-the-tests-before").tick()
    new = replica(
        CALLBACK_TOKEN_PREVIOUS="the-token-of-the-tests-before", REGISTRAR_TAKEOVER="never"
    )
    assert result_and_reason(new.tick()[0]) == ("registered", "token-rotated")
    assert thingspace.registered_url() == URL


def test_by_hand_takes_over_whatever_the_policy(thingspace: Sandbox, replica: Replicas) -> None:
    one = replica(REGISTRAR_TAKEOVER="never")
    thingspace.register_outside(FOREIGN)
    registrar = one.registrar
    assert result_and_reason(registrar.query()[0])[1] == "not-as-desired"
    assert registrar.register()[0].reason == "by-hand"
    assert thingspace.registered_url() == URL
    seen = registrar.deregister()
    assert result_and_reason(seen[0]) == ("deregistered", "ours")
    assert thingspace.registered_url() is None


def test_what_the_provider_repeats_of_a_secret_is_not_shown(
    thingspace: Sandbox, replica: Replicas
) -> None:
    body = json.dumps({"errorCode": "INVALID_PARAMETER", "errorMessage": f"Invalid URL {URL}"})
    thingspace.fault(FOTA, method="POST", status=400, body=body, count=9)
    one = replica()
    seen = one.tick()[0]
    assert result_and_reason(seen) == ("failed", "rejected")
    assert "Invalid URL" in seen.detail
    assert TOKEN not in seen.to_json()


def test_what_a_tick_saw_is_stored_without_secrets(
    thingspace: Sandbox, replica: Replicas, redis_client: "redis.Redis"
) -> None:
    password = "callback-password"
    one = replica(CALLBACK_USERNAME="me", CALLBACK_PASSWORD=password)
    one.join()
    first = one.tick()[0]
    second = one.tick()[0]
    assert second.since == first.since
    assert second.fence > first.fence
    stored = one.registrar.coordination.state.observation(first.key)
    assert stored == second
    dump = everything(redis_client)
    for secret in (TOKEN, password, Sandbox.password, Sandbox.secret, thingspace.key):
        assert secret not in dump


def everything(client: Any) -> str:
    """All keys and their contents, as text."""
    readers = {
        "hash": client.hgetall,
        "string": client.get,
        "zset": lambda k: client.zrange(k, 0, -1),
    }
    return repr({key: readers[client.type(key)](key) for key in client.keys("*")})
