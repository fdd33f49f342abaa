"""Takes the credentials out of a body that could not be read. Pure."""

import json
import re
from collections.abc import Iterable

from listener.payload import COMPRESSED
from listener.secret import Secret


def redact_raw(body: bytes, secrets: Iterable[Secret] = ()) -> str:
    """A refused body as text, without the values of `username` and `password` members.

    For bodies that could not be parsed, so it looks for what resembles such a member, and for the
    secrets that are known, as they are and as JSON has them. Bytes that are not of the encoding that
    JSON would have here show as backslash escapes; JSON's escapes of plain letters show as letters. Of
    what is compressed nothing is shown: a password could be unpacked from it again.
    """
    if body.startswith(COMPRESSED):
        return ""
    text = body.decode(json.detect_encoding(body), errors="backslashreplace")
    text = _ESCAPED_LETTER.sub(_unescaped, text)
    for secret in secrets:
        plain = secret.reveal()
        for form in (plain, json.dumps(plain)[1:-1], json.dumps(json.dumps(plain))[3:-3]):
            text = text.replace(form, "***")
    return _CREDENTIAL_MEMBER.sub(r'\1"***"', text)


# As in "p\\u0061ssword", however often escaped.
_ESCAPED_LETTER = re.compile(r"(?<!\\)\\++u00([2-7][0-9a-fA-F])")

# A name, quoted in whatever way, what separates it, and a value: quoted, or up to the next separator.
# JSON within JSON has 1, 3 or 7 backslashes; without a bound, many of them would take very long.
_CREDENTIAL_MEMBER = re.compile(
    r"""(?isx) ( (?:username|password) \\* ["']? \s* [:=>] \s* )
        ( (\\{0,7}") .*? (?:\3|$) | '[^']*'? | \[ [^\]]* \]? | \{ [^}]* \}? | [^\s,}&<]+ )""",
)


def _unescaped(found: re.Match[str]) -> str:
    letter = chr(int(found[1], 16))
    # These two would change the structure in which credentials are looked for.
    return found[0] if letter in '"\\' else letter
