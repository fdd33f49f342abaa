"""The tests' side through Flask's test client: the records, and bad input."""

import html
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from sandbox.app import create_app
from sandbox.replies import ApiError
from sandbox.settings import Settings
from sandbox.state import State

A = "0242078689-00001"
URL = "https://listener.example/x"


@pytest.fixture
def state() -> State:
    return State.build(Settings(), clock=lambda: 1000.5)


@pytest.fixture
def client(state: State) -> FlaskClient:
    return create_app(state).test_client()


def test_a_message_to_nobody_is_noted_as_unregistered(client: FlaskClient) -> None:
    answer = client.post("/sandbox/messages", json={"accountName": A, "type": "firmwareList"})
    assert (answer.status_code, answer.get_json()) == (202, {"id": 1})
    expected = {
        "id": 1,
        "account": A,
        "version": None,
        "url": None,
        "type": "firmwareList",
        "created": 1000.5,
        "upgrade": None,
        "attempts": [],
        "result": "unregistered",
    }
    assert client.get("/sandbox/deliveries?id=1").get_json() == expected
    assert client.get("/sandbox/deliveries").get_json()["deliveries"] == [expected]
    waited = client.post("/sandbox/messages?wait=1&version=v2", json={"accountName": A})
    assert (waited.status_code, waited.get_json()["id"]) == (200, 2)


def test_deliveries_can_be_narrowed_and_are_counted(client: FlaskClient) -> None:
    for _ in range(3):
        client.post(f"/sandbox/messages?account={A}", json={"deviceId": "990013907835573"})
    answer = client.get("/sandbox/deliveries?after=2&result=unregistered").get_json()
    assert [each["id"] for each in answer["deliveries"]] == [3]
    assert answer["counts"] == {
        "pending": 0,
        "acknowledged": 0,
        "lost": 0,
        "unregistered": 3,
        "dropped": 0,
    }
    assert client.get("/sandbox/deliveries?result=lost").get_json()["deliveries"] == []


def test_every_call_of_the_api_is_listed_without_secrets(client: FlaskClient) -> None:
    form = {"grant_type": "client_credentials"}
    client.post("/api/ts/v1/oauth2/token", data=form, auth=("k", "hidden"))
    body = {"name": "Fota", "url": "https://u:hidden@h/x", "password": "hidden"}
    client.post(f"/api/fota/v1/callbacks/{A}", json=body)
    client.get("/sandbox/requests")
    text = client.get("/sandbox/requests").get_data(as_text=True)
    assert "hidden" not in text
    assert json.loads(text)["requests"] == [
        call(1, "POST", "/api/ts/v1/oauth2/token", 401),
        call(2, "POST", f"/api/fota/v1/callbacks/{A}", 401, url="https://h/x"),
    ]
    assert len(client.get("/sandbox/requests?after=1").get_json()["requests"]) == 1


def call(number: int, method: str, path: str, status: int, **more: Any) -> dict[str, Any]:
    times = {"started": 1000.5, "ended": 1000.5}
    rest = {"status": status, "fault": False, "url": None, **more}
    return {"id": number, "method": method, "path": path, **times, **rest}


def test_another_owner_can_register_and_deregister(client: FlaskClient, state: State) -> None:
    path = f"/sandbox/registrations/v1/{A}"
    body = {"url": "http://h/x", "username": "u", "password": "hidden"}
    assert client.put(path, json=body).get_json() == {"url": "http://h/x"}
    found = state.registrations.get("v1", A)
    assert found is not None
    assert found.login.password == "hidden"
    assert client.delete(path).get_json() == {"removed": True}
    assert client.delete(path).get_json() == {"removed": False}
    listed = client.get("/sandbox/registrations")
    assert "hidden" not in listed.get_data(as_text=True)
    assert listed.get_json()["registrations"] == []
    assert [each["cause"] for each in listed.get_json()["history"]] == ["outside", "outside"]


def test_the_lock_can_be_seen_and_lifted(client: FlaskClient, state: State) -> None:
    for _ in range(5):
        with pytest.raises(ApiError, match="Password"):
            state.credentials.log_in("u", "wrong")
    locked = {"locked": True, "failed_logins": 5, "live_sessions": 0}
    assert client.get("/sandbox/account").get_json() == locked
    assert client.post("/sandbox/unlock").get_json()["locked"] is False


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "/messages", "[1]", "JSON object"),
        ("POST", "/messages", "{", "JSON object"),
        ("POST", "/messages", "{}", "accountName"),
        ("POST", "/messages", '{"accountName": 5}', "accountName"),
        ("POST", f"/messages?version=v9&account={A}", "{}", "version"),
        ("GET", "/deliveries?id=x", None, "id must be a number"),
        ("GET", "/deliveries?after=-1", None, "after must be a number"),
        ("GET", "/deliveries?result=x", None, "result must be one of"),
        ("GET", f"/requests?after={'9' * 5000}", None, "after must be a number"),
        ("GET", "/requests?after=%C2%B2", None, "after must be a number"),
        ("PUT", f"/registrations/v1/{A}", "{}", "url"),
        ("PUT", f"/registrations/v2/{A}", '{"url": "ftp://h"}', "url"),
        ("POST", "/faults", "5", "JSON object"),
    ],
)
def test_bad_input_is_a_400_that_says_what_is_wrong(
    client: FlaskClient, method: str, path: str, body: str | None, says: str
) -> None:
    answer = client.open(f"/sandbox{path}", method=method, data=body)
    assert answer.status_code == 400
    assert says in answer.get_json()["error"]


def test_half_a_surrogate_pair_cannot_be_sent(client: FlaskClient, state: State) -> None:
    client.put(f"/sandbox/registrations/v1/{A}", json={"url": URL})
    answer = client.post("/sandbox/messages", data=f'{{"accountName": "{A}", "x": "\\ud800"}}')
    assert answer.status_code == 400
    assert "UTF-8" in answer.get_json()["error"]
    assert state.deliveries.listing() == []


@pytest.mark.parametrize("path", ["/sandbox/deliveries?id=7", "/sandbox/nothing", "/other"])
def test_what_is_not_there_is_a_404_in_json(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.get_json()["error"]


def test_the_index_lists_every_call_with_its_mark_and_every_option(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/html")
    rows = re.findall(
        r"<tr><td>(\w+)</td><td><code>(.*?)</code></td><td>(.*?)</td></tr>",
        html.unescape(answer.get_data(as_text=True)),
    )
    calls = {(method, path): about for method, path, about in rows}
    listed = ("GET", "/api/fota/v1/reports/<account>/status/<status>/index/<start>")
    assert "oldest first" in calls[listed]
    assert ("POST", "/sandbox/campaigns") in calls
    assert [path for (_, path), about in calls.items() if not about] == []
    unmarked = [
        path for (_, path), about in calls.items() if path.startswith("/api") and "[" not in about
    ]
    assert unmarked == []
    assert "v3_campaigns_path" in answer.get_data(as_text=True)
