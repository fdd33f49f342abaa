"""Retry-After and the gateway's nextAccessTime, in every form: how long to wait, in seconds, capped. Pure."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

# A server that asks for a longer wait is called again after this time all the same.
MAX_RETRY_AFTER_S = 300.0

# The gateway's `nextAccessTime`, as WSO2 writes it: "2026-May-01 12:00:30+0000 UTC".
GATEWAY_FORMS = ("%Y-%b-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%b-%d %H:%M:%S")
# Larger numbers are milliseconds since the epoch, smaller ones seconds.
MILLISECONDS_FROM = 1e11


def retry_after(
    header: str | None, now: datetime, longest_s: float = MAX_RETRY_AFTER_S
) -> float | None:
    """The wait that a Retry-After header asks for: seconds, or a date. None: it says nothing usable.

    Args:
        header: the header's text; None: there is none.
        now: the time of day.
        longest_s: the cap.
    """
    if header is None:
        return None
    if re.fullmatch(r"\s*\+?[0-9]+(\.[0-9]*)?\s*", header):
        # Longer than nine digits is longer than the cap; Python refuses to read very long ones.
        asked_s = float(header.strip()[:16]) if len(header) < 64 else float("inf")
        return min(asked_s, longest_s)
    return _until(header, (_http_date, datetime.fromisoformat), now, longest_s)


def next_access(value: Any, now: datetime) -> float | None:
    """The wait until a gateway's `nextAccessTime`: a date in its own form or ISO 8601, or an epoch."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    if re.fullmatch(r"[0-9]{9,15}(\.[0-9]*)?", text):
        epoch = float(text)
        seconds = epoch / 1000 if epoch >= MILLISECONDS_FROM else epoch
        return _capped(seconds - now.timestamp())
    text = re.sub(r"\s+(UTC|GMT|Z)$", "", text)
    return _until(text, (_gateway_date, datetime.fromisoformat, _http_date), now)


def _until(
    text: str,
    forms: tuple[Callable[[str], datetime], ...],
    now: datetime,
    longest_s: float = MAX_RETRY_AFTER_S,
) -> float | None:
    for form in forms:
        try:
            until = form(text)
            until = until if until.tzinfo else until.replace(tzinfo=UTC)
            return _capped((until - now).total_seconds(), longest_s)
        except (ValueError, TypeError, IndexError, OverflowError):
            # Another form, or a year that no calendar has.
            continue
    return None


def _gateway_date(text: str) -> datetime:
    for form in GATEWAY_FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 (the zone is set by the caller)
        except ValueError:
            continue
    raise ValueError("another form")


def _http_date(text: str) -> datetime:
    return parsedate_to_datetime(text)


def _capped(seconds: float, longest_s: float = MAX_RETRY_AFTER_S) -> float:
    return min(max(seconds, 0.0), longest_s)
