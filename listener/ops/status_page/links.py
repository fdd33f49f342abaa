"""Addresses of the page's pages for what messages say: an id may be any text, and stays what it is. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from listener.inspection.stream_entry import StreamEntry

# A browser takes `.` and `..` for folders, and proxies decode, merge or refuse slashes: such an id is a parameter.
PLAIN_ID = re.compile(r"(?!\.+$)[A-Za-z0-9._~:-]{1,200}")
# What a sender wrote may be longer than a request line may be.
MAX_ID_CHARS = 1000


def link(path: str, **parameters: str) -> str:
    """A path with parameters; those that are empty are left out."""
    query = urlencode(_given(parameters), errors="backslashreplace")
    return f"{path}?{query}" if query else path


def device_link(device: str, **parameters: str) -> str:
    """The page of a device; empty if no page can be about it."""
    return _link_of_id("/devices", device, parameters)


def upgrade_link(upgrade: str, **parameters: str) -> str:
    """The page of an upgrade; empty if no page can be about it."""
    return _link_of_id("/upgrades", upgrade, parameters)


def message_link(entry: StreamEntry) -> str:
    """The page of a message."""
    return entry_link(entry.partition, entry.entry_id)


def entry_link(partition: int, entry_id: str) -> str:
    """The page of the message with this entry id."""
    return f"/messages/{partition}/{entry_id}"


def letter_link(partition: int, entry_id: str, group: str) -> str:
    """The page of a dead letter."""
    return link(f"/dead/{partition}/{entry_id}", group=group)


def quarantined_link(entry_id: str) -> str:
    """The page of a quarantined message."""
    return f"/quarantine/{entry_id}"


def _link_of_id(folder: str, text: str, parameters: Mapping[str, str]) -> str:
    if not text or len(text) > MAX_ID_CHARS:
        return ""
    if PLAIN_ID.fullmatch(text):
        return link(f"{folder}/{quote(text)}", **parameters)
    return link(folder, id=text, **parameters)


def _given(parameters: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in parameters.items() if text}
