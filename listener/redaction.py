"""Takes the credentials out of a body that could not be read. Pure."""

import json
import re
from collections.abc import Iterable, Iterator

from listener.payload import COMPRESSED
from listener.secret import Secret


def redact_raw(body: bytes, secrets: Iterable[Secret] = ()) -> str:
    """A refused body as text, without the values of `username` and `password` members.

    For bodies that could not be parsed, so it looks for what resembles such a member, and for the
    secrets that are known, as they are and as JSON has them. Bytes that are not of the encoding that
    JSON would have here show as backslash escapes; JSON's escapes of letters show as letters. Of what
    is compressed nothing is shown: a password could be unpacked from it again.
    """
    if body.startswith(COMPRESSED):
        return ""
    # The longest first, so that one that contains another goes whole.
    forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
    text = body.decode("utf-8-sig", errors="backslashreplace")
    redacted = _redact(text, forms)
    encoding = json.detect_encoding(body)
    # Its first bytes alone make no UTF-16 of a body in which credentials are found without that: read
    # so they would look like nothing, and could be read again.
    if redacted == text and not encoding.startswith("utf-8"):
        redacted = _redact(body.decode(encoding, errors="backslashreplace"), forms)
    return redacted


# As in "p\\u0061ssword", however often escaped.
_ESCAPED_LETTER = re.compile(r"(?<!\\)\\++u([0-9a-fA-F]{4})")

# A name, quoted in whatever way, what separates it, and a value: quoted, or up to the next separator.
# JSON within JSON has 1, 3 or 7 backslashes; without a bound, many of them would take very long. A
# quotation mark with more backslashes than the first one has is part of the value.
_CREDENTIAL_MEMBER = re.compile(
    r"""(?isx) ( (?:username|password) \s*+ \\*+ ["']? \s*+ [:=>] \s*+ )
        ( (\\{0,7}") .*? (?:(?<!\\)\3|$) | '[^']*'? | \[ [^\]]* \]? | \{ [^}]* \}? | [^\s,}&<]+ )""",
)


def _forms(secret: Secret) -> Iterator[str]:
    """A secret as it is, as JSON has it, with or without an escaped slash, and as JSON within JSON has it."""
    plain = secret.reveal()
    yield plain
    for escaped in (
        json.dumps(plain, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)
    ):
        yield escaped
        yield escaped.replace("/", r"\/")
        yield json.dumps(escaped)[1:-1]


def _redact(text: str, forms: Iterable[str]) -> str:
    text = _ESCAPED_LETTER.sub(_unescaped, text)
    for form in forms:
        text = text.replace(form, "***")
    return _CREDENTIAL_MEMBER.sub(r'\1"***"', text)


def _unescaped(found: re.Match[str]) -> str:
    letter = chr(int(found[1], 16))
    # These two would change the structure in which credentials are looked for, and half a pair is none.
    return letter if letter.isprintable() and letter not in '"\\' else found[0]
