"""When a server asks to be called again, in every form in which it may say so."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registrar.thingspace.retry_after import next_access, retry_after

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 12 ", 12),
        ("999999", 300),
        ("Fri, 01 May 2026 12:00:30 GMT", 30),
        ("Fri, 01 May 2026 11:00:00 GMT", 0),
        ("Sat, 02 May 2026 12:00:00 GMT", 300),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, 300),
        ("9" * 5000, 300),
        ("1.5", 1.5),
        ("1e3", None),
        ("0x10", None),
        ("inf", None),
        ("nan", None),
        ("2026-05-01T12:00:30Z", 30),
        ("Fri, 01 May 99999 12:00:30 GMT", None),
        ("Sat, 01 Jan 0001 00:00:00 +2359", 0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 300),
        ("Fri, 01 May 2026 12:00:30 +99999999", None),
        ("Fri, 99 May 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date_with_a_cap(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-May-01 12:00:30+0000 UTC", 30),
        ("2026-May-01 14:00:30+0200 UTC", 30),
        ("2026-May-01 12:00:30 UTC", 30),
        ("2026-05-01T12:00:30.000+00:00", 30),
        ("2026-05-01 12:00:30+0000 UTC", 30),
        ("Fri, 01 May 2026 12:00:30 GMT", 30),
        (int(NOW.timestamp() * 1000) + 30_000, 30),
        (str(int(NOW.timestamp() * 1000) + 30_000), 30),
        (int(NOW.timestamp()) + 30, 30),
        ("2026-May-01 11:00:00+0000 UTC", 0),
        ("2099-Dec-31 00:00:00+0000 UTC", 300),
        ("99999-Dec-31 00:00:00+0000 UTC", None),
        (10**400, None),
        (float("inf"), None),
        ("", None),
        ("soon", None),
        (None, None),
        (True, None),
        ([], None),
    ],
)
def test_next_access_is_read_in_every_form_with_a_cap(value: object, seconds: float | None) -> None:
    assert next_access(value, NOW) == seconds


@given(st.text(max_size=60))
def test_no_wait_whatever_it_says_raises(text: str) -> None:
    for wait in (retry_after(text, NOW), next_access(text, NOW)):
        assert wait is None or 0 <= wait <= 300
