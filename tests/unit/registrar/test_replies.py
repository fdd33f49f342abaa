"""What replies mean: callbacks, results, tokens and sessions."""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from listener.settings.secret import Secret
from registrar.errors import AuthExpiredError, RegistrarError, StopError, UnavailableError
from registrar.http.reply import Reply
from registrar.model import Registration, ServiceName
from registrar.thingspace.replies import (
    NotRegisteredError,
    read_callbacks,
    read_deregistration_result,
    read_registration_result,
    read_session,
    read_token,
)
from registrar.thingspace.schemas import (
    DeregistrationResult,
    RegisteredCallback,
    RegistrationResult,
)

ACCOUNT = "0242078689-00001"
URL = "https://fota.example.com/cb/token"
WRONG_PASSWORD = "UnifiedWebService.INPUT_INVALID.Password.Invalid"
XML = (
    b'<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>900908</am:code>'
    b"<am:message>Resource forbidden</am:message></am:fault>"
)
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>"
EXPIRED = "UnifiedWebService.REQUEST_FAILED.SessionToken.Expired"


def ok(body: object) -> Reply:
    return Reply(200, json.dumps(body).encode())


def fota(code: str, message: str | None = "said", status: int = 400) -> Reply:
    return Reply(status, json.dumps({"errorCode": code, "errorMessage": message}).encode())


def fault(code: object, status: int = 401) -> Reply:
    return Reply(status, json.dumps({"fault": {"code": code, "message": "said"}}).encode())


def oauth(status: int) -> Reply:
    body = {"error": "invalid_client", "error_description": "said"}
    return Reply(status, json.dumps(body).encode())


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200),
        Reply(204),
        Reply(200, b"  \n"),
        Reply(200, b"null"),
        Reply(200, b"[]"),
        Reply(200, b"{}"),
        Reply(200, b"[{}]"),
        Reply(200, b"[null]"),
        ok([{"name": "Other", "url": "https://other.example.com"}]),
        ok({"url": ""}),
        ok({"url": None}),
        ok({"aname": ACCOUNT, "name": "Fota"}),
        ok(""),
        ok([""]),
        ok([{"name": [], "url": URL}]),
        ok({"name": {"a": 1}, "url": URL}),
    ],
)
def test_every_form_of_nothing_reads_as_no_callback_of_our_service(reply: Reply) -> None:
    assert ServiceName.FOTA not in {callback.service for callback in read_callbacks(reply)}


@pytest.mark.parametrize(
    "body",
    [
        [{"aname": ACCOUNT, "name": "Fota", "url": URL, "username": "me", "password": "pass"}],
        {"aname": ACCOUNT, "name": "Fota", "url": URL, "username": "me", "password": "pass"},
        [
            {"name": "Other", "url": "https://other.example.com"},
            {"aname": ACCOUNT, "name": "Fota", "url": URL, "username": "me", "password": "pass"},
        ],
    ],
)
def test_v1_answers_with_a_list_or_a_bare_object(body: object) -> None:
    expected = RegisteredCallback(
        ServiceName.FOTA, Registration(URL, "me", Secret("pass")), ACCOUNT
    )
    assert expected in read_callbacks(ok(body))


@pytest.mark.parametrize("name", ["Fota", "FOTA", "fota", None])
def test_name_of_the_service_is_read_in_upper_and_lower_case_or_may_be_missing(
    name: str | None,
) -> None:
    (callback,) = read_callbacks(ok([{"name": name, "url": URL}]))
    assert callback.service is ServiceName.FOTA


def test_callbacks_of_other_services_are_read_too() -> None:
    entries = [
        {"aname": ACCOUNT, "name": "NiddService", "url": "https://other.example.com"},
        {"aname": ACCOUNT, "name": "Fota", "url": URL, "extra": {"deep": [1]}, "username": 7},
        {"aname": 7, "name": "Broken", "url": 7},
    ]
    assert [(each.service, each.registration.url) for each in read_callbacks(ok(entries))] == [
        ("NiddService", "https://other.example.com"),
        ("Fota", URL),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404),
        Reply(403, b'{"errorCode": "CALLBACK_NOT_REGISTERED"}'),
        Reply(400, b'{"errorCode": "X", "errorMessage": "No callback is registered"}'),
    ],
)
def test_error_that_says_that_nothing_is_registered_is_told_apart(reply: Reply) -> None:
    for read in (read_callbacks, read_deregistration_result):
        with pytest.raises(NotRegisteredError):
            read(reply)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (
            {"accountName": ACCOUNT, "serviceName": "Fota"},
            RegistrationResult(ACCOUNT, ServiceName.FOTA),
        ),
        ({"url": URL}, RegistrationResult(url=URL)),
        ({"accountName": 7, "serviceName": "Other"}, RegistrationResult(service="Other")),
        ([], RegistrationResult()),
        (None, RegistrationResult()),
    ],
)
def test_result_of_a_registration_holds_what_the_reply_names(
    body: object, result: RegistrationResult
) -> None:
    assert read_registration_result(ok(body)) == result


@pytest.mark.parametrize(
    ("reply", "success"),
    [
        (ok({"success": True}), True),
        (ok({"success": False}), False),
        (ok({"success": "yes"}), None),
        (ok({}), None),
        (Reply(204), None),
        (Reply(200, b"OK"), None),
    ],
)
def test_result_of_a_deregistration_is_what_the_reply_says(
    reply: Reply, success: bool | None
) -> None:
    assert read_deregistration_result(reply) == DeregistrationResult(success)


@pytest.mark.parametrize("read", [read_registration_result, read_deregistration_result])
def test_page_is_not_taken_for_the_result_of_a_write(
    read: Callable[[Reply], object],
) -> None:
    with pytest.raises(UnavailableError) as caught:
        read(Reply(200, HTML))
    assert (caught.value.reason, caught.value.sent) == ("unreadable", True)


def test_v2_answers_with_the_url_alone() -> None:
    (callback,) = read_callbacks(ok({"url": URL}))
    assert callback == RegisteredCallback(ServiceName.FOTA, Registration(URL))


def test_half_a_surrogate_pair_in_a_url_can_be_stored_and_logged() -> None:
    (callback,) = read_callbacks(Reply(200, b'{"url": "https://x.example.com/\\ud800"}'))
    assert callback.registration == Registration("https://x.example.com/?")


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>",
        b'"a text"',
        b"7",
        b'[["nested"]]',
        b'{"surprise": true}',
        b'{"url": 7}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_answer_is_not_taken_for_nothing(body: bytes) -> None:
    with pytest.raises(UnavailableError) as caught:
        read_callbacks(Reply(200, body))
    assert caught.value.reason == "unreadable"


def one_of(*choices: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value of one of these, each of them equally likely; `|` would flatten those that are unions themselves."""
    return st.sampled_from(choices).flatmap(lambda chosen: chosen)


# Members and values that the readers look for, so that many replies get past the first check.
WORDS = st.sampled_from(
    [URL, ACCOUNT, "Fota", "", "900901", "900802", "0", "CALLBACK_NOT_REGISTERED", "\ud800", EXPIRED,
     "invalid_client", "Lock", "2026-May-01 12:00:30+0000 UTC", "9" * 400]
)  # fmt: skip
SCALARS = st.sampled_from([None, True, 7, 10**400, 1e300, float("nan")]) | st.text(max_size=20)
VALUES = one_of(WORDS, WORDS, SCALARS, st.lists(WORDS, max_size=2))
FAULTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("code", "message", "nextAccessTime"), VALUES)
)
ERROR_NAMES = ("errorCode", "errorMessage", "error", "error_description")
ERRORS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(ERROR_NAMES, VALUES), "fault": one_of(FAULTS, VALUES)}
)
RETRY_AFTER = one_of(st.integers().map(str), WORDS, st.just("Sat, 31 Dec 99999"))
HEADERS = st.fixed_dictionaries({}, optional={"retry-after": RETRY_AFTER})
ERROR_STATUSES = st.sampled_from([400, 401, 403, 404, 429, 503])
STATUSES = one_of(st.just(200), st.just(200), ERROR_STATUSES, st.integers(100, 599))


def replies(members: Sequence[str]) -> st.SearchStrategy[Reply]:
    """Replies, of which about one in five is a 200 with an object of these members."""
    objects = st.fixed_dictionaries(dict.fromkeys(members, VALUES))
    lists = st.lists(one_of(objects, VALUES), max_size=2)
    contents = one_of(objects, objects, objects, ERRORS, lists, VALUES).map(json.dumps)
    bodies = one_of(*[contents.map(str.encode)] * 4, st.binary(max_size=50))
    return st.builds(Reply, STATUSES, bodies, HEADERS)


@pytest.mark.parametrize(
    ("read", "members"),
    [
        (read_callbacks, ["url"]),
        (read_callbacks, ["url", "name", "aname", "username", "password"]),
        (read_registration_result, ["accountName", "serviceName", "url"]),
        (read_deregistration_result, ["success"]),
        (read_token, ["access_token", "expires_in"]),
        (read_session, ["sessionToken"]),
    ],
)
@given(data=st.data())
def test_reader_of_replies_raises_only_errors_of_the_registrar(
    read: Callable[[Reply], object], members: list[str], data: st.DataObject
) -> None:
    try:
        content = read(data.draw(replies(members)))
    except RegistrarError as error:
        event(f"raises {error.reason}")
    else:
        event(f"returns {type(content).__name__}" if content else "returns nothing")
        assert shown(content).encode(), "it can be stored and logged"


def shown(content: object) -> str:
    """A text with every text in what a reader returned, secrets too."""
    if isinstance(content, Secret):
        return f"Secret {content.reveal()}"
    if is_dataclass(content):
        return " ".join(shown(getattr(content, field.name)) for field in fields(content))
    return " ".join(map(shown, content)) + "()" if isinstance(content, tuple) else f"{content}"


def test_a_broken_answer_is_not_repeated_for_it_may_hold_credentials() -> None:
    with pytest.raises(UnavailableError) as caught:
        read_callbacks(Reply(200, b'[{"name": "Fota", "username": "me", "password": "in-clear"'))
    assert "in-clear" not in str(caught.value)


@pytest.mark.parametrize("reply", [oauth(400), oauth(401), fault("900901"), Reply(401)])
def test_a_refused_application_is_for_people_to_mend(reply: Reply) -> None:
    with pytest.raises(StopError) as caught:
        read_token(reply)
    assert caught.value.reason == "application-refused"


@pytest.mark.parametrize(
    ("life", "seconds"),
    [
        (3600, 3600),
        ("120", 120),
        (None, 3600),
        ("x", 3600),
        ([], 3600),
        (10**400, 3600),
        ("inf", 3600),
    ],
)
def test_a_token_lives_as_long_as_the_provider_says(life: object, seconds: float | None) -> None:
    token = read_token(Reply(200, json.dumps({"access_token": "t", "expires_in": life}).encode()))
    assert (token.value.reveal(), token.expires_in_s) == ("t", seconds)


@pytest.mark.parametrize(
    "body", [HTML, b"", b"[]", b'{"access_token": ""}', b'{"access_token": "t\\u20ac"}']
)
def test_an_answer_without_a_token_is_an_outage(body: bytes) -> None:
    with pytest.raises(UnavailableError):
        read_token(Reply(200, body))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (fota(WRONG_PASSWORD), "login-refused"),
        (fota(WRONG_PASSWORD, status=401), "login-refused"),
        (Reply(401), "login-refused"),
        (fault(900906, 400), "login-refused"),
        (fota("UnifiedWebService.INPUT_INVALID.RequestUndefined"), "login-refused"),
        (fota(EXPIRED), "login-refused"),
        (fota("UnifiedWebService.REQUEST_FAILED.Account.Locked"), "account-locked"),
    ],
)
def test_error_that_the_provider_words_is_a_refused_login(reply: Reply, reason: str) -> None:
    with pytest.raises(StopError) as caught:
        read_session(reply)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (fault("900901"), AuthExpiredError),
        (fault(900902), AuthExpiredError),
        (Reply(429), UnavailableError),
        (Reply(500), UnavailableError),
        (Reply(401, HTML), UnavailableError),
        (Reply(200, HTML), UnavailableError),
        (Reply(200, b'{"sessionToken": null}'), UnavailableError),
        (Reply(403, XML), UnavailableError),
        (Reply(503, HTML), UnavailableError),
        (Reply(504), UnavailableError),
        (Reply(200, b'{"sessionToken": "s\\u20ac"}'), UnavailableError),
    ],
)
def test_answer_that_says_nothing_of_the_password_is_no_refusal_of_a_login(
    reply: Reply, kind: type[RegistrarError]
) -> None:
    with pytest.raises(kind):
        read_session(reply)


def test_a_session_is_read() -> None:
    assert read_session(Reply(200, b'{"sessionToken": "s"}')).reveal() == "s"
