"""What the pages about one entry share: finding it by their address, and writing its data."""

from listener import entry_ids
from listener.inspection.entry_text import data_of
from listener.inspection.pages import Projection, pages
from listener.inspection.queue_view import QueueView
from listener.inspection.stream_entry import StreamEntry
from listener.ops.status_page.formats import format_json
from listener.ops.status_page.page_context import PageContext
from listener.queue.keys import Partition, every_partition
from listener.text import escape

# Of a value; formatting more would delay the messages that this process receives.
MAX_VALUE_BYTES = 2**18
# As many digits as the greatest part of an entry id has.
MAX_ID_CHARS = 41


def find_partition(context: PageContext, number: int, entry_id: str) -> Partition | None:
    """The partition of an address; None if there is none, or the entry id is none."""
    queue = context.settings.queue
    partitions = every_partition(queue.namespace, queue.partitions)
    if number >= len(partitions) or len(entry_id) > MAX_ID_CHARS:
        return None
    if not entry_ids.PATTERN.fullmatch(entry_id):
        return None
    return partitions[number] if max(entry_ids.parse(entry_id)) <= entry_ids.MAX_PART else None


def partition_option(context: PageContext, number: int) -> tuple[str, ...]:
    """The words that name the partition in a command; none if there is one alone.

    Several partitions may have the same entry id.
    """
    return ("--partition", str(number)) if context.settings.queue.partitions > 1 else ()


def read_entry(view: QueueView, stream: str, entry_id: str, partition: int) -> StreamEntry | None:
    """One entry of a stream, of long values the beginning; None: there is none. Raises redis.RedisError."""
    projection = Projection(max_value_bytes=MAX_VALUE_BYTES, max_entries=1)
    found = pages(
        view.client, stream, entry_id, entry_id, projection=projection, partition=partition
    )
    page = next(found, None)
    return page.entries[0] if page else None


def data_text(entry: StreamEntry) -> tuple[str, int]:
    """The data of an entry for people, and their whole size in bytes if only the beginning was read, else 0."""
    if "data" not in entry.fields:
        return "", 0
    size = entry.cut.get("data", 0)
    # JSON without its end cannot be parsed, so it is shown as it is.
    return (escape(entry.fields["data"]) if size else format_json(data_of(entry.fields))), size
