"""From the bytes of a delivery to its payload, a JSON object, and back; credentials are removed. Pure."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

import orjson

from listener.errors import AmbiguousError, CompressedError, NotAnObjectError, NotJsonError
from listener.messages import json_reader
from listener.messages.decoding import decode
from listener.messages.kinds import ENVELOPE_NAMES

CREDENTIALS = ("username", "password")
# How often ThingSpace has tried to deliver a message, and how often it will try, in lower case.
ATTEMPT_COUNTERS = ("callbackcount", "maxcallbackthreshold")
MAX_REMOVED_NAME_CHARS = max(map(len, (*CREDENTIALS, *ATTEMPT_COUNTERS)))
DECISIVE = ("type", "accountName", *CREDENTIALS)
"""The members that decide who sent a message and what it is."""

# gzip, zlib at its levels, Zstandard, bzip2, xz and zip begin so; no JSON does.
COMPRESSED = (
    *(b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd"),
    *(b"BZh", b"\xfd7zXZ", b"PK\x03\x04"),
)
# Write what orjson does not write, or not in this form: integers beyond 64 bits, and doubles, on whose form ids
# depend.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_CANONICAL_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def parse(body: bytes, content_type: str = "") -> dict[str, Any]:
    """The JSON object in a request's body, read leniently where that changes no content.

    It may be in any charset that is named (see `decoding.decode`), have control characters in strings,
    and half a surrogate pair, which is read as U+FFFD. Whatever needs a guess is refused: text in an
    unnamed charset, several objects, an object in a list or a string.

    Integers keep all their digits (an ICCID has 20, more than a double or 64 bits hold); other
    numbers become doubles. Of a repeated name the last value counts, here and for every check and
    consumer after it.

    Raises:
        RefusalError: `not-json` (also for the limits of `json_reader.read`), `not-an-object`, or
            `ambiguous`: one of `DECISIVE` is repeated at the top level with different values.
    """
    try:
        value, members = json_reader.read(decode(body, content_type))
    except (ValueError, RecursionError) as error:
        raise NotJsonError(type(error).__name__) from error
    if not isinstance(value, dict):
        raise NotAnObjectError
    if len(members) > len(value):
        _refuse_ambiguous(value, members)
    return value


def check_encoding(body: bytes, *codings: str) -> None:
    """Checks that a body is not compressed: neither as its headers say nor by its first bytes.

    A compressed body is not unpacked: a small one can hold more than a worker's memory.

    Args:
        body: the whole body.
        codings: the values of Content-Encoding and Transfer-Encoding.

    Raises:
        RefusalError: `compressed`.
    """
    named = {coding.strip().lower() for coding in ",".join(codings).split(",")}
    if named - {"", "identity", "chunked"} or body.startswith(COMPRESSED):
        raise CompressedError


def without_credentials(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload without the provider's `username` and `password`.

    The names are removed in any letter case, and in characters that are the same to Unicode, such as
    the long s or wide letters.
    """
    return _without(CREDENTIALS, payload)


def without_counters(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload without the top-level members that count attempts at delivery.

    The names of `ATTEMPT_COUNTERS` are compared as in `without_credentials`. Deeper members of these
    names stay: there they are content.
    """
    if payload.keys() <= ENVELOPE_NAMES:
        return payload
    return _without(ATTEMPT_COUNTERS, payload)


def serialize(content: Mapping[str, Any], *, canonical: bool = False) -> bytes:
    """The content as JSON in UTF-8 without spaces; canonical: names sorted by code point as well.

    Raises:
        RefusalError: `not-json`: nested too deep to write, though not to read.
    """
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS if canonical else None)
    except TypeError:
        # It has one of the rare numbers that orjson does not write.
        pass
    try:
        text = (_CANONICAL_ENCODER if canonical else _ENCODER).encode(content)
    except RecursionError as error:
        raise NotJsonError(type(error).__name__) from error
    return text.encode()


def _without(names: tuple[str, ...], payload: Mapping[str, Any]) -> dict[str, Any]:
    content = dict(payload)
    for name in payload:
        if name not in ENVELOPE_NAMES and _normalized(name) in names:
            del content[name]
    return content


def _normalized(name: str) -> str:
    name = name.strip()
    # Characters that are the same to Unicode are as many. To normalize takes time with the square of the
    # length: hours for a name that is made for it.
    if name.isascii() or len(name) > MAX_REMOVED_NAME_CHARS:
        return name.lower()
    return unicodedata.normalize("NFKC", name).casefold()


def _refuse_ambiguous(value: dict[str, Any], members: json_reader.Members) -> None:
    # True equals 1 in Python, and 1.0 does as well: as they are written they differ.
    last = {name: repr(value[name]) for name in DECISIVE if name in value}
    for name, earlier in members:
        if name in last and repr(earlier) != last[name]:
            raise AmbiguousError(name)
