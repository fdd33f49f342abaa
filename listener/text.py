"""Makes untrusted text printable: no control characters, bounded in length. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

# All of ASCII but its control characters is printable; of the rest `str.isprintable` decides.
UNUSUAL = re.compile(r"[^ -~]")


def clean(text: object) -> str:
    """A text for a terminal: nothing in it can move the cursor, change colours or hide text."""
    return UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else " ", str(text))


def escaped(text: object) -> str:
    r"""Likewise, but nothing is lost: what is not printable stands as `\u…`, as in JSON."""

    def escape(found: re.Match[str]) -> str:
        letter = found[0]
        return letter if letter.isprintable() else json.dumps(letter)[1:-1]

    return UNUSUAL.sub(escape, str(text))


def cut(text: object, most: int) -> str:
    """At most so many letters, of which the last is an ellipsis where some are missing."""
    # What is cut off is not looked at: it may be megabytes.
    short = clean(str(text)[: most + 1])
    return short if len(short) <= most else f"{short[: most - 1]}\N{HORIZONTAL ELLIPSIS}"


def counted(number: object, noun: str) -> str:
    """`1 message`, `2 messages`, `10000+ messages`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def json_line(content: Mapping[str, Any]) -> str:
    """One line of JSON, fit for a terminal as well."""
    return escaped(json.dumps(content, ensure_ascii=False))
