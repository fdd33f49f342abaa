"""Searches a body that could not be parsed for texts that may be a secret. Pure.

The work done depends on the body alone, never on the secret: the body is taken apart into texts that
may be values, and keyed digests of them are compared (`auth.password_among`).
"""

import re
from collections.abc import Iterator
from html import unescape
from itertools import islice
from urllib.parse import unquote_plus

from listener.messages.decoding import decode_raw, replace_lone_surrogates

# Of a longer body only parts are searched: its first and its last characters, and those from the first
# few members on that are named like the password.
SEARCHED_END_CHARS = 16 * 1024
SEARCHED_MEMBER_CHARS = 2 * 1024
MAX_MEMBERS = 8
# JSON within JSON within JSON.
MAX_LEVELS = 4
MAX_VALUE_CHARS = 1024
_PASSWORD_NAME = re.compile("(?i)password")
# Quotation marks without a backslash, and all of them: a text may break off anywhere.
_QUOTES = (re.compile(r'(?<!\\)"'), re.compile(r"""["']"""))
_WORD = re.compile(r"""[^\s"'\\,;:=&<>\[\]{}()]++""")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def possible_values(body: bytes, content_type: str = "") -> set[str]:
    """Texts in a body that may be a member's value, in every form in which JSON, a form or XML has them.

    Of a long body only parts are searched: some 48 KiB of each way to decode it. Values are at most
    `MAX_VALUE_CHARS` characters long.
    """
    values: set[str] = set()
    for text in _decodings(body, content_type):
        for level in _levels(text):
            values.update(value for value in _values(level) if 0 < len(value) <= MAX_VALUE_CHARS)
    return values


def _decodings(body: bytes, content_type: str) -> Iterator[str]:
    """The body as text: decoded properly, and byte by byte, without the NULs of wide characters."""
    try:
        # The parts are cut out first: a long body's escapes would block the worker.
        yield replace_lone_surrogates(_searched_parts(decode_raw(body, content_type)))
    except UnicodeDecodeError:
        yield _searched_parts(body.decode(errors="replace"))
        yield _searched_parts(body.decode("latin-1"))
    if 0 in body:
        yield _searched_parts(body.replace(b"\0", b"").decode("latin-1"))


def _searched_parts(text: str) -> str:
    if len(text) <= 2 * SEARCHED_END_CHARS:
        return text
    members = islice(_PASSWORD_NAME.finditer(text), MAX_MEMBERS)
    parts = [text[it.start() : it.start() + SEARCHED_MEMBER_CHARS] for it in members]
    return '"'.join([text[:SEARCHED_END_CHARS], *parts, text[-SEARCHED_END_CHARS:]])


def _levels(text: str) -> Iterator[str]:
    for _ in range(MAX_LEVELS):
        yield text
        inner = _unescaped(text)
        if inner == text:
            return
        text = inner


def _values(text: str) -> Iterator[str]:
    for quotes in _QUOTES:
        for part in quotes.split(text):
            yield part
            yield _unescaped(part)
            yield part.rstrip("\\")
    for word in _WORD.findall(text):
        yield word
        if "%" in word or "+" in word:
            yield unquote_plus(word)
    if "&" in text:
        for part in re.split("[<>\"']", text):
            yield unescape(part)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    unescaped = _ESCAPE.sub(_character, text)
    # A pair of escaped surrogates is one character.
    return unescaped.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _character(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return _SHORT_ESCAPES.get(escape[2], escape[2])
