"""The registrar's settings: defaults, and every problem reported at once."""

from pathlib import Path

import pytest

from listener.errors import SettingsError
from registrar.model import Slot
from registrar.settings import BASE_URL, RegistrarSettings

GOOD = {
    "PUBLIC_URL": "https://fota.example.com/cb",
    "CALLBACK_TOKEN": "callback-token-of-tests",
    "THINGSPACE_ACCOUNTS": "0242078689-00001,0242078689-00002",
    "THINGSPACE_KEY": "the-key",
    "THINGSPACE_SECRET": "the-secret",
    "THINGSPACE_USERNAME": "the-user",
    "THINGSPACE_PASSWORD": "the-password",
}


def read(**changed: str) -> RegistrarSettings:
    return RegistrarSettings.from_env({**GOOD, **changed})


def problems(**environ: str) -> dict[str, tuple[str, ...]]:
    with pytest.raises(SettingsError) as caught:
        RegistrarSettings.from_env(environ)
    return caught.value.problems


def test_defaults() -> None:
    settings = read()
    assert settings.enabled
    assert settings.base_url == BASE_URL
    assert (settings.interval_s, settings.lease_ttl_s) == (60, 30)
    assert (settings.deregister, settings.takeover, settings.probe) == ("last", "boot", "warn")
    assert settings.state_dir == Path("var/spool")


def test_the_state_lies_with_the_spool_which_may_be_a_volume() -> None:
    assert read(SPOOL_DIR="/data/spool").state_dir == Path("/data/spool")
    assert read(SPOOL_DIR="").state_dir == Path("var/spool")


def test_what_the_registrar_needs_is_told_with_the_listeners_problems() -> None:
    found = problems(PORT="none", THINGSPACE_BASE_URL="ftp://example.com", REGISTRAR_PROBE="no")
    assert set(found) == {
        *GOOD,
        "PORT",
        "THINGSPACE_BASE_URL",
        "REGISTRAR_PROBE",
    }


def test_a_wrong_variable_is_not_called_missing_as_well() -> None:
    found = problems(**{**GOOD, "PUBLIC_URL": "nothing", "THINGSPACE_ACCOUNTS": "7"})
    assert [len(texts) for texts in found.values()] == [1, 1]


def test_an_empty_list_of_accounts_is_none() -> None:
    assert "THINGSPACE_ACCOUNTS" in problems(**{**GOOD, "THINGSPACE_ACCOUNTS": " , "})


def test_switched_off_it_needs_nothing() -> None:
    assert not RegistrarSettings.from_env(
        {"CALLBACK_TOKEN": GOOD["CALLBACK_TOKEN"], "REGISTRAR": "off"}
    ).enabled


def test_switched_off_it_needs_everything_for_work_by_hand() -> None:
    with pytest.raises(SettingsError) as caught:
        RegistrarSettings.from_env(
            {"CALLBACK_TOKEN": GOOD["CALLBACK_TOKEN"], "REGISTRAR": "off"}, by_hand=True
        )
    assert set(caught.value.problems) == set(GOOD) - {"CALLBACK_TOKEN"}
    assert RegistrarSettings.from_env({**GOOD, "REGISTRAR": "off"}, by_hand=True).slots


@pytest.mark.parametrize(
    "changed",
    [
        {"REGISTRAR_INTERVAL_S": "0"},
        {"REGISTRAR_LEASE_TTL_S": "-1"},
        {"REGISTRAR_DEREGISTER": "first"},
        {"REGISTRAR_TAKEOVER": "sometimes"},
        {"REGISTRAR": "maybe"},
        {"THINGSPACE_BASE_URL": "https://me:secret@example.com/api"},
        {"THINGSPACE_BASE_URL": "https://example.com:port/api"},
    ],
)
def test_values_out_of_bounds_are_refused(changed: dict[str, str]) -> None:
    assert list(problems(**{**GOOD, **changed})) == list(changed)


@pytest.mark.parametrize(
    "url",
    [
        "https://thingspace.verizon.com/api",
        "HTTPS://staging.example.com:8443/api",
        "https://10.0.0.1/api",
        "http://localhost:8000/api",
        "HTTP://LocalHost/api",
        "http://127.0.0.1:9/api",
        "http://127.8.9.10/api",
        "http://[::1]:8000/api",
        "http://[0:0:0:0:0:0:0:1]/api",
        "http://[::ffff:127.0.0.1]/api",
    ],
)
def test_base_url_may_be_https_or_lead_to_this_machine(url: str) -> None:
    assert read(THINGSPACE_BASE_URL=url).base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://thingspace.verizon.com/api",
        "HTTP://thingspace.verizon.com/api",
        "http://sandbox:8000/api",
        "http://10.0.0.1/api",
        "http://0.0.0.0/api",
        "http://[::]/api",
        "http://[fe80::1%25eth0]/api",
        "http://[::ffff:10.0.0.1]/api",
        "http://128.0.0.1/api",
        # Names that look like this machine, and are whatever DNS makes of them.
        "http://localhost.example.com/api",
        "http://127.0.0.1.example.com/api",
        "http://127.0.0.1.nip.io/api",
        "http://localhost.localdomain/api",
        "http://ip6-localhost/api",
        # Forms that programs read in different ways.
        "http://127.1/api",
        "http://2130706433/api",
        "http://0x7f000001/api",
        "http://0177.0.0.1/api",
        "http://127.0.0.1@example.com/api",
        "http://127.0.0.1\\@example.com/api",
        "http://127.0.0.1%2eexample.com/api",
        "http://127.0.0.1\t.example.com/api",
        "http://example.com#@127.0.0.1/api",
        "http://example.com?@127.0.0.1/api",
        "http://[::1]example.com/api",
        "http://[::1].example.com/api",
        "http://\N{FULLWIDTH DIGIT ONE}27.0.0.1.example.com/api",
    ],
)
def test_base_url_that_would_carry_credentials_in_clear_is_refused(url: str) -> None:
    found = problems(**{**GOOD, "THINGSPACE_BASE_URL": url})
    assert list(found) == ["THINGSPACE_BASE_URL"]


def test_what_is_wanted_per_version() -> None:
    settings = read(CALLBACK_USERNAME="me", CALLBACK_PASSWORD="pass")
    url = "https://fota.example.com/cb/callback-token-of-tests"
    first, second = settings.wanted("v1"), settings.wanted("v2")
    assert (first.url, first.username) == (url, "me")
    assert (second.url, second.username, second.password) == (url, None, None)
    assert settings.previous("v1") is None


def test_the_url_with_the_token_before_is_known() -> None:
    previous = (
        read(CALLBACK_TOKEN_PREVIOUS="token-before-the-other-one").desired(Slot("a", "v1")).previous
    )
    assert previous
    assert previous.url == "https://fota.example.com/cb/token-before-the-other-one"


def test_every_account_has_every_version() -> None:
    slots = [str(slot) for slot in read(THINGSPACE_API_VERSIONS="v1,v3").slots]
    assert slots == [f"0242078689-0000{n}/{v}" for n in (1, 2) for v in ("v1", "v3")]


def test_a_deployment_is_what_it_wants() -> None:
    assert read().deployment == read(PORT="8001").deployment
    for changed in (
        {"PUBLIC_URL": "https://fota.example.com/other"},
        {"CALLBACK_TOKEN": "another-token-of-the-tests"},
        {"CALLBACK_USERNAME": "me", "CALLBACK_PASSWORD": "pass"},
        {"THINGSPACE_ACCOUNTS": "0242078689-00001"},
    ):
        assert read(**changed).deployment != read().deployment


def test_the_mutex_lasts_longer_than_a_call_however_short_a_lease_is() -> None:
    settings = read(REGISTRAR_LEASE_TTL_S="1")
    timing = settings.timing
    assert settings.mutex_ttl_s > timing.connect_timeout_s + timing.read_timeout_s
    assert read(REGISTRAR_LEASE_TTL_S="60").mutex_ttl_s == 60


def test_secrets_do_not_show() -> None:
    settings = read()
    shown = repr(settings)
    for name in ("THINGSPACE_KEY", "THINGSPACE_SECRET", "THINGSPACE_PASSWORD", "CALLBACK_TOKEN"):
        assert GOOD[name] not in shown
        assert GOOD[name] in {secret.reveal() for secret in settings.secrets}
