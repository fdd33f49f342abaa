"""The rows of a table of messages."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from listener.inspection.entry_filter import DeviceId
from listener.inspection.search.backward_search import PAUSE_BYTES
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.formats import arrival
from listener.ops.status_page.links import device_link, message_link, upgrade_link
from listener.ops.status_page.message_content import MessageContent, listed_devices
from listener.ops.status_page.search.how_far import HowFar


@dataclass(frozen=True)
class MessageRow:
    """One message.

    Attributes:
        time: when it arrived; None: unknown.
        device: the device that it names; empty if it names none or several.
        device_link: empty if no page can be about it; so is `upgrade_link`.
        says: its details on one line, but for the device.
    """

    time: datetime | None
    kind: str
    link: str
    entry_id: str
    upgrade: str
    upgrade_link: str
    device: str
    device_link: str
    says: str
    account: str


def message_rows(
    entries: Iterable[StreamEntry],
    about: DeviceId | None = None,
    pause: Callable[[], None] = lambda: time.sleep(0),
) -> list[MessageRow]:
    """The rows of messages.

    Args:
        entries: in their order.
        about: a device; of a list of devices the row then says its status first.
        pause: lets this process do what else there is, after so much text that was parsed.
    """
    rows, parsed = [], 0
    for entry in entries:
        rows.append(_row(entry, about))
        parsed += len(entry.fields.get("data", ""))
        if parsed > PAUSE_BYTES:
            pause()
            parsed = 0
    return rows


def _row(entry: StreamEntry, about: DeviceId | None) -> MessageRow:
    fields, content = entry.fields, MessageContent.read(entry)
    devices, upgrade = content.devices, fields.get("subject", "")
    device = devices[0] if len(devices) == 1 else ""
    listed = _status_in_list(content, about) if about else ""
    return MessageRow(
        time=arrival(entry),
        kind=fields.get("kind", "?"),
        link=message_link(entry),
        entry_id=entry.entry_id,
        upgrade=upgrade,
        upgrade_link=upgrade_link(upgrade),
        device=device,
        device_link=device_link(device),
        says=": ".join(filter(None, (listed, content.summary(without=f"device {device}")))),
        account=fields.get("account", ""),
    )


def _status_in_list(content: MessageContent, about: DeviceId) -> str:
    listed = listed_devices(content.container)
    return next((status for device, status in listed if about.names(device)), "")


def shared_account(rows: Sequence[MessageRow], far: HowFar, *, is_continued: bool) -> str:
    """The account that all rows of a page share, which then have no column of it; empty if each row names its own.

    `search.js` adds the rows of a search that goes on to those of the page before: these pages have the
    column in any case, because the accounts of the other rows are not known yet.
    """
    goes_on = bool(far.go_on) and not far.is_full
    return "" if is_continued or goes_on else only_one(row.account for row in rows)


def only_one(texts: Iterable[str]) -> str:
    """The text that all have; empty if they differ: what all rows share is said once."""
    different = set(texts)
    return different.pop() if len(different) == 1 else ""
