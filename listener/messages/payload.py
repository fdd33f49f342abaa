"""From the bytes of a delivery to its payload, a JSON object within limits, and back. Pure."""

import json
import unicodedata
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, NoReturn

import orjson

from listener.errors import AmbiguousError, CompressedError, NotAnObjectError, NotJsonError
from listener.messages.decoding import decode
from listener.messages.kinds import ENVELOPE_NAMES

CREDENTIALS = ("username", "password")
# How often ThingSpace has tried to deliver a message, and how often it will try, in lower case.
ATTEMPT_COUNTERS = ("callbackcount", "maxcallbackthreshold")
LONGEST_SPECIAL_NAME = max(map(len, (*CREDENTIALS, *ATTEMPT_COUNTERS)))
DECISIVE = ("type", "accountName", *CREDENTIALS)
# The least that a common JSON reader takes without being told: a consumer's may be that one.
DEEPEST = 64
INFINITIES = (float("inf"), -float("inf"))
# Far more than any number means; the time that Python takes over one grows with their square.
MOST_DIGITS = 1000
# What orjson does not write, or not so: integers beyond 64 bits, and doubles, on whose form ids depend.
PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
CANONICAL = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)
# One level deeper, and one level back, as signed bytes.
DEEPER = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")
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
        value, repeated = _read(text)
        # Not even all of its brackets, one in the other, would be too deep.
        if text.count("[") + text.count("{") > DEEPEST:
            _check_depth(text)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(type(error).__name__) from error
    if not isinstance(value, dict):
        raise NotAnObjectError
    if len(repeated) > len(value):
        _refuse_ambiguous(value, repeated)
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
    if payload.keys() <= ENVELOPE_NAMES:
        return payload
    return _without(ATTEMPT_COUNTERS, payload)


def _without(names: tuple[str, ...], payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in payload.items()
        if name in ENVELOPE_NAMES or _plain(name) not in names
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

    # Without a dictionary the garbage collector does not look at it.
    __slots__ = ()


def _plain(name: str) -> str:
    name = name.strip()
    # Letters that are held to be the same are as many. To normalize takes time with the square of the
    # length: hours for a name that is made for it.
    if name.isascii() or len(name) > LONGEST_SPECIAL_NAME:
        return name.lower()
    return unicodedata.normalize("NFKC", name).casefold()


class _Reader:
    """Reads one JSON text at a time."""

    def __init__(self) -> None:
        self._members: list[tuple[str, Any]] = []
        # A call for each of two million integers takes a quarter of a second.
        self._usual, self._careful = (self._decoder(parse_int) for parse_int in (int, _whole))

    def read(self, text: str) -> tuple[Any, list[tuple[str, Any]]]:
        """Returns the value, and if it is an object all its members as they came, repeated ones included.

        Raises:
            ValueError, RecursionError: the text is not JSON, or has what is not read here.
        """
        decoder = self._careful if _has_long_number(text) else self._usual
        try:
            return decoder.decode(text), self._members
        finally:
            self._members = []

    def _object(self, members: list[tuple[str, Any]]) -> dict[str, Any]:
        # The outermost object comes last.
        self._members = members
        return dict(members)

    def _decoder(self, parse_int: Callable[[str], int]) -> json.JSONDecoder:
        return json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=parse_int,
            # Control characters inside texts mean themselves: line breaks and tabs come unescaped.
            strict=False,
        )


# Those that no thread is using: making one takes as long as reading a message.
_readers: list[_Reader] = []


def _read(text: str) -> tuple[Any, list[tuple[str, Any]]]:
    try:
        reader = _readers.pop()
    except IndexError:
        reader = _Reader()
    try:
        return reader.read(text)
    finally:
        _readers.append(reader)


def _has_long_number(text: str) -> bool:
    """Whether there may be a number of more than `MOST_DIGITS` digits: one fills a half of that somewhere."""
    half = MOST_DIGITS // 2
    return len(text) > MOST_DIGITS and any(
        text[at : at + half].isdecimal() for at in range(0, len(text), half)
    )


def _refuse_ambiguous(value: dict[str, Any], members: list[tuple[str, Any]]) -> None:
    # True equals 1 in Python, and 1.0 does as well: as they are written they differ.
    last = {name: repr(value[name]) for name in DECISIVE if name in value}
    for name, earlier in members:
        if name in last and repr(earlier) != last[name]:
            raise AmbiguousError(name)


def _check_depth(text: str) -> None:
    """Raises ValueError if valid JSON is nested too deep: a walk through its values would take ten times as long."""
    unescaped = text.replace(r"\\", "").replace(r"\"", "")
    outside = "".join(unescaped.split('"')[::2])
    brackets = outside.encode().translate(DEEPER, NO_BRACKETS)
    if max(accumulate(memoryview(brackets).cast("b")), default=0) > DEEPEST:
        raise ValueError("nested too deep")


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("number too long")
    return int(text)


def _finite(text: str) -> Double:
    if len(text) > MOST_DIGITS:
        raise ValueError("number too long")
    number = Double(text)
    if number in INFINITIES:
        raise ValueError("number out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
