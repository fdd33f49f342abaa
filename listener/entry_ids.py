"""Ids of stream entries, `<milliseconds>-<number>`: how they are written, compared and counted down. Pure."""

import re

MAX_PART = 2**64 - 1
FIRST = "0-0"
"""Before every entry."""
LAST = f"{MAX_PART}-{MAX_PART}"
"""The greatest id: a stream that has it takes no further entry."""
PATTERN = re.compile(r"([0-9]+)(?:-([0-9]+))?")
"""An id as a person writes it: the number may be missing. It does not bound the parts."""


def parse(entry_id: str) -> tuple[int, int]:
    """The time in milliseconds and the number: what entry ids are compared by."""
    time_ms, _, number = entry_id.partition("-")
    return int(time_ms), int(number or 0)


def predecessor(entry_id: str) -> str:
    """The next smaller id: Redis reads what comes after an id."""
    time_ms, number = parse(entry_id)
    if number:
        return f"{time_ms}-{number - 1}"
    return f"{time_ms - 1}-{MAX_PART}" if time_ms else FIRST
