import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.errors import (
    AuthExpiredError,
    RegistrarError,
    RejectedError,
    StopError,
    UnavailableError,
)
from registrar.http.reply import Reply
from registrar.thingspace.replies import check, complaint, says_nothing_registered
from registrar.thingspace.requests import read
from registrar.thingspace.retry_after import next_access, retry_after
from registrar.thingspace.signin import read_session, read_token

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
THEN = "2026-May-01 12:00:30+0000 UTC"
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
        (fault("900901"), AuthExpiredError, "token-refused"),
        (fault(900901), AuthExpiredError, "token-refused"),
        (fault(900902), AuthExpiredError, "token-refused"),
        (fota(EXPIRED), AuthExpiredError, "session-refused"),
        (fota(INVALID), AuthExpiredError, "session-refused"),
        (fota(EXPIRED, status=401), AuthExpiredError, "session-refused"),
        (fota(EXPIRED, status=200), AuthExpiredError, "session-refused"),
        (fota(EXPIRED, status=500), AuthExpiredError, "session-refused"),
        (fault("900901", 200), AuthExpiredError, "token-refused"),
        (fota("INVALID_PARAMETER", status=200), RejectedError, "rejected"),
        (Reply(401), AuthExpiredError, "unauthorized"),
        (Reply(401, HTML), AuthExpiredError, "unauthorized"),
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
    ("reply", "stale"),
    [
        (fault("900901"), {"token"}),
        (fota(EXPIRED), {"session"}),
        (Reply(401), {"token", "session"}),
    ],
)
def test_a_refusal_names_what_to_renew(reply: Reply, stale: set[str]) -> None:
    with pytest.raises(AuthExpiredError) as caught:
        check(reply)
    assert caught.value.stale == stale


def test_an_acceptance_passes() -> None:
    check(Reply(200, HTML))
    check(Reply(204))
    check(Reply(200, b'{"success": true, "errorCode": 0, "error": null}'))


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
        ("9" * 400, 300),
        ("9" * 5000, 300),
        ("1.5", 1.5),
        ("1e3", None),
        ("0x10", None),
        ("inf", None),
        ("nan", None),
        ("2026-05-01T12:00:30Z", 30),
        ("Fri, 01 May 99999 12:00:30 GMT", None),
        ("Sat, 01 Jan 0001 00:00:00 +2359", 0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 300),
        ("Fri, 01 May 2026 12:00:30 +99999999", None),
        ("Fri, 99 May 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_with_a_cap(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-May-01 12:00:30+0000 UTC", 30),
        ("2026-May-01 14:00:30+0200 UTC", 30),
        ("2026-May-01 12:00:30 UTC", 30),
        ("2026-05-01T12:00:30.000+00:00", 30),
        ("2026-05-01 12:00:30+0000 UTC", 30),
        ("Fri, 01 May 2026 12:00:30 GMT", 30),
        (int(NOW.timestamp() * 1000) + 30_000, 30),
        (str(int(NOW.timestamp() * 1000) + 30_000), 30),
        (int(NOW.timestamp()) + 30, 30),
        ("2026-May-01 11:00:00+0000 UTC", 0),
        ("2099-Dec-31 00:00:00+0000 UTC", 300),
        ("99999-Dec-31 00:00:00+0000 UTC", None),
        (10**400, None),
        (float("inf"), None),
        ("", None),
        ("soon", None),
        (None, None),
        (True, None),
        ([], None),
    ],
)
def test_next_access_is_read_in_every_form_with_a_cap(value: object, seconds: float | None) -> None:
    assert next_access(value, NOW) == seconds


@pytest.mark.parametrize("status", [429, 503, 403, 500])
def test_gateway_that_throttles_says_when_to_come_back(status: int) -> None:
    said = {"code": 900800, "message": "Message throttled out", "nextAccessTime": THEN}
    xml = f'<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>900800</am:code><amt:nextAccessTime xmlns:amt="http://wso2.org/apimanager/throttling">{THEN}</amt:nextAccessTime></am:fault>'
    for body in (json.dumps({"fault": said}), xml):
        with pytest.raises(UnavailableError) as caught:
            check(Reply(status, body.encode()), now=lambda: NOW)
        assert (caught.value.reason, caught.value.retry_after_s) == ("throttled", 30)


def test_longer_of_two_waits_is_kept() -> None:
    body = json.dumps({"fault": {"code": 900800, "nextAccessTime": THEN}}).encode()
    with pytest.raises(UnavailableError) as caught:
        check(Reply(429, body, {"retry-after": "40"}), now=lambda: NOW)
    assert caught.value.retry_after_s == 40


@given(st.text(max_size=60))
def test_no_wait_whatever_it_says_raises(text: str) -> None:
    for wait in (retry_after(text, NOW), next_access(text, NOW)):
        assert wait is None or 0 <= wait <= 300


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404),
        Reply(404, HTML),
        Reply(404, b"[]"),
        fota("RESOURCE_NOT_FOUND", status=404),
        fota("X.CALLBACK_NOT_REGISTERED", status=403),
        fota("CALLBACK_NOT_REGISTERED"),
        fota("CallbackNotRegistered"),
        fota("INVALID_PARAMETER", "Callback is not registered for account 0242078689-00001"),
        fota("INVALID_PARAMETER", "No callback URL registered"),
        fota("REQUEST_FAILED", "There is no registered listener."),
        fota("REQUEST_FAILED", "Registration does not exist"),
        fota("NOT_FOUND"),
        fota("CALLBACK_NOT_REGISTERED", status=200),
    ],
)
def test_error_that_says_so_means_that_nothing_is_registered(reply: Reply) -> None:
    assert says_nothing_registered(reply)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200),
        Reply(400),
        Reply(403),
        Reply(403, XML),
        Reply(401),
        Reply(500, fota("CALLBACK_NOT_REGISTERED").body),
        fota("INVALID_PARAMETER", status=200),
        fault(900906, 404),
        fault("900906", 404),
        fota(EXPIRED, "No callback without a session", status=403),
        fota("INVALID_PARAMETER", "Invalid account name format"),
        fota("INVALID_PARAMETER", "Inactive account"),
        fota("INVALID_PARAMETER", "Account not found"),
        fota("INVALID_PARAMETER", "Invalid callback URL"),
        Reply(403, b"<html>No callback registered</html>"),
    ],
)
def test_other_errors_do_not_mean_that_nothing_is_registered(reply: Reply) -> None:
    assert not says_nothing_registered(reply)


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
