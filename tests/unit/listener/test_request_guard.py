"""Which hosts the operating port may be asked for: addresses and names that somebody allowed."""

import pytest

from listener.ops.request_guard import AllowedHosts, is_cross_site, parse_host
from listener.settings.settings import Settings
from tests.unit.listener.test_settings import PROOF, problems

HOSTS = AllowedHosts(["ops.example.com", "Fota."])


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:9464", "10.1.2.3:1", "[::1]", "[::1]:9464", "[FE80::1]:80"),
        *("localhost", "LOCALHOST:9464", "localhost.", "localhost:", "127.0.0.1."),
        *("ops.example.com", "OPS.example.COM:80", "ops.example.com.:9464", "fota", "FOTA:9464"),
        "[::ffff:127.0.0.1]:9464",
    ],
)
def test_addresses_localhost_and_allowed_names_may_be_asked(host: str) -> None:
    assert HOSTS.allow(host, "/")


@pytest.mark.parametrize(
    "host",
    [
        *(
            None,
            "",
            " ",
            ":9464",
            ".",
            "..",
            "evil.example",
            "localhost.evil.example",
            "localhost..",
        ),
        *("127.0.0.1.evil.example", "127.0.0.1.nip.io:9464", "evil.example:80@127.0.0.1"),
        *("127.0.0.1,evil.example", "127.0.0.1:port", "127.0.0.1:9464:9464", "127.0.0.1/", "::1"),
        *("[127.0.0.1]", "[evil.example]", "[::1", "::1]", "[::1]evil", "[::1%25evil]", "0x7f.1"),
        *("2130706433", "127.1", "user@localhost", "localhost\u3002", "loc\u0430lhost", "a.fota"),
        *("ops.example.com.evil.example", "\u0661\u0662\u0667.0.0.1", "127.0.0.1 evil.example"),
    ],
)
def test_nobody_elses_name_may_be_asked(host: str | None) -> None:
    assert not HOSTS.allow(host, "/")


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ("http://127.0.0.1:9464/metrics", True),
        ("http://LOCALHOST/", True),
        ("http://evil.example/metrics", False),
        ("http://127.0.0.1@evil.example/", False),
        ("https://evil.example:9464", False),
        ("http:///", False),
        ("http://[::1/", False),
        ("*", True),
        ("evil.example:80", False),
    ],
)
def test_target_in_absolute_form_needs_an_allowed_host_as_well(target: str, allowed: bool) -> None:
    assert HOSTS.allow("127.0.0.1", target) is allowed


def test_host_is_read_without_port_brackets_and_final_dot() -> None:
    assert parse_host("Example.COM.:80") == "example.com"
    assert parse_host("[2001:DB8::1]:80") == "2001:db8::1"
    assert parse_host("2001:db8::1") is None


def test_setting_takes_names_alone() -> None:
    settings = Settings.from_env({**PROOF, "OPS_HOSTS": "Fota, ops.example.com., fota"})
    assert settings.ops_hosts == ("fota", "ops.example.com")
    for wrong in (",", "http://fota", "fota:9464", "*", "a..b", ".", "*.example.com", "f\u00f6ta"):
        assert set(problems({**PROOF, "OPS_HOSTS": wrong})) == {"OPS_HOSTS"}


@pytest.mark.parametrize(
    ("environ", "alone"),
    [
        ({"CALLBACK_SOURCES": "thingspace", "TRUSTED_PROXIES": "1"}, True),
        ({"CALLBACK_SOURCES": "192.0.2.0/24", "TRUSTED_PROXIES": "2"}, True),
        ({"CALLBACK_SOURCES": "thingspace"}, False),
        ({"CALLBACK_SOURCES": "any", "TRUSTED_PROXIES": "1", "ALLOW_ANY_SENDER": "true"}, False),
        ({**PROOF, "CALLBACK_SOURCES": "thingspace", "TRUSTED_PROXIES": "1"}, False),
        (
            {
                "CALLBACK_SOURCES": "thingspace",
                "TRUSTED_PROXIES": "1",
                "CALLBACK_USERNAME": "u",
                "CALLBACK_PASSWORD": "p",
            },
            False,
        ),
    ],
)
def test_forwarded_address_is_known_to_be_the_only_proof(
    environ: dict[str, str], alone: bool
) -> None:
    assert Settings.from_env(environ).trusts_forwarded_address_alone is alone


@pytest.mark.parametrize(
    ("site", "mode", "dest", "refused"),
    [
        ("", "", "", False),
        ("none", "navigate", "document", False),
        ("same-origin", "cors", "empty", False),
        ("same-origin", "no-cors", "script", False),
        ("cross-site", "navigate", "document", False),
        ("same-site", "navigate", "document", False),
        ("cross-site", "no-cors", "image", True),
        ("cross-site", "cors", "empty", True),
        ("same-site", "no-cors", "script", True),
        ("cross-site", "navigate", "iframe", True),
        ("cross-site", "navigate", "object", True),
        ("cross-site", "", "", True),
        ("anything-new", "no-cors", "image", True),
    ],
)
def test_pages_of_other_sites_load_nothing_and_links_work(
    site: str, mode: str, dest: str, refused: bool
) -> None:
    named = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
    headers = {name: value for name, value in named.items() if value}
    assert is_cross_site(headers) is refused
