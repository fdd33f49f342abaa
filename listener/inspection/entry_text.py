"""An entry as text: one line of JSON, or one line to read. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from listener.inspection.entries import Entry
from listener.text import clean, counted, json_line

# What tells one message from the next, as far as the provider's structure is known.
TELLING = ("firmwareName", "status", "reason", "startDate")
# Of an upgrade's id, which mostly is a UUID; `tail --upgrade` takes as much.
BEGINNING = 8


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
