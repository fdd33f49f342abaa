"""How the pages write times, JSON, messages and commands. Pure."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from listener.inspection.stream_entry import StreamEntry
from listener.text import clean, escape, truncate
from listener.times import entry_time, format_duration

# Of a text from outside, such as an account's name: the page is read at a glance.
MAX_TEXT_LENGTH = 120
MAX_COMMAND_CHARS = 2000
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"


def printable(text: object, max_length: int = MAX_TEXT_LENGTH) -> str:
    """A text from outside on one line; see `listener.text.truncate`."""
    return truncate(text, max_length)


@dataclass(frozen=True)
class TimeText:
    """A time as a page shows it.

    Attributes:
        iso: for machines; empty if it is no time, or unknown.
        text: what stands on the page.
        title: what shows under the pointer.
    """

    iso: str
    text: str
    title: str


def ago(moment: datetime | str | None, now: datetime) -> TimeText:
    """How long ago a moment was, with the time itself under the pointer; a text that is no time as it is."""
    time = parse_time(moment)
    if time is None:
        return TimeText("", truncate(moment or "unknown", MAX_TEXT_LENGTH), "")
    return TimeText(time.isoformat(), _age(time, now), f"{time:{TIME_FORMAT}} UTC")


def at(moment: datetime | str | None, now: datetime) -> TimeText:
    """When a moment was, in UTC to the second, with how long ago that is under the pointer."""
    time = parse_time(moment)
    if time is None:
        return TimeText("", truncate(moment or "unknown", MAX_TEXT_LENGTH), "")
    return TimeText(time.isoformat(), f"{time:{TIME_FORMAT}}", _age(time, now))


def parse_time(moment: datetime | str | None) -> datetime | None:
    """A moment in UTC; None if it is no time, or names no zone."""
    try:
        time = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        return time.astimezone(UTC) if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def arrival(entry: StreamEntry) -> datetime | None:
    """When a message arrived; by its entry id if its `time` is no time."""
    return parse_time(entry.fields.get("time")) or entry_time(entry.entry_id)


def day(time: datetime | None, now: datetime) -> str:
    """A time as a sentence names it: `12 Nov 08:01 UTC`; with the year if that is another one."""
    if time is None:
        return "an unknown time"
    year = "" if time.year == now.year else f" {time.year}"
    return f"{time.day} {time:%b}{year} {time:%H:%M} UTC"


def format_json(data: Any) -> str:
    """Indented JSON; characters that are not printable, or would reverse the text, are escaped."""
    try:
        lines = json.dumps(data, indent=2, ensure_ascii=False).split("\n")
    except RecursionError:
        lines = ["nested too deeply to be shown"]
    return "\n".join(escape(line) for line in lines)


def format_lines(text: str) -> str:
    """A text of several lines, such as a traceback, with nothing in it that moves or reverses text."""
    return "\n".join(escape(line) for line in text.split("\n"))


def command(*words: str) -> str:
    """A command line that a shell takes as these words; empty if a word cannot be typed as it is."""
    if any(word != clean(word) for word in words):
        return ""
    line = shlex.join(["python", "-m", "listener", *words])
    return line if len(line) <= MAX_COMMAND_CHARS else ""


def commands(*lines: Sequence[str]) -> list[str]:
    """The command lines that can be typed."""
    return [line for line in (command(*words) for words in lines) if line]


def _age(time: datetime, now: datetime) -> str:
    return f"{format_duration(max((now - time).total_seconds(), 0))} ago"
