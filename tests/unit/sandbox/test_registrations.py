"""The sandbox's registrations: replaced, removed, and recorded."""

import json

import pytest

from sandbox.accounts.registrations import Login, Registration, Registrations, without_login

A = "0242078689-00001"
B = "0000123456-00001"
OLD = Login("listener", "old")
NEW = Login("listener", "new")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def target_login(registrations: Registrations) -> Login | None:
    found = registrations.target(A, "v1")
    return found[1].login if found else None


def test_writing_replaces_and_versions_and_accounts_are_independent() -> None:
    registrations = Registrations(clock=Clock())
    registrations.put("v1", A, Registration("https://one/"), "POST")
    registrations.put("v1", A, Registration("https://two/"), "POST")
    registrations.put("v2", A, Registration("https://three/"), "PUT")
    assert registrations.get("v1", A) == Registration("https://two/")
    assert registrations.get("v1", B) is None
    assert registrations.get("v3", A) is None
    assert registrations.remove("v1", A, "DELETE")
    assert registrations.get("v2", A) == Registration("https://three/")


def test_the_history_has_every_change_with_its_time_and_cause() -> None:
    clock = Clock()
    registrations = Registrations(clock=clock)
    registrations.put("v1", A, Registration("https://one/"), "POST")
    clock.now = 101.0
    registrations.put("v1", A, Registration("https://other/"), "outside")
    registrations.remove("v1", A, "DELETE")
    assert not registrations.remove("v1", A, "DELETE")
    history = registrations.listing()["history"]
    assert [(each["time"], each["url"], each["cause"]) for each in history] == [
        (100.0, "https://one/", "POST"),
        (101.0, "https://other/", "outside"),
        (101.0, None, "DELETE"),
    ]
    assert {(each["version"], each["account"]) for each in history} == {("v1", A)}


def test_listings_have_no_logins() -> None:
    registrations = Registrations(clock=Clock())
    registrations.put("v1", A, Registration("https://me:hidden@host:50559/x", NEW), "POST")
    shown = registrations.listing()
    assert shown["registrations"] == [
        {"version": "v1", "account": A, "url": "https://host:50559/x"}
    ]
    assert "hidden" not in json.dumps(shown)
    assert "new" not in json.dumps(shown)
    assert "new" not in repr(registrations.get("v1", A))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/path?q=a@b", "https://host/path?q=a@b"),
        ("https://u:p@host:1/path", "https://host:1/path"),
        ("https://u@[::1]:1/", "https://[::1]:1/"),
        ("https://u:p@[::1/", "https://[::1/"),
        ("https://u:p@x@host/", "https://host/"),
    ],
)
def test_a_login_is_taken_out_of_a_url(url: str, shown: str) -> None:
    assert without_login(url) == shown


def test_a_message_goes_to_the_first_version_that_has_a_registration() -> None:
    registrations = Registrations(clock=Clock())
    assert registrations.target(A, None) is None
    registrations.put("v3", A, Registration("https://three/"), "POST")
    registrations.put("v2", A, Registration("https://two/"), "POST")
    assert registrations.target(A, None) == ("v2", Registration("https://two/"))
    assert registrations.target(A, "v3") == ("v3", Registration("https://three/"))
    assert registrations.target(A, "v1") is None


def test_without_a_lag_messages_carry_the_new_login_at_once() -> None:
    registrations = Registrations(clock=Clock())
    registrations.put("v1", A, Registration("https://one/", OLD), "POST")
    registrations.put("v1", A, Registration("https://one/", NEW), "POST")
    assert target_login(registrations) == NEW


def test_with_a_lag_messages_carry_the_old_login_for_a_while() -> None:
    clock = Clock()
    registrations = Registrations(clock=clock, rotation_lag_s=600)
    registrations.put("v1", A, Registration("https://one/", OLD), "POST")
    assert target_login(registrations) == OLD
    registrations.put("v1", A, Registration("https://one/", NEW), "POST")
    clock.now += 599
    # Registering the same login again starts no new lag, nor does it end the present one.
    registrations.put("v1", A, Registration("https://two/", NEW), "POST")
    assert target_login(registrations) == OLD
    clock.now += 1
    assert target_login(registrations) == NEW


def test_the_lag_outlives_a_deregistration() -> None:
    clock = Clock()
    registrations = Registrations(clock=clock, rotation_lag_s=600)
    registrations.put("v1", A, Registration("https://one/", OLD), "POST")
    registrations.remove("v1", A, "DELETE")
    assert target_login(registrations) is None
    registrations.put("v1", A, Registration("https://one/", NEW), "POST")
    assert target_login(registrations) == OLD
