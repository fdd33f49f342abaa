"""What a message says of its devices and their outcome, for titles and links. Pure.

The members inside the containers are modelled on replies of the provider's REST API and are only
likely [?]: a member that is missing or has another form is ignored, and never raises.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from listener.inspection.entry_text import data_of
from listener.inspection.stream_entry import StreamEntry
from listener.messages.kinds import KINDS_BY_NAME
from listener.text import counted, truncate

# Of a text in a title.
MAX_TITLE_TEXT = 40


def container_of(entry: StreamEntry) -> Mapping[str, Any]:
    """The object in a message that its kind names; empty if there is none, or its data were cut."""
    if "data" in entry.cut:
        return {}
    data = data_of(entry.fields)
    kind = KINDS_BY_NAME.get(entry.fields.get("kind", ""))
    container = data.get(kind.type) if kind and isinstance(data, Mapping) else None
    return container if isinstance(container, Mapping) else {}


def text_of(container: Mapping[str, Any], name: str) -> str:
    """A member that is a text; empty if there is none."""
    value = container.get(name)
    return value if isinstance(value, str) else ""


def listed_devices(container: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The id and the status of each device in a list of devices."""
    devices = container.get("deviceList")
    for item in devices if isinstance(devices, list) else ():
        if isinstance(item, Mapping) and (device := text_of(item, "deviceId")):
            yield device, text_of(item, "status")


def device_ids(entry: StreamEntry) -> list[str]:
    """The devices that a message names, each once, in its order."""
    container = container_of(entry)
    one = text_of(container, "deviceId")
    return [one] if one else list(dict(listed_devices(container)))


def outcome(entry: StreamEntry) -> str:
    """The status that a message reports, as it stands there; empty if it reports none."""
    return text_of(container_of(entry), "status")


def title(entry: StreamEntry) -> str:
    """Kind, device and outcome: `upgrade-finished, device 990013907835573, UpgradeSuccess`."""
    kind, devices = entry.fields.get("kind") or "message", device_ids(entry)
    named = f"device {_short(devices[0])}" if len(devices) == 1 else counted(len(devices), "device")
    parts = (_short(kind), named if devices else "", _short(outcome(entry)))
    return ", ".join(part for part in parts if part)


def _short(text: str) -> str:
    return truncate(text, MAX_TITLE_TEXT)
