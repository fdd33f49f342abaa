"""The page of a device: where each of its upgrades is, and its messages, newest first."""

from collections.abc import Sequence
from functools import partial

from listener.inspection.entry_filter import DeviceId, EntryFilter
from listener.inspection.search.conditions import Wanted
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.links import device_link
from listener.ops.status_page.page_context import PageContext, fail, render
from listener.ops.status_page.search.page_search import position_asked, search_for_page
from listener.ops.status_page.search.rows import message_rows, shared_account
from listener.ops.status_page.search.search_request import read_device
from listener.ops.status_page.upgrades import (
    Upgrade,
    devices_by_urgency,
    track_in_thread,
)


def device_page(context: PageContext, text: str) -> str:
    """What happened to a device."""
    try:
        device = read_device(text)
    except ValueError as problem:
        fail(404, "No device has this id", str(problem))
    found = search_for_page(context, Wanted(EntryFilter(device=device)), partial(device_link, text))
    entries = found.result.entries
    rows = message_rows(entries, device)
    return render(
        "device.html", found.now, device=text, rows=rows, far=found.far,
        states=_states(device, entries) if found.is_newest else [],
        newest=device_link(text) if position_asked() else "",
        account=shared_account(rows, found.far, is_continued=position_asked() is not None),
    )  # fmt: skip


def _states(
    device: DeviceId, entries: Sequence[StreamEntry]
) -> list[tuple[Upgrade, str, StreamEntry]]:
    """Where the device is in each upgrade, and the message that says so, by its newest messages."""
    return [
        (upgrade, stage, entry)
        for upgrade in track_in_thread(entries)
        for name, stage, entry in devices_by_urgency(upgrade)
        if device.names(name)
    ]
