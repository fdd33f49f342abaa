"""Faults: which call they strike, what they do to it, and which are refused."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from sandbox.app import create_app
from sandbox.faults import Fault, Faults
from sandbox.replies import SHAPES
from sandbox.settings import Settings
from sandbox.state import State

A = "0242078689-00001"
CALLBACKS = f"/api/fota/v1/callbacks/{A}"
REGISTRATION = {"name": "Fota", "url": "https://listener.example/x"}


class Caller:
    def __init__(self) -> None:
        self.state = State.build(Settings(key="k", secret="s", username="u", password="p"))
        self.client: FlaskClient = create_app(self.state).test_client()
        self.headers: dict[str, str] = {}
        self.authorize()

    def authorize(self) -> None:
        bearer, _ = self.state.credentials.issue_token("k", "s")
        session = self.state.credentials.log_in("u", "p")
        self.headers = {"Authorization": f"Bearer {bearer}", "VZ-M2M-Token": session}

    def fault(self, **fields: Any) -> tuple[int, Any]:
        answer = self.client.post("/sandbox/faults", json={"path": "/api", **fields})
        return answer.status_code, answer.get_json()

    def get(self) -> tuple[int, str]:
        answer = self.client.get(CALLBACKS, headers=self.headers)
        return answer.status_code, answer.get_data(as_text=True)


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_a_fault_matches_by_prefix_and_method_as_often_as_it_says() -> None:
    faults = Faults()
    faults.add(Fault("/api/fota", method="GET", count=2, status=503))
    assert faults.pop_matching("POST", "/api/fota/v1/callbacks/x") is None
    assert faults.pop_matching("GET", "/api/ts/v1/oauth2/token") is None
    assert faults.pop_matching("GET", "/api/fota/v1/callbacks/x") is not None
    assert faults.listing()[0]["count"] == 1
    assert faults.pop_matching("GET", "/api/fota/v2/callbacks/x") is not None
    assert faults.pop_matching("GET", "/api/fota/v2/callbacks/x") is None
    assert faults.listing() == []


def test_faults_strike_in_the_order_in_which_they_came() -> None:
    faults = Faults()
    faults.add(Fault("/api", status=500, count=2))
    faults.add(Fault("/api/fota", status=501))
    popped = [faults.pop_matching("GET", "/api/fota/x") for _ in range(4)]
    assert [fault.status if fault else None for fault in popped] == [500, 500, 501, None]
    faults.add(Fault("/api", status=500))
    faults.clear()
    assert faults.pop_matching("GET", "/api") is None


def test_a_fault_answers_with_what_it_was_given(caller: Caller) -> None:
    status, answer = caller.fault(
        status=503,
        body="<html>down</html>",
        content_type="text/html",
        headers={"Retry-After": "5"},
    )
    assert status == 201
    assert answer["faults"][0]["status"] == 503
    refused = caller.client.get(CALLBACKS, headers=caller.headers)
    assert (refused.status_code, refused.data) == (503, b"<html>down</html>")
    assert refused.headers["Retry-After"] == "5"
    assert refused.content_type == "text/html"
    assert caller.get() == (200, "[]")


def test_a_status_alone_has_an_empty_body(caller: Caller) -> None:
    caller.fault(status=429)
    assert caller.get() == (429, "")


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_documented_shape_can_be_had(caller: Caller, shape: str) -> None:
    caller.fault(shape=shape)
    assert caller.get() == (SHAPES[shape].status, SHAPES[shape].body)


def test_the_shapes_cover_what_is_documented() -> None:
    bodies = [reply.body for reply in SHAPES.values()]
    codes = {json.loads(body)["fault"]["code"] for body in bodies if body.startswith('{"fault"')}
    assert {type(code) for code in codes} == {str, int}
    assert {int(code) for code in codes} == {900901, 900902, 900906}
    assert "" in bodies
    assert any(body.startswith("<!DOCTYPE html>") for body in bodies)
    assert SHAPES["gateway-forbidden-xml"].status == 403
    assert {400, 401, 403, 429, 500, 502, 503} <= {reply.status for reply in SHAPES.values()}


def test_a_shape_can_be_changed_in_parts(caller: Caller) -> None:
    caller.fault(shape="throttled", headers={"Retry-After": "9"}, body="slow down")
    answer = caller.client.get(CALLBACKS, headers=caller.headers)
    assert (answer.status_code, answer.data) == (429, b"slow down")
    assert answer.headers["Retry-After"] == "9"


@pytest.mark.parametrize("status", [429, 503])
def test_gateway_that_throttles_names_the_time_in_its_own_form(caller: Caller, status: int) -> None:
    caller.fault(next_access_s=90, status=status)
    found, body = caller.get()
    said = json.loads(body)["fault"]
    until = datetime.strptime(said["nextAccessTime"], "%Y-%b-%d %H:%M:%S%z UTC")
    assert (found, said["code"]) == (status, 900800)
    assert 60 < (until - datetime.now(UTC)).total_seconds() <= 90


def test_by_default_the_struck_call_has_no_effect(caller: Caller) -> None:
    caller.fault(status=500)
    caller.client.post(CALLBACKS, json=REGISTRATION, headers=caller.headers)
    assert caller.state.registrations.get("v1", A) is None


def test_a_fault_after_the_effect_loses_only_the_answer(caller: Caller) -> None:
    caller.fault(status=504, when="after")
    answer = caller.client.post(CALLBACKS, json=REGISTRATION, headers=caller.headers)
    assert answer.status_code == 504
    assert caller.state.registrations.get("v1", A) is not None
    assert caller.state.request_log.listing()[-1]["status"] == 504


def test_an_expired_token_is_refused_until_another_is_asked_for(caller: Caller) -> None:
    caller.fault(expire="token", path="/api/fota")
    for _ in range(2):
        status, body = caller.get()
        assert (status, json.loads(body)["fault"]["code"]) == (401, "900901")
    caller.authorize()
    assert caller.get()[0] == 200


def test_an_expired_session_is_refused_until_another_login(caller: Caller) -> None:
    caller.fault(expire="session")
    for _ in range(2):
        status, body = caller.get()
        assert status == 400
        assert "SessionToken.Expired" in body
    caller.authorize()
    assert caller.get()[0] == 200


def test_an_expired_session_can_be_answered_otherwise(caller: Caller) -> None:
    caller.fault(expire="session", shape="session-unauthorized")
    status, body = caller.get()
    assert status == 401
    assert "SessionToken.Expired" in body
    assert caller.get()[0] == 400


def test_a_delayed_call_is_answered_as_usual_later(caller: Caller) -> None:
    caller.fault(delay_s=0.05)
    began = time.monotonic()
    assert caller.get() == (200, "[]")
    assert time.monotonic() - began >= 0.05


def test_the_record_says_which_calls_were_struck(caller: Caller) -> None:
    caller.fault(status=500)
    caller.get()
    caller.get()
    assert [call["fault"] for call in caller.state.request_log.listing()] == [True, False]


def test_the_tests_own_side_is_never_struck(caller: Caller) -> None:
    caller.fault(path="/", status=500)
    assert caller.client.get("/sandbox/faults").status_code == 200
    assert caller.client.delete("/sandbox/faults").get_json() == {"faults": []}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "_schema"),
        ({"headers": {"Retry-After": "5"}}, "_schema"),
        ({"status": 500, "path": "api"}, "path"),
        ({"status": 500, "path": 5}, "path"),
        ({"status": 500, "method": "get"}, "method"),
        ({"status": 500, "count": 0}, "count"),
        ({"status": 500, "count": "many"}, "count"),
        ({"status": 99}, "status"),
        ({"status": "500"}, "status"),
        ({"shape": "unheard-of"}, "shape"),
        ({"delay_s": -1}, "delay_s"),
        ({"drop": "perhaps"}, "drop"),
        ({"expire": "password"}, "expire"),
        ({"status": 500, "when": "never"}, "when"),
        ({"status": 500, "headers": {"X": "a\r\nY: b"}}, "headers"),
        ({"status": 500, "content_type": "a\n"}, "content_type"),
        ({"status": 500, "unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_bad_fault_is_refused_and_its_field_named(
    caller: Caller, fields: dict[str, Any], field: str
) -> None:
    status, answer = caller.fault(**fields)
    assert status == 400
    assert field in answer["fields"]
    assert caller.state.faults.listing() == []
