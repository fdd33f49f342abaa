"""Times and places in the queue, as an operator writes and reads them. Pure."""

import re
from datetime import UTC, datetime, timedelta

from listener.entry_ids import GREATEST, order

ENTRY_ID_FORM = re.compile(r"([0-9]+)(?:-([0-9]+))?")
RELATIVE_FORM = re.compile(r"([0-9]{1,9})([smhd])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
FORMS = (
    "must be `now` (behind the newest message), `start`, a time such as 2026-11-23T08:00 (UTC if it names no zone), so long ago "
    "as 90s, 30m, 2h or 7d, or an entry id"
)
STEPS = ((1, "s"), (60, "min"), (3600, "h"), (86400, "d"))


def first_id(text: str, now: datetime) -> str:
    """The smallest entry id that an operator means by a beginning: it is itself included.

    `now` is the end of every stream, whatever the clock says: an id may lie ahead of it.

    Args:
        text: see `FORMS`.
        now: the time of day, with a time zone.

    Raises:
        ValueError: it is none of these.
    """
    time_ms, number = _read(text, now)
    return f"{time_ms}-{number or 0}"


def last_id(text: str, now: datetime) -> str:
    """Likewise the greatest that is meant by an end; a time includes its whole millisecond."""
    time_ms, number = _read(text, now)
    return f"{time_ms}-{GREATEST if number is None else number}"


def when(entry_id: str) -> str:
    """When an entry was written, by Redis's clock, to the second."""
    moment = moment_of(entry_id)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else entry_id


def moment_of(entry_id: str) -> datetime | None:
    """When an entry was written, by Redis's clock; None where its id says no time that there is."""
    try:
        return datetime.fromtimestamp(order(entry_id)[0] / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        # An entry that is added by hand, or under a wrong clock, may have any id.
        return None


def age_s(entry_id: str, now: datetime) -> float:
    """How many seconds ago an entry was written; 0 for one of the future."""
    return max(now.timestamp() - order(entry_id)[0] / 1000, 0.0)


def duration(seconds: float | None) -> str:
    """A length of time in its greatest fitting unit: `45 s`, `12 min`, `3 h`, `5 d`."""
    if seconds is None:
        return "-"
    size, unit = next(step for step in reversed(STEPS) if seconds >= step[0] or step[0] == 1)
    return f"{int(seconds // size)} {unit}"


def _read(text: str, now: datetime) -> tuple[int, int | None]:
    if text == "start":
        return 0, 0
    if text == "now":
        return GREATEST, GREATEST
    if found := ENTRY_ID_FORM.fullmatch(text):
        time_ms, number = int(found[1]), int(found[2]) if found[2] else None
        if max(time_ms, number or 0) > GREATEST:
            raise ValueError(FORMS)
        return time_ms, number
    moment = _moment(text, now)
    if moment.timestamp() < 0:
        raise ValueError("is before 1970")
    return int(moment.timestamp() * 1000), None


def _moment(text: str, now: datetime) -> datetime:
    try:
        if found := RELATIVE_FORM.fullmatch(text):
            return now - timedelta(**{UNITS[found[2]]: int(found[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(FORMS) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
