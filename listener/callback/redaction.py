"""Takes the credentials out of a body that could not be read. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote, quote_plus

from listener.messages.decoding import charset_of, decode
from listener.messages.payload import COMPRESSED
from listener.messages.raw_search import MAX_LEVELS, possible_values
from listener.settings.secret import Secret


def redact_raw(body: bytes, secrets: Iterable[Secret] = (), content_type: str = "") -> str:
    """A refused body as text, without the values of `username` and `password` members.

    For bodies that could not be parsed, so it looks for what resembles such a member, and for the
    secrets that are known, as they are and as JSON, forms and other charsets have them. Bytes that are
    not of the encoding that JSON would have here show as backslash escapes; JSON's escapes of letters
    show as letters; NULs are left out. Of what is compressed nothing is shown, since a password could
    be unpacked from it again, and nothing either where a secret still stands in what would be shown.
    """
    if body.startswith(COMPRESSED):
        return ""
    secrets = list(secrets)
    # The longest first, so that one that contains another goes whole.
    forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
    redacted = _redact_as_read(_blot_out(body, forms, content_type), forms, content_type)
    if "\0" in redacted:
        # Of wide characters in an encoding that was not recognised.
        redacted = _redact(redacted.replace("\0", ""), forms)
    left = possible_values(redacted.encode(errors="replace"))
    return "***" if any(secret.reveal() in left for secret in secrets) else redacted


def _blot_out(body: bytes, forms: Iterable[str], content_type: str) -> bytes:
    """The body without the bytes that known secrets have in some charset, however it will be read."""
    charsets = {*_CHARSETS, charset_of(content_type) or "utf-8"}
    patterns = {}
    for form in forms:
        for charset in charsets:
            try:
                patterns[form.encode(charset)] = "***".encode(charset)
            except UnicodeEncodeError:
                # Then it cannot stand there in that charset.
                continue
    for pattern in sorted(patterns, key=len, reverse=True):
        body = body.replace(pattern, patterns[pattern])
    return body


def _redact_as_read(body: bytes, forms: Iterable[str], content_type: str) -> str:
    text = body.decode("utf-8-sig", errors="backslashreplace")
    redacted = _redact(text, forms)
    # Its first bytes, or a label, alone make nothing else of a body in which credentials are found
    # without that: read so they would look like nothing, and could be read again.
    if redacted != text or (_is_utf_8(body) and "\0" not in text[:4]):
        return redacted
    try:
        return _redact(decode(body, content_type), forms)
    except UnicodeDecodeError:
        encoding = json.detect_encoding(body).replace("utf-8-sig", "utf-8")
        return _redact(body.decode(encoding, errors="backslashreplace"), forms)


_CHARSETS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "latin-1", "cp1252")
_HEX = re.compile("%[0-9A-F]{2}")
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
    """How a secret may be written in a text.

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
        yield _HEX.sub(lambda found: found[0].lower(), quoted)
    yield escape(plain)


def _is_utf_8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _redact(text: str, forms: Iterable[str]) -> str:
    text = _ESCAPED_LETTER.sub(_unescaped, text)
    for form in forms:
        text = text.replace(form, "***")
    return _CREDENTIAL_MEMBER.sub(r'\1"***"', text)


def _unescaped(found: re.Match[str]) -> str:
    letter = chr(int(found[1], 16))
    # These two would change the structure in which credentials are looked for, and half a pair is none.
    return letter if letter.isprintable() and letter not in '"\\' else found[0]
