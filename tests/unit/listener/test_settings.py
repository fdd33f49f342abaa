"""Settings: read once, checked together, every problem told at once and no value shown."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

import pytest

from listener.errors import SettingsError
from listener.settings.queue_settings import QueueSettings
from listener.settings.settings import Settings
from listener.settings.spool_settings import SpoolSettings

TOKEN = "token-of-all-the-tests"
PREVIOUS = "token-of-the-tests-before"
PROOF = {"CALLBACK_TOKEN": TOKEN}


def problems(environ: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return caught.value.problems


def test_defaults_are_those_of_the_contract() -> None:
    settings = Settings.from_env(PROOF)
    assert settings.queue.url.reveal() == "redis://localhost:6379/0"
    assert settings.path == "/CallbackListener/FirmwareServiceMessages.asmx"
    assert settings.callback_sources is None
    assert settings.api_versions == ("v1",)
    assert (settings.port, settings.dedupe_window_s, settings.ack_budget_ms) == (8000, 1800, 1000)
    assert (settings.queue.namespace, settings.queue.partitions) == ("fota", 1)
    assert settings.max_body_bytes == 4 * 1024 * 1024
    assert (settings.log_format, settings.log_level) == ("json", "info")


def test_all_problems_are_reported_at_once_each_with_its_variable() -> None:
    found = problems(
        {
            "REDIS_URL": "http://redis",
            "PUBLIC_URL": "ftp://example.com",
            "CALLBACK_TOKEN": "with/slash",
            "CALLBACK_USERNAME": "alone",
            "CALLBACK_SOURCES": "10.0.0.0/99",
            "TRUSTED_PROXIES": "-1",
            "ALLOW_ANY_SENDER": "perhaps",
            "THINGSPACE_ACCOUNTS": "12",
            "THINGSPACE_API_VERSIONS": "v4",
            "PORT": "http",
            "QUEUE_NAMESPACE": "a{b}",
            "DEDUPE_WINDOW_S": "0",
            "LOG_FORMAT": "xml",
        }
    )
    assert set(found) == {
        "REDIS_URL",
        "PUBLIC_URL",
        "CALLBACK_TOKEN",
        "CALLBACK_PASSWORD",
        "CALLBACK_SOURCES",
        "TRUSTED_PROXIES",
        "ALLOW_ANY_SENDER",
        "THINGSPACE_ACCOUNTS",
        "THINGSPACE_API_VERSIONS",
        "PORT",
        "QUEUE_NAMESPACE",
        "DEDUPE_WINDOW_S",
        "LOG_FORMAT",
    }


def test_a_problem_never_shows_the_value() -> None:
    secret = "s3cret/with/slashes"
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {"CALLBACK_TOKEN": secret, "REDIS_URL": f"http://:{secret}@h", "PORT": secret}
        )
    assert secret not in str(caught.value)


def test_secrets_do_not_show_in_the_repr() -> None:
    environ = {
        **PROOF,
        "CALLBACK_USERNAME": "listener",
        "CALLBACK_PASSWORD": "password-one",
        "CALLBACK_PASSWORD_PREVIOUS": "password-two",
        "REDIS_URL": "redis://:password-three@localhost/0",
    }
    settings = Settings.from_env(environ)
    for secret in (TOKEN, "password-one", "password-two", "password-three"):
        assert secret not in repr(settings)
        assert secret in [known.reveal() for known in settings.secrets]


def test_a_redis_password_in_the_query_is_a_secret_too() -> None:
    settings = Settings.from_env({**PROOF, "REDIS_URL": "unix:///run/r.sock?password=pass%2Fword"})
    assert "pass/word" in [known.reveal() for known in settings.secrets]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("PORT", "http", "Not a valid integer."),
        ("PORT", "80.0", "Not a valid integer."),
        ("PORT", "9" * 5000, "Not a valid integer."),
        ("PORT", "0", "Must be greater than or equal to 1 and less than or equal to 65535."),
        ("PORT", "65536", "Must be greater than or equal to 1 and less than or equal to 65535."),
        ("MAX_BODY_BYTES", "1023", "Must be greater than or equal to 1024."),
        ("LOG_FORMAT", "JSON", "Must be one of: json, text."),
        ("ALLOW_ANY_SENDER", "perhaps", "Not a valid boolean."),
        ("LOG_LEVEL", "\udcff", "is not UTF-8"),
    ],
)
def test_a_problem_says_what_the_value_must_be_like(name: str, text: str, problem: str) -> None:
    assert problems({**PROOF, name: text}) == {name: (problem,)}


def test_numbers_up_to_their_limits_and_words_for_yes_and_no_are_read() -> None:
    for port in (1, 65535):
        assert Settings.from_env({**PROOF, "PORT": f" {port} "}).port == port
    for text in ("1", "t", "true", "TRUE", "On", "yes", "Y"):
        assert Settings.from_env({"ALLOW_ANY_SENDER": text}).allow_any_sender, text
    for text in ("0", "f", "false", "OFF", "No", "n"):
        assert not Settings.from_env({**PROOF, "ALLOW_ANY_SENDER": text}).allow_any_sender, text


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = Settings.from_env({**PROOF, "CALLBACK_PASSWORD": "", "PORT": ""})
    assert settings.callback_password is None
    assert settings.port == 8000


@pytest.mark.parametrize(
    "proof",
    [
        PROOF,
        {"CALLBACK_USERNAME": "u", "CALLBACK_PASSWORD": "p"},
        {"CALLBACK_SOURCES": "thingspace"},
        {"ALLOW_ANY_SENDER": "true"},
    ],
)
def test_any_one_proof_of_sender_is_enough(proof: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        Settings.from_env(dict.fromkeys(proof, ""))
    Settings.from_env(proof)


@pytest.mark.parametrize("environ", [{}, {"CALLBACK_SOURCES": "any"}, {"ALLOW_ANY_SENDER": "no"}])
def test_without_a_proof_of_sender_it_refuses(environ: dict[str, str]) -> None:
    assert "nothing proves who sends" in problems(environ)["CALLBACK_TOKEN"][0]


def test_a_previous_secret_needs_a_current_one() -> None:
    found = problems({"CALLBACK_SOURCES": "thingspace", "CALLBACK_TOKEN_PREVIOUS": PREVIOUS})
    assert "CALLBACK_TOKEN" in found["CALLBACK_TOKEN_PREVIOUS"][0]


def test_sources_mix_the_built_in_list_and_networks() -> None:
    settings = Settings.from_env({"CALLBACK_SOURCES": "thingspace, 192.0.2.0/24, 2001:db8::/32"})
    assert settings.callback_sources is not None
    assert ipaddress.ip_network("3.87.163.45") in settings.callback_sources
    assert ipaddress.ip_network("192.0.2.0/24") in settings.callback_sources
    assert len(settings.callback_sources) == 11


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "::ffff:0:0/96", "192.0.2.1,0.0.0.0/0"])
def test_a_network_of_every_address_is_no_proof_of_sender(network: str) -> None:
    assert "write `any`" in problems({"CALLBACK_SOURCES": network})["CALLBACK_SOURCES"][0]


def test_an_ipv4_source_may_be_written_as_ipv6_sockets_show_it() -> None:
    settings = Settings.from_env({"CALLBACK_SOURCES": "::ffff:192.0.2.7,::ffff:198.51.100.0/120"})
    assert settings.callback_sources == (
        ipaddress.ip_network("192.0.2.7/32"),
        ipaddress.ip_network("198.51.100.0/24"),
    )


def test_any_among_the_sources_opens_them_all() -> None:
    settings = Settings.from_env({**PROOF, "CALLBACK_SOURCES": "192.0.2.0/24,any"})
    assert settings.callback_sources is None


@pytest.mark.parametrize(
    ("public_url", "token", "paths"),
    [
        ("https://h/cb", None, ("/cb",)),
        ("https://h/cb/", None, ("/cb/",)),
        ("https://h", None, ("/",)),
        ("https://h", TOKEN, (f"/{TOKEN}",)),
        ("https://h/cb", TOKEN, (f"/cb/{TOKEN}",)),
        ("https://h/cb/", TOKEN, (f"/cb/{TOKEN}",)),
        ("https://h/a%20b", None, ("/a b",)),
    ],
)
def test_the_path_served_is_the_public_urls_and_the_token(
    public_url: str, token: str | None, paths: tuple[str, ...]
) -> None:
    environ = {"PUBLIC_URL": public_url, "ALLOW_ANY_SENDER": "true", "CALLBACK_TOKEN": token or ""}
    assert Settings.from_env(environ).callback_paths == paths


def test_the_previous_token_keeps_its_path() -> None:
    environ = {**PROOF, "PUBLIC_URL": "https://h/cb", "CALLBACK_TOKEN_PREVIOUS": PREVIOUS}
    assert Settings.from_env(environ).callback_paths == (f"/cb/{TOKEN}", f"/cb/{PREVIOUS}")


@pytest.mark.parametrize(
    "url",
    [
        "example.com/cb",
        "https://",
        "https://h/cb?x=1",
        "https://u:p@h/cb",
        "https://h/healthz",
        "https://h:99999/",
        "https://bücher.example/cb",
        "https://b%C3%BCcher.example/cb",
        "https://h/bücher",
    ],
)
def test_a_public_url_that_cannot_work_is_refused(url: str) -> None:
    assert problems({**PROOF, "PUBLIC_URL": url}).keys() == {"PUBLIC_URL"}


@pytest.mark.parametrize(
    ("environ", "may"),
    [
        ({**PROOF, "THINGSPACE_API_VERSIONS": "v1,v2"}, True),
        ({**PROOF, "THINGSPACE_API_VERSIONS": "v3"}, True),
        ({**PROOF, "THINGSPACE_API_VERSIONS": "v1"}, False),
        ({"CALLBACK_SOURCES": "thingspace", "THINGSPACE_API_VERSIONS": "v2"}, False),
    ],
)
def test_credentials_may_be_missing_only_with_a_token_and_v2_or_v3(
    environ: dict[str, str], may: bool
) -> None:
    assert Settings.from_env(environ).credentials_may_be_missing is may


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:1", ("localhost", 1)),
        ("", None),
    ],
)
def test_the_operating_port_is_a_host_and_a_port_or_none(
    text: str, expected: tuple[str, int] | None
) -> None:
    assert Settings.from_env({**PROOF, "OPS_BIND": text}).ops_bind == expected


@pytest.mark.parametrize("text", ["9464", ":9464", "::1:9464", "[h]:1", "h:0", "h:65536", "h:x"])
def test_an_operating_port_of_another_form_is_refused(text: str) -> None:
    assert set(problems({**PROOF, "OPS_BIND": text})) == {"OPS_BIND"}


def test_the_operating_port_may_not_be_the_public_one() -> None:
    assert set(problems({**PROOF, "PORT": "81", "OPS_BIND": "127.0.0.1:81"})) == {"OPS_BIND"}


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("https://bücher.example/cb", "xn--"),
        ("https://b%C3%BCcher.example/cb", "xn--"),
        ("https://h/bücher", "percent signs"),
    ],
)
def test_advice_on_letters_beyond_ascii_fits_the_place_where_they_are(
    url: str, advice: str
) -> None:
    (line,) = problems({**PROOF, "PUBLIC_URL": url})["PUBLIC_URL"]
    assert advice in line
    assert ("write anything else with percent signs" in line) == (advice != "xn--")


def test_host_in_its_idna_form_is_taken() -> None:
    url = "https://xn--bcher-kva.example/cb"
    assert Settings.from_env({**PROOF, "PUBLIC_URL": url}).public_url == url


@pytest.mark.parametrize("account", ["TestAccount-2", "0242078689-1", "ACME Corp-00001", "ä-1"])
def test_account_of_another_form_is_taken_and_counts_as_unusual(account: str) -> None:
    usual = "0242078689-00001"
    found = Settings.from_env({**PROOF, "THINGSPACE_ACCOUNTS": f"{usual},{account}"})
    assert found.accounts == (usual, account)
    assert found.unusual_accounts == [account]


@pytest.mark.parametrize("account", ["12", "a/b-1", "-", "a-", "-1", "a\\b-1", "a-1\x07", "../-1"])
def test_account_that_could_be_none_is_refused(account: str) -> None:
    found = problems({**PROOF, "THINGSPACE_ACCOUNTS": account})
    assert found.keys() == {"THINGSPACE_ACCOUNTS"}


def test_variable_with_a_problem_gets_no_second_problem_from_a_cross_check() -> None:
    found = problems(
        {
            **PROOF,
            "CALLBACK_TOKEN": "a/b",
            "CALLBACK_TOKEN_PREVIOUS": PREVIOUS,
            "CALLBACK_USERNAME": "\udcff",
            "CALLBACK_PASSWORD": "pass-word",
            "THINGSPACE_API_VERSIONS": "v9",
            "PORT": "70000",
            "OPS_BIND": "127.0.0.1:8000",
        }
    )
    names = {"CALLBACK_TOKEN", "CALLBACK_USERNAME", "THINGSPACE_API_VERSIONS", "PORT"}
    assert set(found) == names
    assert all(len(texts) == 1 for texts in found.values())


def test_part_of_the_settings_is_read_without_the_problems_of_the_rest() -> None:
    wrong = {"PORT": "none", "REDIS_URL": "http://x", "SPOOL_MAX_BYTES": "1"}
    reader = QueueSettings.from_env({**wrong, "REDIS_URL": "", "QUEUE_DURABILITY": "paper"})
    assert (reader.namespace, str(reader.durability)) == ("fota", "server")
    assert "QUEUE_DURABILITY" in problems({**PROOF, "QUEUE_DURABILITY": "paper"})
    assert SpoolSettings.from_env({**wrong, "SPOOL_MAX_BYTES": ""}).folder == Path("var/spool")
    for kind, name in ((QueueSettings, "REDIS_URL"), (SpoolSettings, "SPOOL_MAX_BYTES")):
        with pytest.raises(SettingsError) as caught:
            kind.from_env(wrong)
        assert set(caught.value.problems) == {name}


def test_only_the_proof_of_sender_can_be_left_out_by_a_command() -> None:
    assert not Settings.from_env({}, require_sender_proof=False).allow_any_sender
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"PORT": "none"}, require_sender_proof=False)
    assert set(caught.value.problems) == {"PORT"}
