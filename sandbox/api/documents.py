"""A reply's JSON, piece by piece: its lists may be iterators, so that a million devices are never held at once."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from flask import Response

from sandbox.replies import Reply

ITEMS_A_PIECE = 500
PIECE_BYTES = 65_536


def response(document: Any) -> Response:
    """A document as Flask's response; it is encoded while it is sent."""
    return Response(buffered(pieces(document)), content_type=Reply(200).content_type)


def pieces(value: Any) -> Iterator[str]:
    """The JSON of a value, in which iterators are lists."""
    if isinstance(value, dict):
        yield from _object(value)
    elif isinstance(value, Iterator):
        yield from _list(value)
    else:
        yield json.dumps(value)


def buffered(texts: Iterable[str]) -> Iterator[bytes]:
    """Joins short texts, because each piece costs a call of the socket."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= PIECE_BYTES:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    yield "".join(waiting).encode()


def _object(value: dict[str, Any]) -> Iterator[str]:
    before = "{"
    for name, member in value.items():
        yield f"{before}{json.dumps(name)}: "
        yield from pieces(member)
        before = ", "
    yield "{}" if before == "{" else "}"


def _list(items: Iterator[Any]) -> Iterator[str]:
    before = "["
    while some := list(islice(items, ITEMS_A_PIECE)):
        if any(_is_nested(item) for item in some):
            for item in some:
                yield before
                yield from pieces(item)
                before = ", "
        else:
            yield f"{before}{json.dumps(some)[1:-1]}"
            before = ", "
    yield "[]" if before == "[" else "]"


def _is_nested(item: Any) -> bool:
    return isinstance(item, dict) and any(isinstance(each, Iterator) for each in item.values())
