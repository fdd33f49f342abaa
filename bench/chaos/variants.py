"""The variants in which one message may be sent: the service must store it once. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

# Top-level members that count attempts, in lower case: two attempts of one message differ in them.
COUNTERS = ("callbackcount", "maxcallbackthreshold")
# One attempt in five is odd; the others are sent as the provider's documentation shows them.
ODD_ONE_IN = 5


@dataclass(frozen=True)
class Variant:
    """A body and its Content-Type."""

    body: bytes
    content_type: str = "application/json"


def _plain(message: Mapping[str, Any], attempt: int) -> Variant:
    return Variant(json.dumps(message).encode())


def _with_counters(message: Mapping[str, Any], attempt: int) -> Variant:
    return _plain({**message, "callbackCount": attempt, "maxCallbackThreshold": 4}, attempt)


def _with_counters_in_other_case(message: Mapping[str, Any], attempt: int) -> Variant:
    return _plain({"MaxCallbackThreshold": "4", **message, "CALLBACKCOUNT": str(attempt)}, attempt)


def _utf_16(message: Mapping[str, Any], attempt: int) -> Variant:
    return Variant(json.dumps(message).encode("utf-16"))


def _with_byte_order_mark(message: Mapping[str, Any], attempt: int) -> Variant:
    return Variant(json.dumps(message).encode("utf-8-sig"))


def _with_raw_line_breaks(message: Mapping[str, Any], attempt: int) -> Variant:
    return Variant(json.dumps(message, ensure_ascii=False).replace("\\n", "\n").encode())


def _latin_1(message: Mapping[str, Any], attempt: int) -> Variant:
    body = json.dumps(message, ensure_ascii=False).encode("latin-1")
    return Variant(body, "application/json; charset=iso-8859-1")


ODD: tuple[Callable[[Mapping[str, Any], int], Variant], ...] = (
    _with_counters,
    _with_counters_in_other_case,
    _utf_16,
    _with_byte_order_mark,
    _with_raw_line_breaks,
    _latin_1,
)


def choose(message: Mapping[str, Any], attempt: int, rng: Random) -> Variant:
    """A variant for an attempt; the first attempt is 1."""
    is_odd = rng.randrange(ODD_ONE_IN) == 0
    return (rng.choice(ODD) if is_odd else _plain)(message, attempt)


def without_counters(content: Mapping[str, Any]) -> dict[str, Any]:
    """What all attempts of a message have in common."""
    return {name: value for name, value in content.items() if name.lower() not in COUNTERS}
