"""Tokens that are refused and outages that pass, in every position of a call."""

from typing import Any

import pytest

from registrar.model import Slot
from testbed.sandbox_client import Sandbox
from tests.support.registrar_replica import (
    ACCOUNTS,
    FOTA,
    LOGIN,
    Replicas,
    calls,
    renewals,
    request_count,
    result_and_reason,
    writes,
)

EXPIRED = [["session"], ["token"], ["token", "session"]]


def spoil(thingspace: Sandbox, method: str, grants: list[str]) -> None:
    """Expires what the next call of this method shows; the same call may suffer twice."""
    for grant in grants:
        thingspace.fault(f"{FOTA}/v1", method=method, expire=grant)


@pytest.mark.quick_cases(5)
@pytest.mark.parametrize("grants", EXPIRED, ids="+".join)
@pytest.mark.parametrize("position", ["query", "register", "verify", "deregister"])
def test_whatever_expires_wherever_costs_one_renewal(
    position: str, grants: list[str], thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    client = one.registrar.client
    slot, wanted = Slot(ACCOUNTS[0], "v1"), one.settings.wanted("v1")
    client.query(slot)
    start = request_count(thingspace)
    method = {"query": "GET", "verify": "GET", "register": "POST", "deregister": "DELETE"}
    if position != "verify":
        spoil(thingspace, method[position], grants)
    assert client.query(slot) is None
    client.register(slot, wanted)
    if position == "verify":
        spoil(thingspace, "GET", grants)
    assert client.query(slot) == wanted
    client.deregister(slot)
    assert thingspace.registered_url() is None
    assert renewals(thingspace, start) == ("token" in grants, "session" in grants)


@pytest.mark.parametrize(
    "shape", ["session-expired", "session-invalid", "session-unauthorized-empty"]
)
def test_every_way_of_refusing_a_session_is_understood(
    shape: str, thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    one.tick()
    thingspace.fault(FOTA, shape=shape)
    start = request_count(thingspace)
    assert result_and_reason(one.tick()[0]) == ("as-desired", "as-desired")
    assert renewals(thingspace, start)[1] == 1


def test_a_bearer_that_is_refused_at_login_costs_no_strike(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    thingspace.fault(LOGIN, expire="token")
    assert result_and_reason(one.tick()[0])[0] == "registered"
    assert one.registrar.breaker.read().possibly_failed == 0


def test_who_goes_on_being_refused_gives_up_this_tick(
    thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    thingspace.fault(FOTA, shape="session-invalid", count=50)
    start = request_count(thingspace)
    assert result_and_reason(one.tick()[0]) == ("failed", "session-refused")
    assert len(calls(thingspace, start)) == 2


@pytest.mark.parametrize(
    "fault",
    [{"shape": "empty-500"}, {"shape": "html-bad-gateway"}, {"drop": True}, {"shape": "throttled"}],
    ids=str,
)
def test_what_passes_is_tried_again_at_once(
    fault: dict[str, Any], thingspace: Sandbox, replica: Replicas
) -> None:
    thingspace.fault(FOTA, **fault)
    assert result_and_reason(replica().tick()[0]) == ("registered", "absent")


@pytest.mark.parametrize("shape", ["html-unavailable", "html-ok", "empty-500"])
def test_what_stays_is_a_failure_of_this_tick(
    shape: str, thingspace: Sandbox, replica: Replicas
) -> None:
    one = replica()
    thingspace.fault(FOTA, shape=shape, count=50)
    start = request_count(thingspace)
    seen = one.tick()[0]
    assert seen.result == "failed"
    assert writes(thingspace, start) == []


def test_a_registration_whose_answer_is_lost_is_found_by_looking(
    thingspace: Sandbox, replica: Replicas
) -> None:
    thingspace.fault(FOTA, method="POST", when="after", drop=True)
    assert result_and_reason(replica().tick()[0]) == ("registered", "absent")
