"""Entry ids: `<milliseconds>-<number>`, each half 64 bits wide. Pure."""

GREATEST = 2**64 - 1
FIRST = "0-0"
"""Before every entry."""
LAST = f"{GREATEST}-{GREATEST}"
"""The greatest id: a stream that has it takes no entry any more."""


def order(entry_id: str) -> tuple[int, int]:
    """What entry ids are compared by."""
    time_ms, _, number = entry_id.partition("-")
    return int(time_ms), int(number or 0)


def before(entry_id: str) -> str:
    """The greatest id that is smaller: Redis reads what comes after an id."""
    time_ms, number = order(entry_id)
    if number:
        return f"{time_ms}-{number - 1}"
    return f"{time_ms - 1}-{GREATEST}" if time_ms else FIRST
