"""Every reply of `tests/data/replies`, to a query, a deregistration, a token request and a login."""

from collections.abc import Callable

import pytest

from registrar.errors import failure_of
from registrar.http.reply import Reply
from registrar.thingspace.replies import (
    read_callbacks,
    read_deregistration_result,
    read_registration_result,
    read_session,
    read_token,
)
from tests.support.provider_replies import MARKS, REPLIES, ProviderReply

URL = "https://10.120.102.183:50559/CallbackListener/FirmwareServiceMessages.asmx"
NOTHING: list[str] = []
# What a query finds: URLs, or the reason of the error.
QUERIES: dict[str, list[str] | str] = {
    "v1-callbacks": [URL],
    "v1-callbacks-object": [URL],
    "v2-callback": [URL],
    **{f"nothing-{form}": NOTHING for form in ("list", "object", "null", "empty", "no-content")},
    "not-found": "not-registered",
    "not-found-empty": "not-registered",
    "not-registered": "not-registered",
    "not-registered-400": "not-registered",
    "v1-registered": "unreadable",
    "deregistered": "unreadable",
    "token": "unreadable",
    "session": "unreadable",
    "html-ok": "unreadable",
    "fota-account-format": "rejected",
    "fota-input-binding": "rejected",
    "session-unknown-code": "rejected",
    "login-refused": "rejected",
    "login-locked": "rejected",
    "oauth-invalid-client-400": "rejected",
    "session-expired": "session-refused",
    "session-invalid": "session-refused",
    "session-unauthorized": "session-refused",
    "session-unauthorized-empty": "unauthorized",
    "login-unauthorized": "unauthorized",
    "oauth-invalid-client": "unauthorized",
    "gateway-invalid-credentials": "token-refused",
    "gateway-missing-credentials": "token-refused",
    "gateway-no-resource": "no-such-path",
    "gateway-no-resource-404": "no-such-path",
    "gateway-forbidden-xml": "forbidden",
    "html-bad-gateway": "provider-failed",
    "html-unavailable": "provider-failed",
    "empty-500": "provider-failed",
    "throttled": "throttled",
}
LOGINS = {
    "session": "",
    **dict.fromkeys(
        ("session-expired", "session-invalid", "session-unknown-code"), "login-refused"
    ),
    **dict.fromkeys(("login-refused", "login-unauthorized"), "login-refused"),
    "login-locked": "account-locked",
    "gateway-invalid-credentials": "token-refused",
    "gateway-missing-credentials": "token-refused",
    "html-bad-gateway": "provider-failed",
    "html-ok": "unreadable",
    "gateway-forbidden-xml": "unreadable",
    "throttled": "throttled",
}
TOKENS = {
    "token": "",
    "oauth-invalid-client": "application-refused",
    "oauth-invalid-client-400": "application-refused",
    "gateway-invalid-credentials": "application-refused",
    "html-ok": "unreadable",
    "html-bad-gateway": "provider-failed",
}
WRITES = {
    "v1-registered": "",
    "v2-callback": "",
    "deregistered": "",
    "nothing-empty": "",
    "nothing-no-content": "",
    "html-ok": "unreadable",
    "session-expired": "session-refused",
    "throttled": "throttled",
    "fota-input-binding": "rejected",
}


def reply(name: str) -> Reply:
    stored = REPLIES[name]
    return Reply(stored.status, stored.body, stored.headers)


def reason(read: Callable[[Reply], object], name: str) -> str:
    error = failure_of(lambda: read(reply(name)))
    return error.reason if error else ""


def test_every_reply_is_tried_and_says_how_sure_it_is() -> None:
    assert QUERIES.keys() == REPLIES.keys()
    assert all(each.mark in MARKS and each.source for each in REPLIES.values())


@pytest.mark.parametrize("name", sorted(REPLIES))
def test_query_reads_each_reply(name: str) -> None:
    expected = QUERIES[name]
    if isinstance(expected, str):
        assert reason(read_callbacks, name) == expected
    else:
        assert [each.registration.url for each in read_callbacks(reply(name))] == expected


@pytest.mark.parametrize("name", sorted(LOGINS))
def test_login_reads_each_reply(name: str) -> None:
    assert reason(read_session, name) == LOGINS[name]


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_token_request_reads_each_reply(name: str) -> None:
    assert reason(read_token, name) == TOKENS[name]


@pytest.mark.parametrize("read", [read_registration_result, read_deregistration_result])
@pytest.mark.parametrize("name", sorted(WRITES))
def test_write_reads_each_reply(read: Callable[[Reply], object], name: str) -> None:
    assert reason(read, name) == WRITES[name]


@pytest.mark.parametrize(
    "read", [read_callbacks, read_registration_result, read_session, read_token]
)
@pytest.mark.parametrize("stored", REPLIES.values(), ids=lambda stored: stored.name)
def test_error_of_a_cut_reply_repeats_no_credentials(
    stored: ProviderReply, read: Callable[[Reply], object]
) -> None:
    error = failure_of(lambda: read(Reply(stored.status, stored.body[:-1], stored.headers)))
    for secret in ("hidden", "a-bearer-token", "a-session-token"):
        assert secret not in str(error)
