"""Who may send: paths and tokens, source addresses, credentials, accounts."""

import ipaddress
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from listener.callback import auth
from listener.callback.auth import NOT_AUTHENTICATED, Authentication, Generation
from listener.errors import RefusalError
from listener.messages.message import check_account
from listener.settings.settings import Settings

LISTED = "3.87.163.45"
TOKEN = "a-new-token-of-the-tests"
PREVIOUS = "an-old-and-longer-token-of-the-tests"


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
        (f"/cb/{TOKEN}", True),
        (f"/cb/{PREVIOUS}", True),
        ("/cb", False),
        ("/cb/", False),
        (f"/cb/{TOKEN}/", True),
        (f"/cb/{PREVIOUS}/", True),
        (f"/cb/{TOKEN}//", False),
        (f"/cb//{TOKEN}", False),
        (f"/cb/./{TOKEN}", False),
        (f"/cb/{TOKEN};x", False),
        (f"/cb/{TOKEN} ", False),
        (f"/cb/{TOKEN.upper()}", False),
        ("/", False),
        ("", False),
        (f"/cb/{TOKEN[:-1]}", False),
        (f"/cb/{TOKEN}w", False),
        (f"/CB/{TOKEN}", False),
        (f"//cb/{TOKEN}", False),
        ("/\udcff", False),
    ],
)
def test_a_path_is_right_only_with_a_token_that_is(path: str, accepted: bool) -> None:
    found = reason(
        auth.check_path, path, settings(CALLBACK_TOKEN=TOKEN, CALLBACK_TOKEN_PREVIOUS=PREVIOUS)
    )
    assert found == (None if accepted else "not-found")


@pytest.mark.parametrize(
    ("url", "same", "other"),
    [
        ("https://h/cb", ["/cb", "/cb/"], ["/cb//", "/c", "/", "/cb/x"]),
        ("https://h/cb/", ["/cb", "/cb/"], ["/cb//", "//cb", "/"]),
        ("https://h", ["/", ""], ["//", "/x"]),
        ("https://h/", ["/", ""], ["//", "/x"]),
        ("https://h/a%2Db/c.asmx", ["/a-b/c.asmx", "/a-b/c.asmx/"], ["/a%2Db/c.asmx"]),
    ],
)
def test_path_without_token_is_the_same_with_one_slash_more_or_less(
    url: str, same: list[str], other: list[str]
) -> None:
    without_token = settings(PUBLIC_URL=url)
    assert [reason(auth.check_path, path, without_token) for path in same] == [None] * len(same)
    for path in other:
        assert reason(auth.check_path, path, without_token) == "not-found"


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
        ("10.0.0.1", [LISTED, ""], 1, False),
        ("10.0.0.1", [LISTED, "", "10.0.0.2"], 2, False),
        ("10.0.0.1", [LISTED, "unknown"], 1, False),
        ("10.0.0.1", [f"{LISTED}:443"], 1, True),
        ("10.0.0.1", [f"{LISTED}:"], 1, True),
        ("10.0.0.1", [f"{LISTED}:x"], 1, False),
        ("10.0.0.1", [f"{LISTED}:443:1"], 1, False),
        ("10.0.0.1", [f"[::ffff:{LISTED}]:443"], 1, True),
        ("10.0.0.1", [f"[::ffff:{LISTED}]"], 1, True),
        ("10.0.0.1", [f"::ffff:{LISTED}%eth0"], 1, False),
        ("10.0.0.1", ["::ffff:0357:a32d"], 1, True),
        ("10.0.0.1", [f"::{LISTED}"], 1, False),
        ("10.0.0.1", [f"64:ff9b::{LISTED}"], 1, False),
        ("10.0.0.1", [f"0{LISTED}"], 1, False),
        ("10.0.0.1", ["3.87.163.045"], 1, False),
        ("10.0.0.1", ["3.87.41773"], 1, False),
        ("10.0.0.1", ["\uff13.87.163.45"], 1, False),
        ("10.0.0.1", [f"{LISTED}\x00"], 1, False),
        ("10.0.0.1", [f"{LISTED}/32"], 1, False),
        ("10.0.0.1", ["1" * 100_000], 1, False),
        ("10.0.0.1", ["[" * 100], 1, False),
        ("10.0.0.1", [f"[{LISTED}"], 1, False),
        ("10.0.0.1", [f"[{LISTED}]"], 1, False),
        ("10.0.0.1", [LISTED] * 1000 + ["192.0.2.1"], 1, False),
    ],
)
def test_the_source_is_counted_from_the_right(
    remote: str | None, forwarded: list[str], proxies: int, accepted: bool
) -> None:
    filtered = settings(CALLBACK_SOURCES="thingspace", TRUSTED_PROXIES=str(proxies))
    found = reason(auth.check_source, NOT_AUTHENTICATED, remote, forwarded, filtered)
    assert found == (None if accepted else "source-refused")


def test_an_address_of_version_6_is_found_in_its_network() -> None:
    filtered = settings(CALLBACK_SOURCES="2001:db8::/32", TRUSTED_PROXIES="1")
    for text in ("2001:db8::1", "[2001:db8::1]:443", "2001:0DB8:0:0::1"):
        assert reason(auth.check_source, NOT_AUTHENTICATED, "::1", [text], filtered) is None
    for text in ("2001:db9::1", "2001:db8::1%1", "2001:db8::1]", "fe80::1%eth0"):
        assert (
            reason(auth.check_source, NOT_AUTHENTICATED, "::1", [text], filtered)
            == "source-refused"
        )


ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
ODD = st.sampled_from(
    ["", " ", "[", "]", "[]", ":", ":443", ":x", "%eth0", "/32", "\x00", "0", "."]
)


@given(ODD, ADDRESSES | st.text(max_size=5), ODD)
def test_text_in_place_of_an_address_is_that_address_or_none(
    before: str, middle: str, after: str
) -> None:
    text = f"{before}{middle}{after}"
    address = auth.client_address(text, [], 0)
    assert address == auth.client_address(None, [text], 1)
    event("none" if address is None else "an address")
    assert address is None or address in {parsed(middle), parsed(text)}


def parsed(text: str) -> Any:
    """The address that the standard library reads; the IPv4 one in an IPv6 one that holds one."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return ""
    return getattr(address, "ipv4_mapped", None) or address


@pytest.mark.parametrize(
    ("given_", "found"),
    [("a", 0), ("b", 1), ("c", None), ("", None), ("ab", None), ("\ud800", None)],
)
def test_it_is_told_which_of_several_texts_it_was(given_: str, found: int | None) -> None:
    assert auth.matching(given_, "a", "b") == found
    assert auth.matching("a", "a", "a") == 0
    assert auth.matching("a") is None


def test_every_secret_is_compared_and_none_by_a_plain_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []

    def compared(one: bytes, other: bytes) -> bool:
        sizes.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compared)
    both = settings(CALLBACK_TOKEN=TOKEN, CALLBACK_TOKEN_PREVIOUS=PREVIOUS, **PASSWORDS)
    for path in (f"/cb/{TOKEN}", f"/cb/{PREVIOUS}", "/cb/wrong", "/"):
        reason(auth.check_path, path, both)
    # Two for each path, whichever is right, and all of one length.
    assert sizes == [(32, 32)] * 8
    sizes.clear()
    for login in (("listener", "new"), ("listener", "old"), ("x", "new"), ("x", "y")):
        payload = dict(zip(("username", "password"), login, strict=True))
        reason(auth.check_credentials, NOT_AUTHENTICATED, payload, both)
    assert sizes == [(32, 32)] * 12


@pytest.mark.parametrize("token", [TOKEN, PREVIOUS])
@pytest.mark.parametrize("password", ["new", "old"])
def test_authentication_names_the_previous_secrets_that_the_sender_has(
    token: str, password: str
) -> None:
    both = settings(CALLBACK_TOKEN=TOKEN, CALLBACK_TOKEN_PREVIOUS=PREVIOUS, **PASSWORDS)
    login = {"username": "listener", "password": password}
    authentication = auth.check_credentials(auth.check_path(f"/cb/{token}", both), login, both)
    secrets = {"token": token, "password": password}
    previous = [name for name, value in secrets.items() if value in ("old", PREVIOUS)]
    assert list(authentication.previous_secrets) == previous
    assert authentication.is_authenticated


def test_each_proof_authenticates_alone_and_none_does_not() -> None:
    anybody = settings()
    assert not auth.check_path("/cb", anybody).is_authenticated
    assert not auth.check_source(NOT_AUTHENTICATED, LISTED, [], anybody).is_authenticated
    assert not auth.check_credentials(NOT_AUTHENTICATED, {}, anybody).is_authenticated
    token = settings(CALLBACK_TOKEN=TOKEN)
    assert auth.check_path(f"/cb/{TOKEN}", token).is_authenticated
    source = settings(CALLBACK_SOURCES="thingspace")
    assert not auth.check_path("/cb", source).is_authenticated
    assert auth.check_source(NOT_AUTHENTICATED, LISTED, [], source).is_authenticated
    login = {"username": "listener", "password": "new"}
    password = settings(**PASSWORDS)
    assert auth.check_credentials(NOT_AUTHENTICATED, login, password).is_authenticated


def test_later_proofs_keep_the_earlier_ones() -> None:
    every = settings(CALLBACK_TOKEN=TOKEN, CALLBACK_SOURCES="thingspace", **PASSWORDS)
    authentication = auth.check_path(f"/cb/{TOKEN}", every)
    authentication = auth.check_source(authentication, LISTED, [], every)
    login = {"username": "listener", "password": "old"}
    authentication = auth.check_credentials(authentication, login, every)
    assert authentication == Authentication(Generation.CURRENT, True, Generation.PREVIOUS)


def test_without_a_filter_every_source_passes() -> None:
    assert reason(auth.check_source, NOT_AUTHENTICATED, None, [], settings()) is None


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
    assert (
        reason(auth.check_credentials, NOT_AUTHENTICATED, payload, settings(**PASSWORDS))
        == expected
    )


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
    both = settings(**PASSWORDS, CALLBACK_TOKEN=TOKEN, THINGSPACE_API_VERSIONS="v1,v2")
    assert reason(auth.check_credentials, NOT_AUTHENTICATED, payload, both) == expected


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
    assert reason(check_account, payload, ours) == (None if accepted else "account-refused")


def test_without_accounts_any_passes() -> None:
    assert reason(check_account, {"accountName": "x"}, settings()) is None
