"""The search box, which stands on every page: decides by its form what an id is of."""

import re

from listener import entry_ids
from listener.inspection.entry_filter import normalized
from listener.inspection.pages import IDS_ONLY, pages
from listener.inspection.queue_view import QueueView
from listener.ops.status_page.links import MAX_ID_CHARS, device_link, entry_link, link, upgrade_link
from listener.ops.status_page.page_context import PageContext, fail

ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
MESSAGE_ID = re.compile(r"[0-9a-f]{32}")
UUID_DIGITS = 32
# A UUID, or the eight hex digits at its beginning that tables show.
UPGRADE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f-]*)?", re.IGNORECASE)


def find_page(context: PageContext, text: str) -> str:
    """The address of the page that a text is about; a device's if it may be anything."""
    text = text.strip()
    if len(text) > MAX_ID_CHARS:
        fail(400, "This cannot be searched for", f"an id has at most {MAX_ID_CHARS:,} letters")
    if ENTRY_ID.fullmatch(text):
        with context.queue() as view:
            if found := _entry(view, text):
                return found
    if MESSAGE_ID.fullmatch(text.lower()):
        return link("/messages", id=text.lower())
    # An upgrade's beginning without a letter may as well be a device's id.
    if UPGRADE_ID.fullmatch(text) and not normalized(text).isdecimal():
        is_whole = len(normalized(text)) == UUID_DIGITS
        return upgrade_link(text) if is_whole else link("/messages", upgrade=text)
    return device_link(text) or "/messages"


def _entry(view: QueueView, entry_id: str) -> str:
    """The address of the message with this entry id; empty if there is none. Raises redis.RedisError."""
    if max(entry_ids.parse(entry_id)) > entry_ids.MAX_PART:
        return ""
    for partition in view.partitions:
        if next(
            pages(view.client, partition.messages, entry_id, entry_id, projection=IDS_ONLY), None
        ):
            return entry_link(partition.number, entry_id)
    return ""
