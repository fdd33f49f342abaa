"""How a message looks on an operator's terminal, and where reading begins. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from listener.queue.reader import Entry

ENTRY_ID_FORM = re.compile(r"[0-9]+(-[0-9]+)?")
# What tells one message from the next, as far as the provider's structure is known.
TELLING = ("firmwareName", "status", "reason", "startDate")


def position(text: str, now: datetime) -> str:
    """The stream position that an operator means.

    Args:
        text: `now`, `start`, an entry id, or a time as RFC 3339 (without a zone: UTC).
        now: the time of day, with a time zone.

    Raises:
        ValueError: it is none of these.
    """
    if text == "start":
        return "0"
    if ENTRY_ID_FORM.fullmatch(text):
        return text
    moment = now if text == "now" else datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if aware.timestamp() < 0:
        raise ValueError("before 1970")
    return str(int(aware.timestamp() * 1000))


def as_json(entry: Entry) -> str:
    """One line of JSON: the event's attributes and its data, as an object where it is one."""
    event: dict[str, Any] = dict(entry.fields)
    event["data"] = _data(entry)
    return json.dumps({"entry": entry.entry_id, **event}, ensure_ascii=False)


def as_text(entry: Entry) -> str:
    """One readable line: when, what, of which account and upgrade, and what tells it apart."""
    fields = entry.fields
    subject = fields.get("subject")
    parts = [
        fields.get("time", "")[:19].replace("T", " "),
        f"{fields.get('kind', '?'):<18}",
        fields.get("account", "-"),
        f"upgrade {subject[:8]}" if subject else "",
        ", ".join(_details(_data(entry))),
    ]
    # A sender's text goes to a terminal: control characters must not.
    line = "  ".join(part for part in parts if part)
    return "".join(letter if letter.isprintable() else " " for letter in line)


def _data(entry: Entry) -> Any:
    try:
        return json.loads(entry.fields.get("data", "null"))
    except ValueError:
        return entry.fields["data"]


def _details(data: Any) -> Iterator[str]:
    if not isinstance(data, Mapping):
        return
    container = data.get(str(data.get("type")), data)
    for item in container if isinstance(container, list) else [container]:
        if isinstance(item, Mapping):
            yield from _details_of(item)


def _details_of(item: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(item.get("deviceId"), str):
        yield f"device {item['deviceId']}"
    if isinstance(item.get("deviceList"), list):
        count = len(item["deviceList"])
        yield f"{count} device{'' if count == 1 else 's'}"
    yield from (item[name] for name in TELLING if isinstance(item.get(name), str) and item[name])
