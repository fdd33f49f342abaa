"""An entry as text: one line of JSON, or one line to read. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from listener.inspection.entries import Entry
from listener.messages.kinds import KINDS, KINDS_BY_TYPE
from listener.messages.members import Kind, Member
from listener.text import clean, counted, json_line

# How much of an upgrade's id is shown, mostly a UUID; `tail --upgrade` accepts that much.
SHORT_ID_CHARS = 8


def event_json(entry: Entry) -> str:
    """One line of JSON: the event's attributes and its data, as an object where it is one."""
    event: dict[str, Any] = dict(entry.fields)
    if "data" in event:
        event["data"] = data_of(entry.fields)
    return json_line({"entry": entry.entry_id, "partition": entry.partition, **event})


def event_text(entry: Entry) -> str:
    """One readable line: time, kind, account, upgrade, and the details of the message."""
    fields = entry.fields
    subject = fields.get("subject")
    parts = [
        fields.get("time", "")[:19].replace("T", " "),
        f"{fields.get('kind', '?'):<18}",
        fields.get("account", "-"),
        f"upgrade {subject[:SHORT_ID_CHARS]}" if subject else "",
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
    """What distinguishes a message from others: devices, firmware, status, as far as it names them.

    A message of an unknown type is searched for the members that the known kinds have.
    """
    if not isinstance(data, Mapping):
        return
    type_ = str(data.get("type"))
    container = data.get(type_, data)
    members = _LINE_MEMBERS[KINDS_BY_TYPE.get(type_)]
    for item in container if isinstance(container, list) else [container]:
        if isinstance(item, Mapping):
            yield from filter(None, (_detail(item.get(it.name), it) for it in members))


def _detail(value: Any, member: Member) -> str:
    word = member.in_line or ""
    if isinstance(value, list) and member.items:
        return counted(len(value), word)
    if isinstance(value, str) and value and not member.items:
        return f"{word} {value}" if word else value
    return ""


def _line_members(kind: Kind | None) -> Sequence[Member]:
    """What a line shows: the kind's own members, then the other kinds'; those with a word come first."""
    by_name: dict[str, Member] = {}
    for each in (kind, *KINDS) if kind else KINDS:
        for member in each.members:
            if member.in_line is not None:
                by_name.setdefault(member.name, member)
    return sorted(by_name.values(), key=lambda member: not member.in_line)


_LINE_MEMBERS = {kind: _line_members(kind) for kind in (*KINDS, None)}
