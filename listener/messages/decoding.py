"""From a body's bytes to the JSON text that they mean, whatever charset the sender used. Pure.

JSON between systems is UTF-8 (RFC 8259, section 8.1). Other charsets are read where the bytes or the
Content-Type name them; none is guessed, since a wrong guess would change content.
"""

import json
import re
from encodings import normalize_encoding
from encodings.aliases import aliases

# Roughly what the WHATWG Encoding Standard has, and UTF-32. Left out on purpose: charsets whose bytes are also
# ASCII with another meaning (UTF-7, ISO-2022), and codecs of Python that are no charsets.
_CHARSETS = frozenset(
    (
        *(
            "ascii",
            "latin_1",
            "utf_16",
            "utf_16_le",
            "utf_16_be",
            "utf_32",
            "utf_32_le",
            "utf_32_be",
        ),
        *(f"iso8859_{part}" for part in (*range(2, 12), *range(13, 17))),
        *(f"cp{page}" for page in (866, 874, *range(1250, 1259), 932, 949)),
        *("koi8_r", "koi8_u", "mac_roman", "mac_cyrillic"),
        *("gbk", "gb2312", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
    )
)
# Looked up here and not by Python, which keeps every unknown name that a stranger sends for ever.
_CODECS = {name: name for name in _CHARSETS} | {
    alias: codec for alias, codec in aliases.items() if codec in _CHARSETS
}
_LONGEST_LABEL = 40
_CHARSET_PARAMETER = re.compile(r"""(?i);\s*+charset\s*+=\s*+["']?([^\s;"']++)""")
_PADDING = "\0 \t\r\n"
# The escape of half a surrogate pair, without its other half. The replacement is the same for each, since
# a callback would hold up the worker for a body that consists of them.
_ESCAPED_HALF = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
# Stands for an escaped backslash for a moment; decoded text has no surrogates.
_BACKSLASH = "\ud800"


def charset_of(content_type: str) -> str | None:
    """Python's name of the charset that a Content-Type names; None if it names none that is read here."""
    found = _CHARSET_PARAMETER.search(content_type)
    if not found or len(found[1]) > _LONGEST_LABEL:
        return None
    return _CODECS.get(normalize_encoding(found[1].lower()))


def decode(body: bytes, content_type: str = "") -> str:
    """The text of a body as `decode_raw` returns it, with escapes of half a surrogate pair as U+FFFD.

    Raises:
        UnicodeDecodeError: the bytes are text in none of these charsets.
    """
    return without_halves(decode_raw(body, content_type))


def decode_raw(body: bytes, content_type: str = "") -> str:
    """The text of a body, without byte order marks before it and NULs and white space behind it.

    UTF-8 comes first, since text in another charset is hardly ever valid UTF-8, while UTF-8 is often
    mislabelled. A surrogate pair in CESU-8 is one character; half a pair is U+FFFD. JSON's escapes stay.

    Args:
        body: the whole of it.
        content_type: the header's value; its `charset` counts where the bytes are not UTF-8.

    Raises:
        UnicodeDecodeError: the bytes are text in none of these charsets.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = _decode_other(body, content_type)
    else:
        # The first characters of JSON are ASCII: a NUL among them means two or four bytes each.
        if "\0" in text[:4]:
            text = _decode_other(body, content_type)
    return text.lstrip("\ufeff").rstrip(_PADDING)


def without_halves(text: str) -> str:
    """Decoded text with U+FFFD for each JSON escape of half a surrogate pair; whole pairs stay."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    held = text.replace(r"\\", _BACKSLASH)
    return _ESCAPED_HALF.sub("\ufffd", held).replace(_BACKSLASH, r"\\")


def _decode_other(body: bytes, content_type: str) -> str:
    encoding = json.detect_encoding(body)
    named = charset_of(content_type) if encoding.startswith("utf-8") else None
    text = body.decode(named) if named else body.decode(encoding, "surrogatepass")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
