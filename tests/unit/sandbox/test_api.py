"""The provider's side through Flask's test client: every call, and every way of refusing it."""

from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from sandbox.replies import NOT_FOUND, NOT_REGISTERED, NOT_REGISTERED_400
from sandbox.settings import EMPTY_FORMS, EmptyForm
from tests.support.sandbox_caller import ACCOUNT as A
from tests.support.sandbox_caller import LOGIN, Caller

URL = "https://listener.example:50559/CallbackListener/FirmwareServiceMessages.asmx"


@pytest.fixture
def caller() -> Caller:
    return Caller().authorize()


def answer(response: TestResponse) -> tuple[int, Any]:
    return response.status_code, response.get_json()


def code(response: TestResponse) -> tuple[int, Any]:
    """The status, and the code of whichever of the provider's forms it is."""
    body = response.get_json()
    fault = body.get("fault", {})
    return response.status_code, body.get("errorCode") or fault.get("code") or body.get("error")


def test_a_token_has_the_documented_members(caller: Caller) -> None:
    status, body = answer(caller.token())
    assert status == 200
    assert list(body) == ["access_token", "token_type", "expires_in", "scope"]
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600


def test_a_token_is_refused_for_what_is_wrong_with_the_request(caller: Caller) -> None:
    assert code(caller.token(key="wrong")) == (401, "invalid_client")
    assert code(caller.token(grant_type="password")) == (400, "invalid_request")
    assert code(caller.client.post("/api/ts/v1/oauth2/token")) == (401, "900902")


def test_login_needs_a_bearer_and_a_body(caller: Caller) -> None:
    blank = "UnifiedWebService.INPUT_INVALID.RequestUndefined"
    assert code(caller("POST", "/api/m2m/v1/session/login")) == (400, blank)
    del caller.headers["Authorization"]
    assert code(caller("POST", "/api/m2m/v1/session/login", LOGIN)) == (401, 900902)


def test_a_wrong_bearer_or_a_blank_body_does_not_count_as_a_failed_login(caller: Caller) -> None:
    for _ in range(6):
        caller("POST", "/api/m2m/v1/session/login")
    bearer = caller.headers.pop("Authorization")
    for _ in range(6):
        caller("POST", "/api/m2m/v1/session/login", {"username": "u", "password": "x"})
    caller.headers["Authorization"] = bearer
    assert caller("POST", "/api/m2m/v1/session/login", LOGIN).status_code == 200


def test_five_wrong_passwords_lock_the_account(caller: Caller) -> None:
    wrong = "UnifiedWebService.INPUT_INVALID.Password.Invalid"
    for _ in range(5):
        refused = caller("POST", "/api/m2m/v1/session/login", {"username": "u", "password": "x"})
        assert code(refused) == (400, wrong)
    locked = caller("POST", "/api/m2m/v1/session/login", LOGIN)
    assert "Locked" in code(locked)[1]


def test_logout_answers_the_token_of_the_session_and_ends_it(caller: Caller) -> None:
    session = caller.headers["VZ-M2M-Token"]
    assert answer(caller("POST", "/api/m2m/v1/session/logout")) == (200, {"sessionToken": session})
    assert code(caller.callbacks("GET", "v1"))[0] == 400


def test_v1_registers_queries_and_deregisters(caller: Caller) -> None:
    body = {"name": "Fota", "url": URL, "username": "listener", "password": "hidden"}
    expected = {"accountName": A, "serviceName": "Fota"}
    assert answer(caller.callbacks("POST", "v1", body)) == (200, expected)
    assert answer(caller.callbacks("GET", "v1")) == (200, [{"aname": A, **body}])
    gone = caller.callbacks("DELETE", "v1", rest="/name/Fota")
    assert answer(gone) == (200, {"success": True})
    assert answer(caller.callbacks("GET", "v1")) == (200, [])


def test_v1_shows_no_login_where_none_was_registered_and_takes_http(caller: Caller) -> None:
    caller.callbacks("POST", "v1", {"name": "Fota", "url": "http://127.0.0.1:1/"})
    expected = [{"aname": A, "name": "Fota", "url": "http://127.0.0.1:1/"}]
    assert answer(caller.callbacks("GET", "v1")) == (200, expected)


def test_v1_can_answer_with_a_bare_object() -> None:
    caller = Caller(v1_query="object").authorize()
    caller.callbacks("POST", "v1", {"name": "Fota", "url": URL})
    assert answer(caller.callbacks("GET", "v1")) == (200, {"aname": A, "name": "Fota", "url": URL})


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_v2_and_v3_register_modify_query_and_deregister(
    caller: Caller, version: str, method: str
) -> None:
    assert answer(caller.callbacks(method, version, {"url": URL})) == (200, {"url": URL})
    other = {"url": URL + "/other"}
    assert answer(caller.callbacks("PUT", version, other)) == (200, other)
    assert answer(caller.callbacks("GET", version)) == (200, other)
    assert answer(caller.callbacks("DELETE", version)) == (200, {"success": True})
    assert answer(caller.callbacks("GET", version)) == (200, {})


def test_deleting_nothing_succeeds(caller: Caller) -> None:
    assert answer(caller.callbacks("DELETE", "v2")) == (200, {"success": True})


def test_deleting_nothing_is_an_error_where_a_query_of_nothing_is_one() -> None:
    caller = Caller(empty="not-registered-403").authorize()
    assert caller.callbacks("DELETE", "v2").status_code == 403
    caller.callbacks("POST", "v2", {"url": URL})
    assert answer(caller.callbacks("DELETE", "v2")) == (200, {"success": True})


@pytest.mark.parametrize("account", ["TestAccount-2", "with space-1", "ä-1", "a%b-1"])
def test_account_of_another_form_is_served_if_it_is_known(account: str) -> None:
    caller = Caller(accounts=(account,)).authorize()
    path = f"/api/fota/v2/callbacks/{quote(account, safe='')}"
    for method, body in (("POST", {"url": URL}), ("GET", None), ("DELETE", None)):
        reply = caller.client.open(path, method=method, json=body, headers=caller.headers)
        assert reply.status_code == 200
    assert account in str(caller.state.registrations.listing()["history"])
    unknown = caller.client.get("/api/fota/v2/callbacks/Unknown-2", headers=caller.headers)
    assert "account name format" in unknown.get_data(as_text=True)


@pytest.mark.parametrize("form", EMPTY_FORMS)
def test_what_a_query_of_nothing_answers_can_be_chosen(form: EmptyForm) -> None:
    caller = Caller(empty=form).authorize()
    expected = {
        "by-version": (200, b"[]", b"{}"),
        "zero-bytes": (200, b"", b""),
        "null": (200, b"null", b"null"),
        "list": (200, b"[]", b"[]"),
        "object": (200, b"{}", b"{}"),
        "no-content": (204, b"", b""),
        "not-found": (404, *[NOT_FOUND.body.encode()] * 2),
        "not-found-empty": (404, b"", b""),
        "not-registered-403": (403, *[NOT_REGISTERED.body.encode()] * 2),
        "not-registered-400": (400, *[NOT_REGISTERED_400.body.encode()] * 2),
    }[form]
    first, second = caller.callbacks("GET", "v1"), caller.callbacks("GET", "v2")
    assert (first.status_code, first.data, second.data) == expected


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_v2_and_v3_refuse_http_unless_told_otherwise(caller: Caller, version: str) -> None:
    plain = {"url": "http://127.0.0.1:1/"}
    status, body = answer(caller.callbacks("POST", version, plain))
    assert (status, body["errorCode"]) == (400, "INVALID_PARAMETER")
    assert "https" in body["errorMessage"]
    relaxed = Caller(allow_http=True).authorize()
    assert answer(relaxed.callbacks("POST", version, plain)) == (200, plain)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "Input binding error"),
        ({}, "Input binding error"),
        ([1], "Input binding error"),
        ({"name": "fota", "url": URL}, "Invalid callback name"),
        ({"url": URL}, "Invalid callback name"),
        ({"name": "Fota"}, "Invalid callback URL"),
        ({"name": "Fota", "url": 5}, "Invalid callback URL"),
        ({"name": "Fota", "url": "ftp://h/"}, "Invalid callback URL"),
        ({"name": "Fota", "url": "https:///path"}, "Invalid callback URL"),
        ({"name": "Fota", "url": "https://h:99999/"}, "Invalid callback URL"),
        ({"name": "Fota", "url": "https://[::1/"}, "Invalid callback URL"),
    ],
)
def test_a_bad_registration_is_refused_and_changes_nothing(
    caller: Caller, body: Any, message: str
) -> None:
    status, refused = answer(caller.callbacks("POST", "v1", body))
    assert (status, refused["errorCode"]) == (400, "INVALID_PARAMETER")
    assert message in refused["errorMessage"]
    assert caller.state.registrations.listing()["history"] == []


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(caller: Caller, raw: bytes) -> None:
    path = f"/api/fota/v1/callbacks/{A}"
    refused = caller.client.post(path, data=raw, headers=caller.headers)
    assert code(refused) == (400, "INVALID_PARAMETER")


@pytest.mark.parametrize("account", ["242078689-00001", "0242078689-1", "abc", "0242078689-00001x"])
def test_an_account_name_of_another_form_is_refused(caller: Caller, account: str) -> None:
    expected = {"errorCode": "INVALID_PARAMETER", "errorMessage": "Invalid account name format"}
    for method in ("GET", "POST"):
        refused = caller.callbacks(method, "v1", {"name": "Fota", "url": URL}, account=account)
        assert answer(refused) == (400, expected)


def test_an_unknown_account_is_refused_and_a_second_one_can_be_known(caller: Caller) -> None:
    other = "0000123456-00001"
    assert code(caller.callbacks("GET", "v1", account=other)) == (400, "INVALID_PARAMETER")
    both = Caller(accounts=(A, other)).authorize()
    assert both.callbacks("GET", "v1", account=other).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"/api/fota/v1/callbacks/{A}"),
        ("DELETE", f"/api/fota/v1/callbacks/{A}"),
        ("DELETE", f"/api/fota/v2/callbacks/{A}/name/Fota"),
        ("GET", "/api/fota/v4/callbacks/x"),
        ("GET", "/api/fota/v1/callbacks/"),
        ("GET", "/api/ts/v1/oauth2/token"),
        ("GET", "/api/"),
        ("GET", "/api"),
    ],
)
def test_the_gateway_knows_no_other_path_or_method(caller: Caller, method: str, path: str) -> None:
    assert code(caller(method, path)) == (400, 900906)


def test_another_service_name_cannot_be_deregistered(caller: Caller) -> None:
    caller.callbacks("POST", "v1", {"name": "Fota", "url": URL})
    refused = caller.callbacks("DELETE", "v1", rest="/name/Other")
    assert code(refused) == (400, "INVALID_PARAMETER")
    assert caller.state.registrations.get("v1", A) is not None


def test_callbacks_need_a_bearer_and_a_live_session(caller: Caller) -> None:
    session = caller.headers.pop("VZ-M2M-Token")
    invalid = "UnifiedWebService.INPUT_INVALID.SessionToken.Invalid"
    assert code(caller.callbacks("GET", "v1")) == (400, invalid)
    caller.headers["VZ-M2M-Token"] = session
    caller.now += 1200
    expired = "UnifiedWebService.REQUEST_FAILED.SessionToken.Expired"
    assert code(caller.callbacks("GET", "v1")) == (400, expired)
    caller.now += 2400
    assert code(caller.callbacks("GET", "v1")) == (401, "900901")
    caller.headers["Authorization"] = "Basic abc"
    assert code(caller.callbacks("GET", "v1")) == (401, 900902)
    del caller.headers["Authorization"]
    assert code(caller.callbacks("GET", "v1")) == (401, 900902)
