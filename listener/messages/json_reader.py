"""Reads a JSON text: within limits of depth and of a number's length, and with repeated names noticed. Pure."""

import json
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NoReturn

# The lowest default nesting limit of common JSON parsers, so that any consumer can read what is kept.
MAX_DEPTH = 64
# Far more than any number means; the time that Python takes for one grows with the square of it.
MAX_DIGITS = 1000

Members = list[tuple[str, Any]]
"""The members of an object as they came, with those whose name is repeated."""

_INFINITIES = (float("inf"), -float("inf"))
# One level deeper, and one level back, as signed bytes.
_LEVELS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")


class Double(float):
    """A number that `payload.serialize` leaves to the standard library: orjson would write `1e+16` as `1e16`."""

    # Without a dictionary the garbage collector does not track it.
    __slots__ = ()


def read(text: str) -> tuple[Any, Members]:
    """Reads a text as JSON. Control characters in strings are read as themselves.

    Integers keep all their digits; other numbers become `Double`.

    Returns:
        The value, and if it is an object all its members as they came. Of a repeated name the value
        has the last one.

    Raises:
        ValueError: the text is not JSON, has NaN or an infinity, a number that is outside a double's
            range or longer than `MAX_DIGITS`, or is nested deeper than `MAX_DEPTH`.
        RecursionError: it is nested much deeper.
    """
    try:
        reader = _idle_readers.pop()
    except IndexError:
        reader = _Reader()
    try:
        value, members = reader.read(text)
    finally:
        _idle_readers.append(reader)
    # A text with so few brackets is not too deep even if each stands inside the one before.
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    return value, members


class _Reader:
    """Reads one text at a time."""

    def __init__(self) -> None:
        self._members: Members = []
        # A call for each of two million integers takes a quarter of a second, so that most texts are
        # read without one.
        self._decoder = self._create_decoder(int)
        self._checking_decoder = self._create_decoder(_parse_int)

    def read(self, text: str) -> tuple[Any, Members]:
        decoder = self._checking_decoder if _may_have_long_number(text) else self._decoder
        try:
            return decoder.decode(text), self._members
        finally:
            self._members = []

    def _create_object(self, members: Members) -> dict[str, Any]:
        # The outermost object comes last.
        self._members = members
        return dict(members)

    def _create_decoder(self, parse_int: Callable[[str], int]) -> json.JSONDecoder:
        return json.JSONDecoder(
            object_pairs_hook=self._create_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
            parse_int=parse_int,
            # ThingSpace may send line breaks and tabs unescaped.
            strict=False,
        )


# Readers that no thread is using: to create one takes as long as to read a message.
_idle_readers: list[_Reader] = []


def _may_have_long_number(text: str) -> bool:
    """False if no number has more than `MAX_DIGITS` digits: one that has fills one of these windows."""
    half = MAX_DIGITS // 2
    return len(text) > MAX_DIGITS and any(
        text[at : at + half].isdecimal() for at in range(0, len(text), half)
    )


def _check_depth(text: str) -> None:
    """Raises ValueError if valid JSON is nested too deep. To walk through its values takes ten times as long."""
    unescaped = text.replace(r"\\", "").replace(r"\"", "")
    outside_strings = "".join(unescaped.split('"')[::2])
    brackets = outside_strings.encode().translate(_LEVELS, _NO_BRACKETS)
    if max(accumulate(memoryview(brackets).cast("b")), default=0) > MAX_DEPTH:
        raise ValueError("nested too deep")


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("number too long")
    return int(text)


def _parse_float(text: str) -> Double:
    if len(text) > MAX_DIGITS:
        raise ValueError("number too long")
    number = Double(text)
    if number in _INFINITIES:
        raise ValueError("number out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
