"""Decodes a chunked body by llhttp, and finds its end to the byte."""

from httptools import HttpRequestParser

from listener.errors import MalformedRequestError

# Makes llhttp expect chunks, whatever the request's own head was: an upgrade would end its work.
HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
MAX_TRAILERS = 100
MAX_TRAILER_BYTES = 8190
# RFC 9110 section 6.5.1: fields of framing, routing and authentication. llhttp refuses those of framing itself.
NO_TRAILERS = frozenset({b"host", b"trailer", b"authorization", b"te"})


class ChunkDecoder:
    """Pure: takes what was received, and gives the content."""

    def __init__(self) -> None:
        # Apart, because the parser refers to them, and a cycle would await a collection.
        self._events = _BodyEvents()
        self._parser = HttpRequestParser(self._events)
        self._parser.feed_data(HEAD)
        self._events.trailers = 0
        # Of the current chunk's content and its line break: they are passed over unsearched.
        self._content_left = 0
        self._line = bytearray()

    @property
    def is_complete(self) -> bool:
        """Whether the body has ended, with its trailers."""
        return self._events.is_complete

    def take_content(self) -> bytes:
        """The content decoded since the last call."""
        content = b"".join(self._events.content)
        self._events.content.clear()
        return content

    def feed(self, data: bytes) -> bytes:
        """Decodes what was received; what follows the body's end is returned.

        httptools does not say where in its input a body ends. It always ends with a line, so llhttp gets the
        input up to each line's end, and is asked. No line is looked for in a chunk's content, so every step
        takes at least one byte of framing, whose bytes `RequestBody` limits.

        Raises:
            HttpParserError: the chunks are malformed, or a trailer is refused.
        """
        start = 0
        while start < len(data) and not self.is_complete:
            line_start = min(start + self._content_left, len(data))
            end = data.find(b"\n", line_start) + 1 or len(data)
            self._content_left -= line_start - start
            self._line += data[line_start:end]
            self._parser.feed_data(data[start:end])
            if self._events.chunk_started:
                self._start_chunk()
            start = end
        return data[start:]

    def _start_chunk(self) -> None:
        """Called after a size line: llhttp has checked it, and does not say what number it read."""
        self._events.chunk_started = False
        size = int(self._line.partition(b";")[0], 16)
        self._line.clear()
        self._content_left = size + len(b"\r\n") if size else 0


class _BodyEvents:
    """Collects what llhttp finds in a body; httptools calls the methods `on_…`."""

    def __init__(self) -> None:
        self.content: list[bytes] = []
        self.trailers = 0
        self.chunk_started = False
        self.is_complete = False

    def on_chunk_header(self) -> None:
        self.chunk_started = True

    def on_body(self, part: bytes) -> None:
        self.content.append(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A trailer: checked, and dropped."""
        self.trailers += 1
        if self.trailers > MAX_TRAILERS or len(name) + len(value) > MAX_TRAILER_BYTES:
            raise MalformedRequestError("too many or too long trailers")
        if name.lower() in NO_TRAILERS:
            raise MalformedRequestError("a field that may not be a trailer")

    def on_message_complete(self) -> None:
        self.is_complete = True
