"""Reads a request's body: the whole of it and nothing more, within its limit."""

from listener.callback.incoming import Incoming
from listener.errors import MalformedRequestError, RequestTooLargeError

READ_SIZE = 64 * 1024


def check_announced_size(incoming: Incoming, limit: int) -> None:
    """Checks a size that the headers announce, before anything is read.

    Raises:
        RefusalError: `too-large`.
    """
    if (incoming.announced or 0) > limit:
        raise RequestTooLargeError


def read(incoming: Incoming, limit: int) -> bytes:
    """The whole body, never more than the limit.

    Werkzeug's own limit would silently cut a chunked body off. The server's stream raises a `RefusalError` for
    a body that is slow, broken, or mostly framing.

    Raises:
        RefusalError: `too-large`, `too-slow`, or `bad-request`: the body ended early or is malformed.
    """
    announced = incoming.announced
    wanted = limit + 1 if announced is None else announced
    content = bytearray()
    while len(content) < wanted:
        part = incoming.body.read(min(READ_SIZE, wanted - len(content)))
        if not part:
            break
        content += part
        if len(content) > limit:
            raise RequestTooLargeError
    if announced is not None and len(content) != announced:
        raise MalformedRequestError("the body is shorter than announced")
    return bytes(content)
