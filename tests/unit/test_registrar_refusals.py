import json
from datetime import UTC, datetime

import pytest

from registrar.errors import RegistrarError, RejectedError, RenewError, StopError, UnavailableError
from registrar.protocol import read
from registrar.refusals import Reply, check, complaint, retry_after
from registrar.signin import read_session, read_token

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
XML = (
    b'<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>900908</am:code>'
    b"<am:message>Resource forbidden</am:message></am:fault>"
)
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>"
EXPIRED = "UnifiedWebService.REQUEST_FAILED.SessionToken.Expired"
INVALID = "UnifiedWebService.INPUT_INVALID.SessionToken.Invalid"
WRONG_PASSWORD = "UnifiedWebService.INPUT_INVALID.Password.Invalid"


def fota(code: str, message: str | None = "said", status: int = 400) -> Reply:
    return Reply(status, json.dumps({"errorCode": code, "errorMessage": message}).encode())


def fault(code: object, status: int = 401) -> Reply:
    return Reply(status, json.dumps({"fault": {"code": code, "message": "said"}}).encode())


def oauth(status: int) -> Reply:
    body = {"error": "invalid_client", "error_description": "said"}
    return Reply(status, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (fota("INVALID_PARAMETER"), RejectedError, "rejected"),
        (fota("INVALID_PARAMETER", None), RejectedError, "rejected"),
        (fault(900906, 400), RejectedError, "no-such-path"),
        (fault("900906", 404), RejectedError, "no-such-path"),
        (Reply(403, XML), RejectedError, "forbidden"),
        (Reply(403), RejectedError, "forbidden"),
        (
            Reply(302, b"", {"location": "https://elsewhere.example.com"}),
            RejectedError,
            "redirected",
        ),
        (Reply(400, b"[1, 2]"), RejectedError, "rejected"),
        (fault("900901"), RenewError, "token-refused"),
        (fault(900901), RenewError, "token-refused"),
        (fault(900902), RenewError, "token-refused"),
        (fota(EXPIRED), RenewError, "session-refused"),
        (fota(INVALID), RenewError, "session-refused"),
        (fota(EXPIRED, status=401), RenewError, "session-refused"),
        (Reply(401), RenewError, "unauthorized"),
        (Reply(401, HTML), RenewError, "unauthorized"),
        (Reply(429), UnavailableError, "throttled"),
        (Reply(408), UnavailableError, "provider-failed"),
        (Reply(500), UnavailableError, "provider-failed"),
        (Reply(502, HTML), UnavailableError, "provider-failed"),
        (Reply(503, XML), UnavailableError, "provider-failed"),
    ],
)
def test_each_shape_says_what_to_do_next(
    reply: Reply, kind: type[RegistrarError], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        check(reply)
    assert caught.value.reason == reason
    assert str(reply.status) in caught.value.detail


@pytest.mark.parametrize(
    ("reply", "grants"),
    [
        (fault("900901"), {"token"}),
        (fota(EXPIRED), {"session"}),
        (Reply(401), {"token", "session"}),
    ],
)
def test_a_refusal_names_what_to_renew(reply: Reply, grants: set[str]) -> None:
    with pytest.raises(RenewError) as caught:
        check(reply)
    assert caught.value.grants == grants


def test_an_acceptance_passes() -> None:
    check(Reply(200, HTML))
    check(Reply(204))


def test_the_wait_that_is_asked_for_comes_along() -> None:
    with pytest.raises(UnavailableError) as caught:
        check(Reply(503, b"", {"retry-after": "7"}))
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 12 ", 12),
        ("999999", 300),
        ("Fri, 01 May 2026 12:00:30 GMT", 30),
        ("Fri, 01 May 2026 11:00:00 GMT", 0),
        ("Sat, 02 May 2026 12:00:00 GMT", 300),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, None),
        ("Fri, 99 May 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_with_a_cap(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, NOW) == seconds


def test_remote_text_is_cut_and_on_one_line() -> None:
    with pytest.raises(RejectedError) as caught:
        check(fota("INVALID_PARAMETER", "line\r\nbreak " + "x" * 5000))
    assert len(caught.value.detail) <= 200
    assert "\n" not in caught.value.detail


def test_a_broken_answer_is_not_repeated_for_it_may_hold_credentials() -> None:
    with pytest.raises(UnavailableError) as caught:
        read(Reply(200, b'[{"name": "Fota", "username": "me", "password": "in-clear"'))
    assert "in-clear" not in str(caught.value)


def test_tags_are_left_out() -> None:
    assert str(complaint(Reply(502, HTML))).split() == ["502", "Bad", "Gateway"]


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
        (Reply(401, HTML), "login-refused"),
        (Reply(200, HTML), "login-refused"),
        (Reply(200, b'{"sessionToken": null}'), "login-refused"),
        (Reply(403, XML), "login-refused"),
        (fault(900906, 400), "login-refused"),
        (fota("UnifiedWebService.INPUT_INVALID.RequestUndefined"), "login-refused"),
        (fota(EXPIRED), "login-refused"),
        (fota("UnifiedWebService.REQUEST_FAILED.Account.Locked"), "account-locked"),
    ],
)
def test_whatever_is_no_session_is_a_refused_login(reply: Reply, reason: str) -> None:
    with pytest.raises(StopError) as caught:
        read_session(reply)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (fault("900901"), RenewError),
        (fault(900902), RenewError),
        (Reply(429), UnavailableError),
        (Reply(500), UnavailableError),
        (Reply(503, HTML), UnavailableError),
        (Reply(504), UnavailableError),
        (Reply(200, b'{"sessionToken": "s\\u20ac"}'), UnavailableError),
    ],
)
def test_what_says_nothing_of_the_password_is_no_refusal_of_a_login(
    reply: Reply, kind: type[RegistrarError]
) -> None:
    with pytest.raises(kind):
        read_session(reply)


def test_a_session_is_read() -> None:
    assert read_session(Reply(200, b'{"sessionToken": "s"}')).reveal() == "s"
