"""Prints one message as a line: of JSON, or of text for people. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from listener.inspection.stream_entry import StreamEntry
from listener.messages.kinds import KINDS, KINDS_BY_TYPE, RECOVERED, UNKNOWN
from listener.messages.members import Kind, Member
from listener.messages.message import TYPE_PREFIX
from listener.text import clean, counted, json_line, truncate
from listener.times import format_time_text

# The part of an upgrade's id that is shown, mostly a UUID; `tail --upgrade` accepts it.
SHORT_ID_CHARS = 8
# A sender chooses the type.
MAX_TYPE_CHARS = 40


def event_json(entry: StreamEntry) -> str:
    """One line of JSON: the entry's fields, with `data` as an object if it is one."""
    fields: dict[str, Any] = dict(entry.fields)
    if "data" in fields:
        fields["data"] = data_of(entry.fields)
    return json_line({"entry": entry.entry_id, "partition": entry.partition, **fields})


def event_text(entry: StreamEntry) -> str:
    """One line for people: time, kind, account, upgrade, and the details of the message.

    Of an unknown kind also the provider's type, if there is one.
    """
    fields = entry.fields
    type_ = fields.get("type", "").removeprefix(TYPE_PREFIX)
    is_named = fields.get("kind") == UNKNOWN and type_ not in {"", UNKNOWN}
    subject = fields.get("subject")
    parts = [
        format_time_text(fields.get("time", "")),
        f"{fields.get('kind', '?'):<18}",
        fields.get("account", "-"),
        f"type {truncate(type_, MAX_TYPE_CHARS)}" if is_named else "",
        f"upgrade {subject[:SHORT_ID_CHARS]}" if subject else "",
        ", ".join(details(data_of(fields))),
    ]
    return clean("  ".join(part for part in parts if part))


def data_of(fields: Mapping[str, str]) -> Any:
    """The data as a JSON value; as text if it is no JSON."""
    text = fields.get("data", "null")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def report_of(data: Any) -> Mapping[str, Any] | None:
    """The report in the data of a recovered message; None: ThingSpace sent the message."""
    if not isinstance(data, Mapping) or "type" in data:
        return None
    about, report = data.get("recovered"), data.get("report")
    is_recovered = isinstance(about, Mapping) and "call" in about
    return report if is_recovered and isinstance(report, Mapping) else None


def details(data: Any) -> Iterator[str]:
    """The members that a line shows, such as devices, firmware and status, as far as the message has them.

    In a message of an unknown type these are the members of all known kinds. Of a recovered message they are
    those of the report.
    """
    if not isinstance(data, Mapping):
        return
    report = report_of(data)
    if report is not None:
        yield RECOVERED
        data = report
    type_ = str(data.get("type"))
    container = data.get(type_, data)
    members = _LINE_MEMBERS[KINDS_BY_TYPE.get(type_)]
    for item in container if isinstance(container, list) else [container]:
        if isinstance(item, Mapping):
            texts = (_detail(item.get(member.name), member) for member in members)
            yield from filter(None, texts)


def _detail(value: Any, member: Member) -> str:
    word = member.in_line or ""
    if isinstance(value, list) and member.items:
        return counted(len(value), word)
    if isinstance(value, str) and value and not member.items:
        return f"{word} {value}" if word else value
    return ""


def _line_members(kind: Kind | None) -> Sequence[Member]:
    """The members that a line shows: the kind's own, then those of other kinds; members with a word come first."""
    by_name: dict[str, Member] = {}
    for source in (kind, *KINDS) if kind else KINDS:
        for member in source.members:
            if member.in_line is not None:
                by_name.setdefault(member.name, member)
    return sorted(by_name.values(), key=lambda member: not member.in_line)


_LINE_MEMBERS = {kind: _line_members(kind) for kind in (*KINDS, None)}
