"""Chunks are decoded by llhttp, and the body's end is found to the byte."""

from itertools import pairwise
from typing import Any

import pytest
from httptools import HttpParserError, HttpRequestParser

from listener.server import chunk_decoder
from listener.server.chunk_decoder import ChunkDecoder

NEXT = b"GET / HTTP/1.1\r\n\r\n"


def decode(decoder: ChunkDecoder, *pieces: bytes) -> tuple[bytes, bytes]:
    """The content, and what follows the body."""
    content = rest = b""
    for piece in pieces:
        rest += decoder.feed(piece)
        content += decoder.take_content()
    return content, rest


BODIES = [
    (b"2\r\nab\r\n0\r\n\r\n", b"ab"),
    (b"0\r\n\r\n", b""),
    (b"4\r\n\r\n\r\n\r\n000\r\n\r\n", b"\r\n\r\n"),
    (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    (b"00a\r\n\r\n0\r\n\r\n1\r\n\r\n1\r\n\n\r\n000;a=b\r\n\r\n", b"\r\n0\r\n\r\n1\r\n\n"),
    (b"1A\r\n" + b"\n" * 26 + b"\r\n0\r\nX: y\r\n\r\n", b"\n" * 26),
    (b'1;a=b;c="d \\"e";f\r\nx\r\n0;g\r\nX: y\r\nZ: \r\n\r\n', b"x"),
]


@pytest.mark.parametrize(("body", "content"), BODIES)
@pytest.mark.parametrize("following", [b"", NEXT, b"\r\n" + NEXT, b"\x00"])
def test_end_of_the_body_is_found_wherever_the_input_is_cut(
    body: bytes, content: bytes, following: bytes
) -> None:
    sent = body + following
    for cut in range(len(sent) + 1):
        decoder = ChunkDecoder()
        assert decode(decoder, sent[:cut], sent[cut:]) == (content, following)
        assert decoder.is_complete
    decoder = ChunkDecoder()
    cuts = pairwise(range(len(sent) + 1))
    assert decode(decoder, *(sent[start:end] for start, end in cuts)) == (content, following)


def test_body_is_incomplete_until_its_last_byte() -> None:
    for body, _ in BODIES:
        decoder = ChunkDecoder()
        assert decode(decoder, body[:-1])[1] == b""
        assert not decoder.is_complete


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"1 \r\n",
        b"1\nx\n",
        b"1\r\nxy",
        b"1\r\nx\n",
        b"1;\r\n",
        b"1;a\rb\r\n",
        b"f" * 17,
        b"0\r\n x\r\n\r\n",
        b"0\r\nX: a\nY: b\r\n\r\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"0\r\nHost: h\r\n\r\n",
        b"0\r\nX: y\r\nAUTHORIZATION: h\r\n\r\n",
        b"0\r\nte: h\r\nX: y\r\n\r\n",
        b"0\r\nTrailer: X\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"0\r\nX: " + b"y" * 8190 + b"\r\n\r\n",
    ],
)
def test_malformed_chunk_or_trailer_is_refused(sent: bytes) -> None:
    with pytest.raises(HttpParserError):
        decode(ChunkDecoder(), sent)
    decoder = ChunkDecoder()
    with pytest.raises(HttpParserError):
        decode(decoder, *(sent[place : place + 1] for place in range(len(sent))))


def test_hundred_trailers_are_dropped() -> None:
    sent = b"1\r\nx\r\n0\r\n" + b"X: y\r\n" * 100 + b"\r\n"
    assert decode(ChunkDecoder(), sent) == (b"x", b"")


@pytest.mark.parametrize("content", [b"\r\n", b"\n", b"0\r\n\r\n", b"1\r\n\n\r\n", b"x"])
@pytest.mark.parametrize("size", [1, 100, 4096, 2**16])
def test_steps_are_bounded_by_the_framing_whatever_the_content_is(
    content: bytes, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    class CountingParser(HttpRequestParser):
        def feed_data(self, data: Any) -> None:
            nonlocal steps
            steps += 1
            super().feed_data(data)

    monkeypatch.setattr(chunk_decoder, "HttpRequestParser", CountingParser)
    content = (content * 2**16)[: 2**16]
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    pieces = [sent[at : at + 16384] for at in range(0, len(sent), 16384)]
    assert decode(ChunkDecoder(), *pieces) == (content, b"")
    # The decoder's own head; a line for each chunk, and the two at the end; a part of a line for each piece.
    assert steps <= 1 + len(parts) + 2 + len(pieces)
