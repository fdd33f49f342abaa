"""From the bytes of a delivery to its payload, a JSON object within limits, and back. Pure."""

import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson

from listener.errors import AmbiguousError, CompressedError, NotAnObjectError, NotJsonError
from listener.messages.decoding import decode
from listener.thingspace import KINDS

CREDENTIALS = ("username", "password")
# How often ThingSpace has tried to deliver a message, and how often it will try, in lower case.
ATTEMPT_COUNTERS = ("callbackcount", "maxcallbackthreshold")
LONGEST_SPECIAL_NAME = max(map(len, (*CREDENTIALS, *ATTEMPT_COUNTERS)))
DECISIVE = ("type", "accountName", *CREDENTIALS)
# Members that most messages have; all others are looked at more closely.
HARMLESS = frozenset(("accountName", "participantName", "type", *KINDS))
# The least that a common JSON reader takes without being told: a consumer's may be that one.
DEEPEST = 64
# Far more than any number means; the time that Python takes over one grows with their square.
MOST_DIGITS = 1000
# What orjson does not write, or not so: integers beyond 64 bits, and doubles, on whose form ids depend.
PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
CANONICAL = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
# gzip, zlib at its levels, Zstandard, bzip2, xz and zip begin so; no JSON does.
COMPRESSED = (
    *(b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd"),
    *(b"BZh", b"\xfd7zXZ", b"PK\x03\x04"),
)


def parse(body: bytes, content_type: str = "") -> dict[str, Any]:
    """The JSON object in a request's body, read leniently where that changes no content.

    Read are any charset that is named (see `decoding.decode`), control characters inside texts, and
    half a surrogate as U+FFFD. Not read is what would need a guess: text in an unnamed charset, several
    objects, one inside a list or a text.

    Integers keep all their digits (an ICCID has 20, more than a double or 64 bits hold); other
    numbers become doubles. Of a name that comes twice the last value counts, here and for every
    check and consumer after it; where that could hide what decides about the message, at the top
    level, it is refused.

    Raises:
        RefusalError: `not-json` (also NaN, infinities, numbers outside a double's range or longer
            than `MOST_DIGITS`, nesting deeper than `DEEPEST`), `not-an-object`, or
            `ambiguous`: one of `DECISIVE` comes twice with different values.
    """
    try:
        text = decode(body, content_type)
        value = DECODER.decode(text)
        # Not even all of its brackets, one in the other, would be too deep.
        if text.count("[") + text.count("{") > DEEPEST:
            _check_depth(value)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(type(error).__name__) from error
    if not isinstance(value, dict):
        raise NotAnObjectError
    if isinstance(value, Repeating):
        _refuse_ambiguous(value)
    return value


def check_encoding(body: bytes, *codings: str) -> None:
    """Checks that a body is not compressed: neither as its headers say nor by its first bytes.

    A compressed body is not unpacked: a small one can hold more than a worker's memory.

    Args:
        body: the whole of it.
        codings: the values of Content-Encoding and Transfer-Encoding.

    Raises:
        RefusalError: `compressed`.
    """
    named = {coding.strip().lower() for coding in ",".join(codings).split(",")}
    if named - {"", "identity", "chunked"} or body.startswith(COMPRESSED):
        raise CompressedError


def without_credentials(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload without the provider's `username` and `password`.

    In any letter case, and in letters that Unicode holds to be the same, such as the long s or wide
    ones.
    """
    return _without(CREDENTIALS, payload)


def without_counters(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The payload without the top-level members that count attempts at delivery.

    The same names as in `ATTEMPT_COUNTERS` by the rule of `without_credentials`. What stands deeper
    stays: there it is content.
    """
    if payload.keys() <= HARMLESS:
        return payload
    return _without(ATTEMPT_COUNTERS, payload)


def _without(names: tuple[str, ...], payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in payload.items()
        if name in HARMLESS or _plain(name) not in names
    }


def serialize(content: Mapping[str, Any], *, canonical: bool = False) -> bytes:
    """The content as JSON in UTF-8 without spaces; canonical: names sorted by code point as well.

    Raises:
        RefusalError: `not-json`, nested too deep to write, though not to read.
    """
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS if canonical else None)
    except TypeError:
        # One of the rare ones.
        pass
    try:
        text = (CANONICAL if canonical else PLAIN).encode(content)
    except RecursionError as error:
        raise NotJsonError(type(error).__name__) from error
    return text.encode()


class Double(float):
    """A number that `serialize` leaves to the standard library: orjson would write `1e+16` as `1e16`."""


def _plain(name: str) -> str:
    name = name.strip()
    # Letters that are held to be the same are as many. To normalize takes time with the square of the
    # length: hours for a name that is made for it.
    if name.isascii() or len(name) > LONGEST_SPECIAL_NAME:
        return name.lower()
    return unicodedata.normalize("NFKC", name).casefold()


class Repeating(dict[str, Any]):
    """An object in which a name comes more than once: the last values, and all `members` as they came."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        self.members = members


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    return found if len(found) == len(members) else Repeating(members)


def _refuse_ambiguous(value: Repeating) -> None:
    # True equals 1 in Python, and 1.0 does as well: as they are written they differ.
    last = {name: repr(value[name]) for name in DECISIVE if name in value}
    for name, earlier in value.members:
        if name in last and repr(earlier) != last[name]:
            raise AmbiguousError(name)


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        inner = (node.values() if isinstance(node, dict) else node for node in level)
        level = [child for node in inner for child in node if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError("nested too deep")


def _whole(text: str) -> int:
    _check_digits(text)
    return int(text)


def _check_digits(text: str) -> None:
    if len(text) > MOST_DIGITS:
        raise ValueError("number too long")


def _finite(text: str) -> Double:
    _check_digits(text)
    number = Double(text)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_refuse_constant,
    parse_float=_finite,
    parse_int=_whole,
    # Control characters inside texts mean themselves: line breaks and tabs come unescaped.
    strict=False,
)
