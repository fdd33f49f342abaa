"""Times and durations as operators write and read them, and the times in entry ids. Pure."""

import re
from datetime import UTC, datetime, timedelta

from listener import entry_ids

RELATIVE_TIME = re.compile(r"([0-9]{1,9})([smhd])")
RELATIVE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
EXPECTED = (
    "must be `now` (behind the newest message), `start`, a time such as 2026-11-23T08:00 (UTC if it names no zone), an age "
    "such as 90s, 30m, 2h or 7d, or an entry id"
)
DURATION_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def first_id(text: str, now: datetime) -> str:
    """The first entry id of a range that begins at a time or an id; the range includes it.

    `now` is the end of every stream, whatever the clock says, because an id may lie ahead of the clock.

    Args:
        text: see `EXPECTED`.
        now: the time of day, with a time zone.

    Raises:
        ValueError: the text is none of these.
    """
    time_ms, number = _read(text, now)
    return f"{time_ms}-{number or 0}"


def last_id(text: str, now: datetime) -> str:
    """The last entry id of a range that ends at a time or an id: as `first_id`, and a time includes its whole millisecond."""
    time_ms, number = _read(text, now)
    return f"{time_ms}-{entry_ids.MAX_PART if number is None else number}"


def entry_time(entry_id: str) -> datetime | None:
    """When an entry was written, by Redis's clock; None if its id is no time that a date can have."""
    try:
        return datetime.fromtimestamp(entry_ids.parse(entry_id)[0] / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        # An entry that is added by hand, or under a wrong clock, may have any id.
        return None


def format_entry_time(entry_id: str) -> str:
    """When an entry was written, by Redis's clock, as `format_time`; the id itself if that is no time."""
    written = entry_time(entry_id)
    return format_time(written) if written else entry_id


def format_time(moment: datetime) -> str:
    """For a table: to the second, in UTC, with its zone, such as `2026-11-23 08:00:00Z`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def format_time_text(text: str) -> str:
    """A field such as `time` for a table; what is no time with a zone stands as it is, cut to 20 letters."""
    try:
        moment = datetime.fromisoformat(text)
        return format_time(moment) if moment.tzinfo else text[:20]
    except (ValueError, OverflowError):
        return text[:20]


def entry_age_s(entry_id: str, now: datetime) -> float:
    """How many seconds ago an entry was written; 0 for an entry of the future."""
    return max(now.timestamp() - entry_ids.parse(entry_id)[0] / 1000, 0.0)


def format_duration(seconds: float | None) -> str:
    """A duration in its greatest fitting unit: `45 s`, `12 min`, `3 h`, `5 d`; `-` for None."""
    if seconds is None:
        return "-"
    size, unit = next(step for step in DURATION_UNITS if seconds >= step[0] or step[0] == 1)
    return f"{int(seconds // size)} {unit}"


def _read(text: str, now: datetime) -> tuple[int, int | None]:
    """The two parts of an entry id; the second is None for a time, or an id without a number."""
    if text == "start":
        return 0, 0
    if text == "now":
        return entry_ids.MAX_PART, entry_ids.MAX_PART
    if match := entry_ids.PATTERN.fullmatch(text):
        time_ms, number = int(match[1]), int(match[2]) if match[2] else None
        if max(time_ms, number or 0) > entry_ids.MAX_PART:
            raise ValueError(EXPECTED)
        return time_ms, number
    time = _parse_time(text, now)
    if time.timestamp() < 0:
        raise ValueError("is before 1970")
    return int(time.timestamp() * 1000), None


def _parse_time(text: str, now: datetime) -> datetime:
    try:
        if match := RELATIVE_TIME.fullmatch(text):
            return now - timedelta(**{RELATIVE_UNITS[match[2]]: int(match[1])})
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(EXPECTED) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, microseconds, `Z`."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
