"""What each shape of error means, read from replies as they may come."""

import json
from datetime import UTC, datetime

import pytest

from registrar.errors import AuthExpiredError, RegistrarError, RejectedError, UnavailableError
from registrar.http.reply import Reply
from registrar.thingspace.faults import parse_fault, raise_for_fault, says_nothing_registered

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
THEN = "2026-May-01 12:00:30+0000 UTC"
XML = (
    b'<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>900908</am:code>'
    b"<am:message>Resource forbidden</am:message></am:fault>"
)
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>"
EXPIRED = "UnifiedWebService.REQUEST_FAILED.SessionToken.Expired"
INVALID = "UnifiedWebService.INPUT_INVALID.SessionToken.Invalid"


def fota(code: str, message: str | None = "said", status: int = 400) -> Reply:
    return Reply(status, json.dumps({"errorCode": code, "errorMessage": message}).encode())


def fault(code: object, status: int = 401) -> Reply:
    return Reply(status, json.dumps({"fault": {"code": code, "message": "said"}}).encode())


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
        raise_for_fault(reply)
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
    with pytest.raises(AuthExpiredError) as caught:
        raise_for_fault(reply)
    assert caught.value.stale == grants


def test_success_is_no_fault_unless_it_has_an_error_code() -> None:
    raise_for_fault(Reply(200, HTML))
    raise_for_fault(Reply(204))
    raise_for_fault(Reply(200, b'{"success": true, "errorCode": 0, "error": null}'))
    with pytest.raises(RejectedError):
        raise_for_fault(Reply(200, b'{"success": true, "errorCode": 1, "error": null}'))


def test_the_wait_that_is_asked_for_comes_along() -> None:
    with pytest.raises(UnavailableError) as caught:
        raise_for_fault(Reply(503, b"", {"retry-after": "7"}))
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize("status", [429, 503, 403, 500])
def test_gateway_that_throttles_says_when_to_come_back(status: int) -> None:
    said = {"code": 900800, "message": "Message throttled out", "nextAccessTime": THEN}
    xml = f'<am:fault xmlns:am="http://wso2.org/apimanager"><am:code>900800</am:code><amt:nextAccessTime xmlns:amt="http://wso2.org/apimanager/throttling">{THEN}</amt:nextAccessTime></am:fault>'
    for body in (json.dumps({"fault": said}), xml):
        with pytest.raises(UnavailableError) as caught:
            raise_for_fault(Reply(status, body.encode()), now=lambda: NOW)
        assert (caught.value.reason, caught.value.retry_after_s) == ("throttled", 30)


def test_longer_of_two_waits_is_kept() -> None:
    body = json.dumps({"fault": {"code": 900800, "nextAccessTime": THEN}}).encode()
    with pytest.raises(UnavailableError) as caught:
        raise_for_fault(Reply(429, body, {"retry-after": "40"}), now=lambda: NOW)
    assert caught.value.retry_after_s == 40


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
        raise_for_fault(fota("INVALID_PARAMETER", "line\r\nbreak " + "x" * 5000))
    assert len(caught.value.detail) <= 200
    assert "\n" not in caught.value.detail


def test_tags_are_left_out() -> None:
    assert str(parse_fault(Reply(502, HTML))).split() == ["502", "Bad", "Gateway"]
