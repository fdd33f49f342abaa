"""`wsgi.input`: reads a request's body whole, or raises; limits the chunk framing, not the size."""

import math
from typing import Any

from gunicorn.http.body import Body, ChunkedReader
from gunicorn.http.errors import ParseException

from listener.errors import MalformedRequestError, RefusalError, RequestTooSlowError
from listener.server.client_connection import Connection

# What the framing of chunks (sizes, extensions, trailers) may take besides their content. A large body has
# chunks of a hundred bytes on average within it, a small one chunks of one byte. Parsing more of it would
# cost far more than the message.
MAX_FRAMING_BYTES = 64 * 1024
FRAMING_SHARE = 16
# The limit is set anew before each read, from the content that it can bring at most.
CHUNKED_READ_SIZE = 16 * 1024
# The rest of an unread body up to this size is read, so that the connection can be kept.
MAX_DRAINED_BYTES = 64 * 1024
DRAIN_READ_SIZE = 8192
LINGER_S = 1.0


class BodyReader:
    """What gunicorn's `Body` reads from; `Body` adds the other methods that PEP 3333 wants of a stream."""

    def __init__(self, request: Any, connection: Connection) -> None:
        """Takes gunicorn's request, and gives it a body that reads through this reader."""
        self._reader = request.body.reader
        self._connection = connection
        self._is_chunked = isinstance(self._reader, ChunkedReader)
        self._content_bytes = 0
        # After an error nobody knows where the next request starts.
        self.failed = False
        request.body = Body(self)

    @property
    def unread(self) -> float:
        """How many bytes of the body are still to come; infinite if that is not known."""
        if self.failed:
            return math.inf
        if self._is_chunked:
            return math.inf if self._reader.parser else 0
        length: int = self._reader.length
        return length

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end of the body, and only there.

        Raises:
            RequestTooSlowError: the deadline of the request has passed.
            RequestTooLargeError: the framing of the chunks exceeds its limit.
            MalformedRequestError: the chunks are malformed, the body ended early, or reading failed before.
        """
        if self.failed:
            raise MalformedRequestError("the body was read again after an error")
        self.failed = True
        try:
            data = self._read_chunks(size) if self._is_chunked else self._read_sized(size)
        except TimeoutError as error:
            raise RequestTooSlowError("the body") from error
        except (OSError, ParseException) as error:
            raise MalformedRequestError(type(error).__name__) from error
        self.failed = False
        return data

    def drain(self) -> bool:
        """Reads and discards a short rest of the body; whether the next request can be read then.

        Chunks are never drained: parsing them only to discard them would cost a hundred times the refusal.
        """
        if self.unread > MAX_DRAINED_BYTES:
            return False
        try:
            if self.unread:
                self._connection.drain_within(LINGER_S)
            while self.unread:
                self.read(DRAIN_READ_SIZE)
        except RefusalError:
            return False
        return True

    def release(self) -> None:
        """Breaks gunicorn's reference cycles of request, reader and generator, which would await a collection."""
        if self._is_chunked:
            self._reader.parser = self._reader.req = None

    def _read_chunks(self, size: int) -> bytes:
        size = min(size, CHUNKED_READ_SIZE)
        content_bytes = self._content_bytes + size
        self._connection.max_parsed_bytes = (
            content_bytes + MAX_FRAMING_BYTES + content_bytes // FRAMING_SHARE
        )
        data: bytes = self._reader.read(size)
        self._content_bytes += len(data)
        return data

    def _read_sized(self, size: int) -> bytes:
        expected = min(size, self._reader.length)
        data: bytes = self._reader.read(size)
        # gunicorn takes a client that hung up for the end of the body.
        if len(data) < expected:
            raise MalformedRequestError("the body is shorter than announced")
        return data
