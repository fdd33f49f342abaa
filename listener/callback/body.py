"""Reads a request's body: the whole of it and nothing more, within its limit."""

from gunicorn.http.errors import ParseException

from listener.callback.incoming import Incoming
from listener.errors import MalformedRequestError, RequestTooLargeError, RequestTooSlowError
from listener.server.client_connection import WastefulBodyError

READ_SIZE = 64 * 1024
# What the framing of chunks (sizes, extensions, trailers) may take besides the content: chunks of a hundred bytes
# on average do in a large body, and of one byte in a small one. Taking apart more of it would cost far more than
# the message.
FRAMING_BYTES = 64 * 1024
FRAMING_SHARE = 16
# Between two looks at that.
CHUNKED_READ_SIZE = 16 * 1024


def check_announced_size(incoming: Incoming, limit: int) -> None:
    """Checks a size that the headers announce, before anything is read.

    Raises:
        RefusalError: `too-large`.
    """
    if (incoming.announced or 0) > limit:
        raise RequestTooLargeError


def read(incoming: Incoming, limit: int) -> bytes:
    """The whole body; nothing less, and not more than the limit.

    Werkzeug's own limit would cut a chunked body off at the limit without a word, and gunicorn ends
    the stream of a sender that hung up in the middle as if that were all. Of a chunked body the bytes on the
    wire count as well: `FRAMING_BYTES` and a sixteenth of the content may come on top of it.

    Raises:
        RefusalError: `too-large`, `too-slow`, or `bad-request`: the body is broken off.
    """
    announced = incoming.announced
    found = bytearray()
    try:
        while len(found) != announced:
            wanted = limit + 1 if announced is None else announced
            if announced is None:
                size = min(CHUNKED_READ_SIZE, wanted - len(found))
                content = len(found) + size
                incoming.bound_chunks(content + FRAMING_BYTES + content // FRAMING_SHARE)
            else:
                size = min(READ_SIZE, wanted - len(found))
            part = incoming.body.read(size)
            if not part:
                break
            found += part
            if len(found) > limit:
                raise RequestTooLargeError
    except WastefulBodyError as error:
        raise RequestTooLargeError("the framing of its chunks") from error
    except TimeoutError as error:
        # Of `worker.Connection`, which knows how long the sender has had.
        raise RequestTooSlowError("the body") from error
    except (OSError, ParseException) as error:
        # The connection broke, or gunicorn found the chunks malformed.
        raise MalformedRequestError(type(error).__name__) from error
    if announced is not None and len(found) != announced:
        raise MalformedRequestError("the body is shorter than announced")
    return bytes(found)
