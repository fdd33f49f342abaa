"""How a callback URL is shown, without its secrets, and what ThingSpace may refuse about it."""

from datetime import UTC, datetime, timedelta

import pytest

from registrar.public_url.checks import check_addresses, check_expiry, check_url
from registrar.url_display import shown_url

PUBLIC = "https://fota.example.com/cb"
NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (None, None),
        (PUBLIC, PUBLIC),
        (f"{PUBLIC}/secret", f"{PUBLIC}/***"),
        (f"{PUBLIC}/s", f"{PUBLIC}/***"),
        (f"{PUBLIC}-two/callbacks.asmx", f"{PUBLIC}-two/callbacks.asmx"),
        (f"{PUBLIC}/", f"{PUBLIC}/"),
        (f"{PUBLIC}/to.ken/more", f"{PUBLIC}/***"),
        ("https://FOTA.example.com/cb/short.tok", "https://FOTA.example.com/cb/***"),
        ("https://fota.example.com:443/cb/a.b.c", "https://fota.example.com:443/cb/***"),
        ("http://fota.example.com./%63b/tok.asmx", "http://fota.example.com./cb/***"),
        ("https://other.example.com/", "https://other.example.com/"),
        ("https://other.example.com", "https://other.example.com"),
        ("https://other.example.com/cb", "https://other.example.com/***"),
        ("https://other.example.com/cb/abc.def.ghi.jkl", "https://other.example.com/cb/***"),
        ("https://other.example.com/0123456789abcdef/in", "https://other.example.com/***/***"),
        (
            "https://other.example.com/CallbackListener/FirmwareServiceMessages.asmx",
            "https://other.example.com/CallbackListener/FirmwareServiceMessages.asmx",
        ),
        (
            "https://other.example.com/\x1b[31m/x.asmx",
            "https://other.example.com/\ufffd[31m/x.asmx",
        ),
        ("https://other.example.com/cb/Zm9vYmFyYmF6cXV4", "https://other.example.com/cb/***"),
        ("https://me:pass@other.example.com:50559/x.do", "https://other.example.com:50559/x.do"),
        ("https://other.example.com/x.php?token=1", "https://other.example.com/x.php?***"),
        ("https://[broken", "***"),
        ("no url at all", "***"),
        ("mailto:somebody@example.com", "***"),
    ],
)
def test_secrets_in_a_url_are_not_shown(url: str | None, shown: str | None) -> None:
    assert shown_url(url, PUBLIC) == shown


@pytest.mark.parametrize(
    ("url", "versions", "checks"),
    [
        ("https://fota.example.com/cb", ["v1", "v2", "v3"], []),
        ("https://fota.example.com:50559/cb", ["v2"], []),
        ("https://fota.example.com:8443/cb", ["v1"], ["port"]),
        ("http://fota.example.com/cb", ["v1"], ["scheme"]),
        ("http://fota.example.com:8000/cb", ["v2", "v3"], ["scheme", "port"]),
    ],
)
def test_what_thingspace_may_have_against_a_url(
    url: str, versions: list[str], checks: list[str]
) -> None:
    assert [warning.check for warning in check_url(url, versions)] == checks


def test_http_is_refused_for_v2_and_v3_only() -> None:
    assert "for v2 and v3" in check_url("http://a.example.com", ["v1", "v3", "v2"])[0].problem
    assert "in clear" in check_url("http://a.example.com", ["v1"])[0].problem


@pytest.mark.parametrize(
    ("addresses", "objects"),
    [
        (["93.184.216.34"], False),
        (["2606:2800:220:1:248:1893:25c8:1946"], False),
        ([], True),
        (["10.1.2.3"], True),
        (["93.184.216.34", "192.168.0.1"], True),
        (["127.0.0.1"], True),
        (["::1"], True),
        (["169.254.1.1"], True),
        (["100.64.0.1"], True),
    ],
)
def test_an_address_must_be_reachable_from_the_internet(
    addresses: list[str], objects: bool
) -> None:
    assert bool(check_addresses(addresses)) is objects


@pytest.mark.parametrize(("days", "objects"), [(90, False), (15, False), (13, True), (-1, True)])
def test_a_certificate_that_expires_soon_is_told(days: int, objects: bool) -> None:
    assert bool(check_expiry(NOW + timedelta(days=days), NOW)) is objects


@pytest.mark.parametrize(("days", "span"), [(0, "0 days,"), (1, "1 day,"), (2, "2 days,")])
def test_warning_of_expiry_counts_the_days(days: int, span: str) -> None:
    (warning,) = check_expiry(NOW + timedelta(days=days), NOW)
    assert warning.problem.startswith(f"the certificate expires in {span}")
