"""From a body's bytes to the JSON text that they mean, whatever charset the sender used. Pure.

JSON between systems is UTF-8 (RFC 8259, section 8.1). Other charsets are read where the bytes or the
Content-Type name them; none is guessed, since a wrong guess would change content.
"""

import json
import re
from codecs import BOM_UTF16_BE
from encodings import normalize_encoding
from encodings.aliases import aliases

# Roughly the charsets of the WHATWG Encoding Standard; UTF-8, UTF-16 and UTF-32 show by the bytes. Charsets whose
# bytes are also ASCII with another meaning (UTF-7, ISO-2022) and codecs of Python that are no charsets are left out
# on purpose.
_CHARSETS = frozenset(
    (
        "latin_1",
        *(f"iso8859_{part}" for part in (*range(2, 12), *range(13, 17))),
        *(f"cp{page}" for page in (866, 874, *range(1250, 1259), 932, 949)),
        *("koi8_r", "koi8_u", "mac_roman", "mac_cyrillic"),
        *("gbk", "gb2312", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
    )
)
# Python's own look-up caches every unknown name that a stranger sends, for ever.
_CODECS = {name: name for name in _CHARSETS} | {
    alias: codec for alias, codec in aliases.items() if codec in _CHARSETS
}
_CHARSET_PARAMETER = re.compile(r"""(?i);\s*+charset\s*+=\s*+["']?([^\s;"']++)""")
_PADDING = "\0 \t\r\n"
# The escape of a lone surrogate. Each has the same replacement: a callback for each would block the worker
# for a body that consists of them.
_ESCAPED_LONE_SURROGATE = re.compile(
    r"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
# 1 for the bytes of UTF-8 that start a surrogate if one of the second kind follows, 0 for all others.
_STARTS_SURROGATE = bytes(byte == 0xED for byte in range(256))
_FOLLOWS_IN_SURROGATE = bytes(0xA0 <= byte <= 0xBF for byte in range(256))
_SURROGATE = re.compile("[\ud800-\udfff]")
# Stands for an escaped backslash for a moment; decoded text has no surrogates.
_BACKSLASH = "\ud800"


def charset_of(content_type: str) -> str | None:
    """Python's name of the charset in a Content-Type; None if it has none, or one that is not read here."""
    match = _CHARSET_PARAMETER.search(content_type)
    return _CODECS.get(normalize_encoding(match[1].lower())) if match else None


def decode(body: bytes, content_type: str = "") -> str:
    """The text of a body as `decode_raw` returns it, with U+FFFD for each escape of a lone surrogate.

    Raises:
        UnicodeDecodeError: the bytes are text in none of these charsets.
    """
    return replace_lone_surrogates(decode_raw(body, content_type))


def decode_raw(body: bytes, content_type: str = "") -> str:
    """The text of a body, without byte order marks before it and NULs and white space behind it.

    UTF-8 comes first, since text in another charset is hardly ever valid UTF-8, while UTF-8 is often
    mislabelled. A surrogate pair in CESU-8 is one character; a lone surrogate is U+FFFD. JSON's
    escapes stay.

    Args:
        body: the whole body.
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


def replace_lone_surrogates(text: str) -> str:
    """Decoded text with U+FFFD for each JSON escape of a lone surrogate; pairs stay."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    marked = text.replace(r"\\", _BACKSLASH)
    return _ESCAPED_LONE_SURROGATE.sub("\ufffd", marked).replace(_BACKSLASH, r"\\")


def _decode_other(body: bytes, content_type: str) -> str:
    encoding = json.detect_encoding(body)
    named = charset_of(content_type) if encoding.startswith("utf-8") else None
    try:
        return body.decode(named or encoding)
    except UnicodeDecodeError:
        if named:
            raise
    return _SURROGATE.sub("\ufffd", _decode_with_surrogates(body, encoding))


def _decode_with_surrogates(body: bytes, encoding: str) -> str:
    """Decodes text that has surrogates; a pair becomes its character, and lone ones stay.

    Python's codecs call an error handler for each surrogate, which takes up to a second for a body that
    consists of them.

    Raises:
        UnicodeDecodeError: the text has other errors.
    """
    if encoding.startswith("utf-8"):
        return _decode_units(_utf16_units(body))
    if encoding.startswith("utf-32") or len(body) % 2:
        text: str = json.loads(json.dumps(body.decode(encoding, "surrogatepass")))
        return text
    if encoding == "utf-16-be" or body.startswith(BOM_UTF16_BE):
        return _decode_units(body)
    units = bytearray(body)
    units[::2], units[1::2] = units[1::2], units[::2]
    return _decode_units(units)


def _utf16_units(body: bytes) -> bytes:
    """The UTF-16-BE of a UTF-8 body that has surrogates.

    All surrogates are replaced at once, with the body as one number: U+D8xx is read as U+E8xx, and as
    U+F8xx. The two readings differ where a surrogate stands and nowhere else, so that a real U+E8xx is
    not taken for one.
    """
    starts = int.from_bytes(body.translate(_STARTS_SURROGATE), "little")
    surrogates = starts & int.from_bytes(body[1:].translate(_FOLLOWS_IN_SURROGATE), "little")
    whole = int.from_bytes(body, "little")
    # The first byte becomes EE or EF instead of ED.
    read_as_e8 = (whole ^ 3 * surrogates).to_bytes(len(body), "little").decode().encode("utf-16-be")
    read_as_f8 = (whole ^ 2 * surrogates).to_bytes(len(body), "little").decode().encode("utf-16-be")
    units = int.from_bytes(read_as_e8, "big")
    # E8 and F8 differ by 10, E8 and D8 by 30.
    differ = units ^ int.from_bytes(read_as_f8, "big")
    return (units ^ 3 * differ).to_bytes(len(read_as_e8), "big")


def _decode_units(units: bytes | bytearray) -> str:
    """The text of UTF-16-BE. In the standard library only the JSON reader accepts a lone surrogate."""
    text: str = json.loads('"\\u' + units.hex(" ", 2).replace(" ", "\\u") + '"')
    return text
