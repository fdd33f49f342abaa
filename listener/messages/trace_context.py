"""A header `traceparent` of W3C Trace Context, read strictly. Pure."""

import re

# Version 00 ends with its flags; a later version may add fields, which begin with a dash. ff is no version, and an id
# of zeros is none.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.DOTALL,
)
FORM = r"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"
"""What `parse` returns, as a regular expression of JSON Schema."""
# Sampled, and random: the flags that version 00 defines. Of a later version no other flag is known.
_KNOWN_FLAGS = 0x03


def parse(header: str) -> str | None:
    """The trace context of a header in version 00; None if the header is not well-formed.

    A header of version 00 is returned as it is. One of a later version is written as version 00 with the fields
    that it shares with that, as W3C asks of a reader that knows only version 00. Several headers, which a server
    joins by commas, are not well-formed.
    """
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == "00":
        return None if more else header
    return as_text(int(trace_id, 16), int(parent_id, 16), int(flags, 16) & _KNOWN_FLAGS)


def as_text(trace_id: int, span_id: int, flags: int) -> str:
    """The `traceparent` of version 00 of these ids, which must not be 0."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}"
