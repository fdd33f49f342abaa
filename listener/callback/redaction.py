"""Removes the credentials from a body that could not be parsed. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote, quote_plus

from listener.messages.decoding import charset_of, decode
from listener.messages.payload import COMPRESSED
from listener.messages.raw_search import MAX_LEVELS, possible_values
from listener.settings.secret import Secret

CHARSETS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "latin-1", "cp1252")
PERCENT_ESCAPE = re.compile("%[0-9A-F]{2}")
# As in "p\\u0061ssword", however often escaped.
ESCAPED_LETTER = re.compile(r"(?<!\\)\\++u([0-9a-fA-F]{4})")

# A name, quoted in any way, its separator, and a value: quoted, or up to the next separator. JSON within JSON
# has 1, 3 or 7 backslashes; unbounded, many of them would take very long. A quotation mark with more
# backslashes than the first one has is part of the value.
CREDENTIAL_MEMBER = re.compile(
    r"""(?isx) ( (?:username|password) \s*+ \\*+ ["']? \s*+ [:=>] \s*+ )
        ( (\\{0,7}") .*? (?:(?<!\\)\3|$) | '[^']*'? | \[ [^\]]* \]? | \{ [^}]* \}? | [^\s,}&<]+ )""",
)


def redact_raw(body: bytes, secrets: Iterable[Secret] = (), content_type: str = "") -> str:
    """A refused body as text, without the values of `username` and `password` members.

    The body could not be parsed, so text that resembles such a member is replaced, and so are the known
    secrets, as they are and as JSON, forms and other charsets spell them. Bytes outside the encoding
    that JSON would have here become backslash escapes, JSON's escapes of letters become letters, NULs are
    removed. The result is empty for a compressed body, since a password could be unpacked from it,
    and `***` where a secret would still be in the text.
    """
    if body.startswith(COMPRESSED):
        return ""
    secrets = list(secrets)
    # The longest first, so that one that contains another is replaced whole.
    spellings = sorted(
        {spelling for secret in secrets for spelling in _spellings(secret)}, key=len, reverse=True
    )
    redacted = _decode_and_redact(
        _without_secret_bytes(body, spellings, content_type), spellings, content_type
    )
    if "\0" in redacted:
        # The body has wide characters in an encoding that was not recognised.
        redacted = _redact(redacted.replace("\0", ""), spellings)
    left = possible_values(redacted.encode(errors="replace"))
    return "***" if any(secret.reveal() in left for secret in secrets) else redacted


def _without_secret_bytes(body: bytes, spellings: Iterable[str], content_type: str) -> bytes:
    """The body without the bytes of known secrets in any charset, however it will be decoded."""
    charsets = {*CHARSETS, charset_of(content_type) or "utf-8"}
    patterns = {}
    for spelling in spellings:
        for charset in charsets:
            try:
                patterns[spelling.encode(charset)] = "***".encode(charset)
            except UnicodeEncodeError:
                # The secret cannot be in the body in this charset.
                continue
    for pattern in sorted(patterns, key=len, reverse=True):
        body = body.replace(pattern, patterns[pattern])
    return body


def _decode_and_redact(body: bytes, spellings: Iterable[str], content_type: str) -> str:
    text = body.decode("utf-8-sig", errors="backslashreplace")
    redacted = _redact(text, spellings)
    # A byte order mark or a charset label must not hide credentials that are found in plain UTF-8: decoded as
    # labelled they would not be recognised, and a reader could decode them again.
    if redacted != text or (_is_utf_8(body) and "\0" not in text[:4]):
        return redacted
    try:
        return _redact(decode(body, content_type), spellings)
    except UnicodeDecodeError:
        encoding = json.detect_encoding(body).replace("utf-8-sig", "utf-8")
        return _redact(body.decode(encoding, errors="backslashreplace"), spellings)


def _spellings(secret: Secret) -> Iterator[str]:
    """The ways in which a secret may be written in a text.

    As it is; as JSON has it, with or without an escaped slash, and within JSON within JSON; as a form or
    XML has it.
    """
    plain = secret.reveal()
    yield plain
    for ascii_only in (True, False):
        escaped = plain
        for _ in range(MAX_LEVELS):
            escaped = json.dumps(escaped, ensure_ascii=ascii_only)[1:-1]
            yield escaped
            yield escaped.replace("/", r"\/")
    for quoted in (quote(plain, safe=""), quote_plus(plain)):
        yield quoted
        yield PERCENT_ESCAPE.sub(lambda match: match[0].lower(), quoted)
    yield escape(plain)


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _redact(text: str, spellings: Iterable[str]) -> str:
    text = ESCAPED_LETTER.sub(_unescaped, text)
    for spelling in spellings:
        text = text.replace(spelling, "***")
    return CREDENTIAL_MEMBER.sub(r'\1"***"', text)


def _unescaped(match: re.Match[str]) -> str:
    letter = chr(int(match[1], 16))
    # A quotation mark or a backslash would change the structure that is searched; half a surrogate is no letter.
    return letter if letter.isprintable() and letter not in '"\\' else match[0]
