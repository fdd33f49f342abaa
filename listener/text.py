"""Makes untrusted text printable: no control characters, bounded in length. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

# ASCII without its control characters is printable; for any other letter `str.isprintable` decides.
NOT_PLAIN = re.compile(r"[^ -~]")


def clean(text: object) -> str:
    """A text for a terminal: nothing in it can move the cursor, change colours or hide text."""
    return NOT_PLAIN.sub(lambda match: match[0] if match[0].isprintable() else " ", str(text))


def escape(text: object) -> str:
    r"""A text for a terminal that loses nothing: what is not printable stands as `\u…`, as in JSON."""

    def escape_letter(match: re.Match[str]) -> str:
        letter = match[0]
        return letter if letter.isprintable() else json.dumps(letter)[1:-1]

    return NOT_PLAIN.sub(escape_letter, str(text))


def truncate(text: object, max_length: int) -> str:
    """A text for a terminal of at most `max_length` letters; the last one is an ellipsis if some are missing."""
    # Only the beginning is cleaned, because the text may have megabytes.
    beginning = clean(str(text)[: max_length + 1])
    if len(beginning) <= max_length:
        return beginning
    return f"{beginning[: max_length - 1]}\N{HORIZONTAL ELLIPSIS}"


def counted(number: object, noun: str) -> str:
    """`1 message`, `2 messages`, `10000+ messages`."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def json_line(content: Mapping[str, Any]) -> str:
    """One line of JSON, fit for a terminal as well."""
    return escape(json.dumps(content, ensure_ascii=False))
