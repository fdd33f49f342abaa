"""What an operator sees of texts that somebody else wrote, and of messages. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from listener.queue.reader import Entry

# What tells one message from the next, as far as the provider's structure is known.
TELLING = ("firmwareName", "status", "reason", "startDate")
# Of an upgrade's id, which mostly is a UUID; `tail --upgrade` takes as much.
BEGINNING = 8
# All of ASCII but its control characters is printable; of the rest `str.isprintable` decides.
UNUSUAL = re.compile(r"[^ -~]")


def clean(text: object) -> str:
    """A text for a terminal: nothing in it can move the cursor, change colours or hide text."""
    return UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else " ", str(text))


def escaped(text: object) -> str:
    r"""Likewise, but nothing is lost: what is not printable stands as `\u…`, as in JSON."""

    def escape(found: re.Match[str]) -> str:
        letter = found[0]
        return letter if letter.isprintable() else json.dumps(letter)[1:-1]

    return UNUSUAL.sub(escape, str(text))


def cut(text: object, most: int) -> str:
    """At most so many letters, of which the last is an ellipsis where some are missing."""
    # What is cut off is not looked at: it may be megabytes.
    short = clean(str(text)[: most + 1])
    return short if len(short) <= most else f"{short[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def counted(number: object, noun: str) -> str:
    """`1 message`, `2 messages`, `10000+ messages`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def json_line(content: Mapping[str, Any]) -> str:
    """One line of JSON, fit for a terminal as well."""
    return escaped(json.dumps(content, ensure_ascii=False))


def event_json(entry: Entry) -> str:
    """One line of JSON: the event's attributes and its data, as an object where it is one."""
    event: dict[str, Any] = dict(entry.fields)
    if "data" in event:
        event["data"] = data_of(entry.fields)
    return json_line({"entry": entry.entry_id, "partition": entry.partition, **event})


def event_text(entry: Entry) -> str:
    """One readable line: when, what, of which account and upgrade, and what tells it apart."""
    fields = entry.fields
    subject = fields.get("subject")
    parts = [
        fields.get("time", "")[:19].replace("T", " "),
        f"{fields.get('kind', '?'):<18}",
        fields.get("account", "-"),
        f"upgrade {subject[:BEGINNING]}" if subject else "",
        ", ".join(details(data_of(fields))),
    ]
    return clean("  ".join(part for part in parts if part))


def data_of(fields: Mapping[str, str]) -> Any:
    """The data as a value; as the text that it is where it is no JSON."""
    text = fields.get("data", "null")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def details(data: Any) -> Iterator[str]:
    """What tells a message from the next: devices, firmware, status, as far as they are known."""
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
        yield counted(len(item["deviceList"]), "device")
    yield from (item[name] for name in TELLING if isinstance(item.get(name), str) and item[name])
