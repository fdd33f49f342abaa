"""Who may send: paths and tokens, source addresses, credentials, accounts."""

from typing import Any

import pytest

from listener import auth
from listener.errors import RefusalError
from listener.settings import Settings

LISTED = "3.87.163.45"


def settings(**environ: str) -> Settings:
    return Settings.from_env({"ALLOW_ANY_SENDER": "true", "PUBLIC_URL": "https://h/cb", **environ})


def reason(check: Any, *arguments: Any) -> str | None:
    try:
        check(*arguments)
    except RefusalError as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        ("/cb/new", True),
        ("/cb/old", True),
        ("/cb", False),
        ("/cb/", False),
        ("/cb/new/", False),
        ("/cb/ne", False),
        ("/cb/neww", False),
        ("/CB/new", False),
        ("//cb/new", False),
        ("/\udcff", False),
    ],
)
def test_a_path_is_right_only_with_a_token_that_is(path: str, accepted: bool) -> None:
    found = reason(
        auth.check_path, path, settings(CALLBACK_TOKEN="new", CALLBACK_TOKEN_PREVIOUS="old")
    )
    assert found == (None if accepted else "not-found")


@pytest.mark.parametrize(
    ("remote", "forwarded", "proxies", "accepted"),
    [
        (LISTED, [], 0, True),
        ("192.0.2.1", [], 0, False),
        ("192.0.2.1", [LISTED], 0, False),
        ("10.0.0.1", [LISTED], 1, True),
        ("10.0.0.1", [LISTED, "192.0.2.1"], 1, False),
        ("10.0.0.1", ["192.0.2.1", LISTED], 1, True),
        ("10.0.0.1", [LISTED, "10.0.0.2"], 2, True),
        ("10.0.0.1", [LISTED], 2, False),
        (LISTED, [], 1, False),
        (f"::ffff:{LISTED}", [], 0, True),
        ("10.0.0.1", [f" {LISTED} "], 1, True),
        ("", [], 0, False),
        (None, [], 0, False),
        ("10.0.0.1", ["nonsense"], 1, False),
    ],
)
def test_the_source_is_counted_from_the_right(
    remote: str | None, forwarded: list[str], proxies: int, accepted: bool
) -> None:
    filtered = settings(CALLBACK_SOURCES="thingspace", TRUSTED_PROXIES=str(proxies))
    found = reason(auth.check_source, remote, forwarded, filtered)
    assert found == (None if accepted else "source-refused")


def test_without_a_filter_every_source_passes() -> None:
    assert reason(auth.check_source, None, [], settings()) is None


PASSWORDS = {
    "CALLBACK_USERNAME": "listener",
    "CALLBACK_PASSWORD": "new",
    "CALLBACK_PASSWORD_PREVIOUS": "old",
}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"username": "listener", "password": "new"}, None),
        ({"username": "listener", "password": "old"}, None),
        ({"username": "listener", "password": "wrong"}, "credentials-wrong"),
        ({"username": "other", "password": "new"}, "credentials-wrong"),
        ({"username": "listener", "password": ["new"]}, "credentials-wrong"),
        ({"username": "listener", "password": ""}, "credentials-missing"),
        ({"username": "", "password": ""}, "credentials-missing"),
        ({"username": "listener"}, "credentials-missing"),
        ({"password": "new"}, "credentials-missing"),
        ({}, "credentials-missing"),
        ({"username": None, "password": None}, "credentials-missing"),
        ({"Username": "listener", "Password": "new"}, "credentials-missing"),
    ],
)
def test_credentials_must_be_the_current_or_the_previous(
    payload: dict[str, Any], expected: str | None
) -> None:
    assert reason(auth.check_credentials, payload, settings(**PASSWORDS)) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, None),
        ({"username": "", "password": ""}, None),
        ({"username": "listener", "password": "wrong"}, "credentials-wrong"),
        ({"username": "listener"}, "credentials-missing"),
    ],
)
def test_with_a_token_and_v2_they_may_be_missing_but_not_wrong(
    payload: dict[str, Any], expected: str | None
) -> None:
    both = settings(**PASSWORDS, CALLBACK_TOKEN="t", THINGSPACE_API_VERSIONS="v1,v2")
    assert reason(auth.check_credentials, payload, both) == expected


@pytest.mark.parametrize(
    ("payload", "accepted"),
    [
        ({"accountName": "0242078689-00001"}, True),
        ({"accountName": "0242078689-00002"}, False),
        ({"accountName": "242078689-00001"}, False),
        ({"accountName": 242078689}, False),
        ({"accountName": {}}, False),
        ({"accountName": ""}, True),
        ({"accountName": None}, True),
        ({}, True),
    ],
)
def test_a_message_that_names_an_account_must_name_one_of_ours(
    payload: dict[str, Any], accepted: bool
) -> None:
    ours = settings(THINGSPACE_ACCOUNTS="0242078689-00001,0000123456-00001")
    assert reason(auth.check_account, payload, ours) == (None if accepted else "account-refused")


def test_without_accounts_any_passes() -> None:
    assert reason(auth.check_account, {"accountName": "x"}, settings()) is None
