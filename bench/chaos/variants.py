"""The forms in which one message may come: all of them are the same message, and must count once. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

# Members at the top level that count attempts, in lower case: they differ between two attempts.
COUNTERS = ("callbackcount", "maxcallbackthreshold")
# Most messages come as the provider's documentation shows them.
ODD_ONE_IN = 5


@dataclass(frozen=True)
class Form:
    """A body and its Content-Type."""

    body: bytes
    content_type: str = "application/json"


def _plain(message: Mapping[str, Any], attempt: int) -> Form:
    return Form(json.dumps(message).encode())


def _counted(message: Mapping[str, Any], attempt: int) -> Form:
    return _plain({**message, "callbackCount": attempt, "maxCallbackThreshold": 4}, attempt)


def _counted_otherwise(message: Mapping[str, Any], attempt: int) -> Form:
    return _plain({"MaxCallbackThreshold": "4", **message, "CALLBACKCOUNT": str(attempt)}, attempt)


def _utf_16(message: Mapping[str, Any], attempt: int) -> Form:
    return Form(json.dumps(message).encode("utf-16"))


def _with_mark(message: Mapping[str, Any], attempt: int) -> Form:
    return Form(json.dumps(message).encode("utf-8-sig"))


def _raw_controls(message: Mapping[str, Any], attempt: int) -> Form:
    return Form(json.dumps(message, ensure_ascii=False).replace("\\n", "\n").encode())


def _latin_1(message: Mapping[str, Any], attempt: int) -> Form:
    body = json.dumps(message, ensure_ascii=False).encode("latin-1")
    return Form(body, "application/json; charset=iso-8859-1")


ODD: tuple[Callable[[Mapping[str, Any], int], Form], ...] = (
    _counted,
    _counted_otherwise,
    _utf_16,
    _with_mark,
    _raw_controls,
    _latin_1,
)


def choose(message: Mapping[str, Any], attempt: int, chance: Random) -> Form:
    """A form for an attempt, the first of which is 1."""
    odd = chance.randrange(ODD_ONE_IN) == 0
    return (chance.choice(ODD) if odd else _plain)(message, attempt)


def without_counters(content: Mapping[str, Any]) -> dict[str, Any]:
    """What all attempts to deliver a message have in common."""
    return {name: value for name, value in content.items() if name.lower() not in COUNTERS}
