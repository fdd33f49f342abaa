"""Opens the queue for reading, with the operating port's short time limit; for the status page and `/metrics`."""

from collections.abc import Iterator
from contextlib import contextmanager

from listener.inspection.queue_view import QueueView, decoding_client
from listener.settings.settings import Settings

# While Redis hangs, a page or a scrape must say so soon.
TIMEOUT_S = 0.5
CLIENT_NAME = "fota-ops"


@contextmanager
def open_queue_view(settings: Settings) -> Iterator[QueueView]:
    """The queue; it connects when it is first used, and disconnects at the end of the block.

    Raises:
        RedisFailedError: an error of Redis left the block.
    """
    with decoding_client(settings.queue, timeout_s=TIMEOUT_S, name=CLIENT_NAME) as client:
        yield QueueView(settings.queue, client)
