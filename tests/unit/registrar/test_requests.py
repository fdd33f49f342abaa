"""What is sent, as values."""

import pytest

from listener.settings.secret import Secret
from registrar.model import Registration, Slot
from registrar.thingspace import requests

ACCOUNT = "0242078689-00001"
URL = "https://fota.example.com/cb/token"
V1, V2, V3 = (Slot(ACCOUNT, version) for version in ("v1", "v2", "v3"))


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


def test_a_registration_does_not_show_its_secrets() -> None:
    shown = repr(Registration(URL, "somebody", Secret("pass")))
    assert "token" not in shown
    assert "somebody" not in shown
    assert "'pass'" not in shown
    assert "pass" not in repr(requests.register(V1, Registration(URL, "me", Secret("pass"))))
