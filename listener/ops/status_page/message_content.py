"""What a message says of its devices and their outcome, for titles, rows and links. Pure.

The members inside the containers are modelled on replies of the provider's REST API and are only
likely [?]: a member that is missing or has another form is ignored, and never raises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

from listener.inspection.entry_text import data_of, details, report_of
from listener.inspection.stream_entry import StreamEntry
from listener.messages.kinds import KINDS_BY_NAME
from listener.text import counted, truncate

# Of a text in a title.
MAX_TITLE_TEXT = 40
MAX_DETAILS = 6


@dataclass(frozen=True)
class MessageContent:
    """A message's data, parsed once.

    Attributes:
        kind: our name of its kind.
        data: a JSON value; None if only their beginning was read.
        size: the whole size in bytes if only their beginning was read, else 0.
    """

    kind: str
    data: Any
    size: int = 0

    @classmethod
    def read(cls, entry: StreamEntry) -> Self:
        """Parses the data of an entry."""
        size = entry.cut.get("data", 0)
        return cls(entry.fields.get("kind", ""), None if size else data_of(entry.fields), size)

    @property
    def container(self) -> Mapping[str, Any]:
        """The object that the kind names, or the report of a recovered message; empty if there is none."""
        report = report_of(self.data)
        if report is not None:
            return report
        kind = KINDS_BY_NAME.get(self.kind)
        found = self.data.get(kind.type) if kind and isinstance(self.data, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    @property
    def is_recovered(self) -> bool:
        """Whether ThingSpace did not send the message."""
        return report_of(self.data) is not None

    @property
    def devices(self) -> list[str]:
        """The devices that it names, each once, in its order."""
        container = self.container
        one = text_of(container, "deviceId")
        return [one] if one else list(dict(listed_devices(container)))

    @property
    def outcome(self) -> str:
        """The status that it reports, as it stands there; empty if it reports none."""
        return text_of(self.container, "status")

    @property
    def title(self) -> str:
        """Kind, device and outcome: `upgrade-finished, device 990013907835573, UpgradeSuccess`, and whether it is recovered."""
        devices = self.devices
        named = (
            f"device {_short(devices[0])}" if len(devices) == 1 else counted(len(devices), "device")
        )
        recovered = "recovered" if self.is_recovered else ""
        parts = (
            _short(self.kind or "message"),
            recovered,
            named if devices else "",
            _short(self.outcome),
        )
        return ", ".join(part for part in parts if part)

    def summary(self, without: str = "") -> str:
        """The first few details on one line, such as firmware and status, but for one that stands elsewhere."""
        if self.size:
            return f"too large to be read here: {self.size:,} bytes"
        found = (detail for detail in details(self.data) if detail != without)
        return ", ".join(islice(found, MAX_DETAILS))


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


def _short(text: str) -> str:
    return truncate(text, MAX_TITLE_TEXT)
