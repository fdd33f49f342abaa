import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.settings.secret import Secret
from registrar.errors import RegistrarError, UnavailableError
from registrar.http.reply import Reply
from registrar.model import Registration, Slot, same_url
from registrar.thingspace import requests

ACCOUNT = "0242078689-00001"
URL = "https://fota.example.com/cb/token"
V1, V2, V3 = (Slot(ACCOUNT, version) for version in ("v1", "v2", "v3"))


def ok(body: object) -> Reply:
    return Reply(200, json.dumps(body).encode())


def test_v1_registers_by_name_with_the_credentials() -> None:
    call = requests.register(V1, Registration(URL, "me", Secret("pass")))
    assert (call.method, call.path) == ("POST", f"/fota/v1/callbacks/{ACCOUNT}")
    assert call.json == {"name": "Fota", "url": URL, "username": "me", "password": "pass"}


def test_v1_without_credentials_names_none() -> None:
    assert requests.register(V1, Registration(URL)).json == {"name": "Fota", "url": URL}


@pytest.mark.parametrize("slot", [V2, V3])
def test_v2_and_v3_register_the_url_alone(slot: Slot) -> None:
    call = requests.register(slot, Registration(URL, "me", Secret("pass")))
    assert (call.method, call.path) == ("POST", f"/fota/{slot.version}/callbacks/{ACCOUNT}")
    assert call.json == {"url": URL}


def test_deregistering_names_the_service_on_v1_only() -> None:
    assert requests.deregister(V1).path == f"/fota/v1/callbacks/{ACCOUNT}/name/Fota"
    assert requests.deregister(V2).path == f"/fota/v2/callbacks/{ACCOUNT}"
    assert requests.deregister(V3).path == f"/fota/v3/callbacks/{ACCOUNT}"
    assert requests.deregister(V1).method == "DELETE"


@pytest.mark.parametrize(
    ("account", "written"),
    [("TestAccount-2", "TestAccount-2"), ("a b-1", "a%20b-1"), ("ä?#%-1", "%C3%A4%3F%23%25-1")],
)
def test_account_of_another_form_is_percent_encoded(account: str, written: str) -> None:
    slot = Slot(account, "v1")
    assert requests.query(slot).path == f"/fota/v1/callbacks/{written}"
    assert requests.deregister(slot).path == f"/fota/v1/callbacks/{written}/name/Fota"


def test_only_a_query_writes_nothing() -> None:
    assert not requests.query(V1).writes
    assert requests.deregister(V1).writes
    assert requests.register(V1, Registration(URL)).writes


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
        Reply(404),
        Reply(403, b'{"errorCode": "CALLBACK_NOT_REGISTERED"}'),
        ok([{"name": [], "url": URL}]),
        ok({"name": {"a": 1}, "url": URL}),
    ],
)
def test_every_form_of_nothing_is_nothing(reply: Reply) -> None:
    assert requests.read(reply) is None


@pytest.mark.parametrize(
    "body",
    [
        [{"aname": ACCOUNT, "name": "Fota", "url": URL, "username": "me", "password": "pass"}],
        {"aname": ACCOUNT, "name": "Fota", "url": URL, "username": "me", "password": "pass"},
        [
            {"name": "Other", "url": "https://other.example.com"},
            {"name": "Fota", "url": URL, "username": "me", "password": "pass"},
        ],
    ],
)
def test_v1_answers_with_a_list_or_a_bare_object(body: object) -> None:
    assert requests.read(ok(body)) == Registration(URL, "me", Secret("pass"))


def test_v2_answers_with_the_url_alone() -> None:
    assert requests.read(ok({"url": URL})) == Registration(URL)


def test_half_a_surrogate_pair_in_a_url_can_be_stored_and_logged() -> None:
    found = requests.read(Reply(200, b'{"url": "https://x.example.com/\\ud800"}'))
    assert found == Registration("https://x.example.com/?")


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
        requests.read(Reply(200, body))
    assert caught.value.reason == "unreadable"


@given(st.binary(max_size=300), st.integers(min_value=100, max_value=599))
def test_no_answer_whatever_it_is_raises_anything_else(body: bytes, status: int) -> None:
    for read in (requests.read, requests.confirm):
        with suppress(RegistrarError):
            read(Reply(status, body))


def test_a_registration_does_not_show_its_secrets() -> None:
    shown = repr(Registration(URL, "somebody", Secret("pass")))
    assert "token" not in shown
    assert "somebody" not in shown
    assert "'pass'" not in shown
    assert "pass" not in repr(requests.register(V1, Registration(URL, "me", Secret("pass"))))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (URL, URL, True),
        ("https://Fota.Example.com:443/cb", "https://fota.example.com/cb", True),
        ("http://fota.example.com:80", "http://fota.example.com/", True),
        (URL, f"{URL}/", True),
        (f"{URL}//", URL, True),
        ("https://fota.example.com", "https://fota.example.com/", True),
        ("https://fota.example.com./cb", "https://fota.example.com/cb", True),
        ("HTTPS://fota.example.com/cb", "https://fota.example.com/cb", True),
        ("https://fota.example.com/%63b", "https://fota.example.com/cb", True),
        ("https://fota.example.com/a%2fb", "https://fota.example.com/a%2Fb", True),
        ("https://fota.example.com/a%2Fb", "https://fota.example.com/a/b", False),
        ("https://fota.example.com/a%7Eb", "https://fota.example.com/a~b", True),
        ("https://fota.example.com/%C3%BC", "https://fota.example.com/ü", True),
        ("https://fota.example.com/a%20b", "https://fota.example.com/a b", True),
        ("https://fota.example.com/a%25b", "https://fota.example.com/a%b", True),
        ("https://fota.example.com//cb", "https://fota.example.com/cb", False),
        ("https://xn--bcher-kva.example/cb", "https://bücher.example/cb", True),
        ("https://[2001:db8::1]:443/cb", "https://[2001:DB8::1]/cb", True),
        ("https://[2001:db8::1]:8443/cb", "https://[2001:db8::1]/cb", False),
        ("https://fota.example.com/cb", "https://fota.example.com/CB", False),
        ("https://fota.example.com/cb", "http://fota.example.com/cb", False),
        ("https://fota.example.com:8443/cb", "https://fota.example.com/cb", False),
        ("https://fota.example.com/cb?a", "https://fota.example.com/cb", False),
        ("https://[broken", "https://[broken", True),
        ("https://host:port/", "https://host/", False),
    ],
)
def test_urls_are_the_same_however_they_are_written(one: str, other: str, same: bool) -> None:
    assert same_url(one, other) is same


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_url_whatever_it_is_raises(one: str, other: str) -> None:
    assert same_url(f"https://x.example.com/{one}", f"https://x.example.com/{one}")
    same_url(one, other)
