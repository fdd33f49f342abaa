"""Requests read by gunicorn's parser, with a short way for heads that are plainly right.

gunicorn's parser is written in Python and takes every head apart step by step, which was a tenth of a message's time.
Nearly all senders write heads in which there is nothing to decide; one regular expression tells those. Everything else
is gunicorn's to accept or to refuse, so that with the settings of `gunicorn.conf.py`, by which nobody in front sets the
scheme, what is accepted is the same (tests/unit/test_listener_head.py compares the two).
"""

import re
from typing import Any

from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

# Shorter than any limit on a line, and than what one reading of the socket brings: no further bound is needed.
LONGEST = 4000
MOST_FIELDS = 50
# Quantifiers with a plus give nothing back: a head that does not match is told so in one pass.
PLAIN = re.compile(
    rb"(GET|POST) ((?:/[A-Za-z0-9._~-]++)+) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]++:[\t\x20-\x7e\x80-\xff]*+\r\n){0,%d}+)\r\n" % MOST_FIELDS
)
# To this one gunicorn has more to say than whether it is right.
SPECIAL = "EXPECT"


class PlainFirst(Request):  # type: ignore[misc]  # gunicorn has no type information
    """gunicorn's request, whose head is taken the short way where it can be."""

    def parse(self, unreader: Any) -> bytes:
        """Reads a head; called by gunicorn.

        Returns:
            What was read beyond it.
        """
        data: bytes = unreader.read()
        if not data:
            raise StopIteration
        found = PLAIN.match(data, 0, LONGEST)
        headers = _headers(found[3]) if found else None
        if not found or headers is None:
            unreader.unread(data)
            rest: bytes = super().parse(unreader)
            return rest
        self.method = found[1].decode()
        self.uri = self.path = found[2].decode()
        self.query = self.fragment = ""
        self.version = (1, 1)
        self.headers = headers
        return data[found.end() :]


def _headers(lines: bytes) -> list[tuple[str, str]] | None:
    """Names, in capitals, and values; None if a name comes twice or is special."""
    parted = [line.split(":", 1) for line in lines.decode("latin-1").split("\r\n")[:-1]]
    headers = [(name.upper(), value.strip(" \t")) for name, value in parted]
    names = {name for name, _ in headers}
    if len(names) < len(headers) or SPECIAL in names:
        return None
    return headers


class Parser(RequestParser):  # type: ignore[misc]
    """Reads one request after the other from a connection."""

    mesg_class = PlainFirst
