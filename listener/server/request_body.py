"""`wsgi.input`: reads a request's body whole, or raises; limits the chunk framing, not the size."""

import math
from io import RawIOBase

from httptools import HttpParserError

from listener.errors import (
    MalformedRequestError,
    RefusalError,
    RequestTooLargeError,
    RequestTooSlowError,
)
from listener.server.chunk_decoder import ChunkDecoder
from listener.server.client_connection import Connection
from listener.server.request_head import parser_detail

# What the framing of chunks (sizes, extensions, trailers) may take besides their content. A large body has
# chunks of a hundred bytes on average within it, a small one chunks of one byte. Parsing more of it would
# cost far more than the message.
MAX_FRAMING_BYTES = 64 * 1024
FRAMING_SHARE = 16
CHUNKED_READ_SIZE = 16 * 1024
# The rest of an unread body up to this size is read, so that the connection can be kept.
MAX_DRAINED_BYTES = 64 * 1024
DRAIN_READ_SIZE = 8192
LINGER_S = 1.0


class RequestBody(RawIOBase):
    """A request's body, which ends where the request does. `RawIOBase` adds the other methods that PEP 3333 wants."""

    def __init__(self, connection: Connection, size: int | None) -> None:
        """Reads from a connection whose last head announced this body.

        Args:
            connection: whatever was received after the head is still in it.
            size: in bytes; None for a chunked body.
        """
        self._connection = connection
        self._chunks = ChunkDecoder() if size is None else None
        # Of a sized body, what is still to come; of a chunked one, what is decoded and not yet read.
        self._missing_bytes = size or 0
        self._decoded = b""
        self._content_bytes = self._framing_bytes = 0
        # After an error nobody knows where the next request starts.
        self.failed = False

    @property
    def unread(self) -> float:
        """How many bytes of the body are still to come; infinite if that is not known."""
        if self.failed or (self._chunks is not None and not self._chunks.is_complete):
            return math.inf
        return self._missing_bytes + len(self._decoded)

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, or all; none at the end of the body, and only there.

        Raises:
            RequestTooSlowError: the deadline of the request has passed.
            RequestTooLargeError: the framing of the chunks exceeds its limit.
            MalformedRequestError: the chunks are malformed, the body ended early, or reading failed before.
        """
        if size is None or size < 0:
            return self.readall()
        if self.failed:
            raise MalformedRequestError("the body was read again after an error")
        self.failed = True
        try:
            data = self._read_chunks(self._chunks, size) if self._chunks else self._read_sized(size)
        except TimeoutError as error:
            raise RequestTooSlowError("the body") from error
        except OSError as error:
            raise MalformedRequestError(type(error).__name__) from error
        except HttpParserError as error:
            raise MalformedRequestError(parser_detail(error)) from error
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

    def _read_sized(self, size: int) -> bytes:
        wanted = min(size, self._missing_bytes)
        data = self._receive(wanted) if wanted else b""
        self._missing_bytes -= len(data)
        return data

    def _read_chunks(self, chunks: ChunkDecoder, size: int) -> bytes:
        while not self._decoded and not chunks.is_complete:
            self._decode(chunks)
        data, self._decoded = self._decoded[:size], self._decoded[size:]
        return data

    def _decode(self, chunks: ChunkDecoder) -> None:
        data = self._receive(CHUNKED_READ_SIZE)
        rest = chunks.feed(data)
        self._connection.unread(rest)
        self._decoded = chunks.take_content()
        self._content_bytes += len(self._decoded)
        self._framing_bytes += len(data) - len(rest) - len(self._decoded)
        if self._framing_bytes > MAX_FRAMING_BYTES + self._content_bytes // FRAMING_SHARE:
            raise RequestTooLargeError("the framing of its chunks")

    def _receive(self, size: int) -> bytes:
        if data := self._connection.receive(size):
            return data
        raise MalformedRequestError("the body is shorter than announced")
